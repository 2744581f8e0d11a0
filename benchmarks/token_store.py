"""Read time-lagged pairs of frames from a token store, side by side with a flat memory map and zarr-python.

    MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=2147483648 OMP_NUM_THREADS=1 \\
        python benchmarks/token_store.py

Random pairs in the order of time; random numbers in place of tokens; the files (0.6 GB for each system, removed
afterwards) stay in the page cache. Goals P7 (at least 0.9 times the speed of fancy indexing of a flat .npy file,
100 times that of zarr-python's `oindex` on the same store) and P8 (half the size of single precision) of
docs/performance.md. Without the two variables, the C library returns the memory of results to the system whenever
it likes to, for all ways alike, and single repetitions differ by a factor of five.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import zarr
from zarr.storage import ZipStore

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from geom2msm.frame_reader import FrameReader
from geom2msm.store import ArrayLayout, PartialStore

CHANNELS = 64
ARRAYS = {"scalars": (CHANNELS,), "vectors": (3, CHANNELS)}
# Name: tokens, frames, pairs in a batch, pairs that zarr-python reads in the same place.
SYSTEMS = {
    "alanine dipeptide, 3 tokens": (3, 200_000, 2000, 10),
    "chignolin, 10 tokens": (10, 60_000, 1000, 10),
    "AdK, 214 tokens": (214, 3_000, 128, 8),
}
CHUNK_BYTES = 1 << 20
LAG_FRAMES = 10
WARM_UP = 10


def write(folder: Path, *, n_tokens: int, n_frames: int, rng: np.random.Generator) -> str:
    """Write the same numbers as a token store and as one flat .npy file per array."""
    chunk = max(1, CHUNK_BYTES // (n_tokens * CHANNELS * 4 * 2))
    layout = {
        name: ArrayLayout(("frame", "token", *"3"[: len(shape) - 1], "channel"), (n_tokens, *shape), "float16")
        for name, shape in ARRAYS.items()
    }
    path = str(folder / "tokens.zarr.zip")
    store = PartialStore(path, n_frames=n_frames, chunk_frames=chunk, layout=layout, attributes={"trajectory": "run"})
    with ExitStack() as stack:
        # Written like the store, by write(): the same file written through a memory map is read up to 25 % faster
        # or slower, for the operating system then keeps it in pages of another size.
        flat = {name: stack.enter_context((folder / f"{name}.npy").open("wb")) for name in ARRAYS}
        for name, shape in ARRAYS.items():
            header = {"descr": "<f2", "fortran_order": False, "shape": (n_frames, n_tokens, *shape)}
            np.lib.format.write_array_header_1_0(flat[name], header)
        while (start := store.frames_done) < n_frames:
            shapes = {name: (min(chunk, n_frames - start), n_tokens, *shape) for name, shape in ARRAYS.items()}
            pieces = {name: rng.standard_normal(shape, np.float32).astype("<f2") for name, shape in shapes.items()}
            store.append(pieces)
            for name, piece in pieces.items():
                flat[name].write(piece.tobytes())
    store.finish()
    return path


def readers(folder: Path, path: str, *, n_pairs: int) -> dict[str, Callable[[np.ndarray], list[np.ndarray]]]:
    """Ways to read frames of all arrays: into fresh memory, and into arrays that are used again."""
    flat = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS]
    direct = [FrameReader(path, name) for name in ARRAYS]
    assert all(reader.direct for reader in direct)
    group = zarr.open_group(ZipStore(path, mode="r"), mode="r")
    outs = [np.empty((2 * n_pairs, *reader.shape[1:]), reader.dtype) for reader in direct]
    return {
        "flat": lambda frames: [array[frames] for array in flat],
        "store": lambda frames: [reader.read(frames) for reader in direct],
        "flat, take into out": lambda frames: [
            np.take(array, frames, axis=0, out=out, mode="clip") for array, out in zip(flat, outs, strict=True)
        ],
        "store, into out": lambda frames: [
            reader.read(frames, out=out) for reader, out in zip(direct, outs, strict=True)
        ],
        "zarr oindex": lambda frames: [group[name].oindex[frames] for name in ARRAYS],
    }


def time_readers(ways: dict, *, n_frames: int, n_pairs: int, n_slow: int, repetitions: int) -> dict[str, list[float]]:
    """CPU seconds per pair of each way, interleaved in random order; all ways must give the same numbers."""
    rng, seconds = np.random.default_rng(1), {way: [] for way in ways}
    for repetition in range(WARM_UP + repetitions):
        for way in rng.permutation(list(ways)):
            # Other frames for each way: what the way before has read is in the processor's cache.
            n_read = n_slow if way == "zarr oindex" else n_pairs
            starts = np.sort(rng.integers(0, n_frames - LAG_FRAMES, n_read))
            frames = np.concatenate([starts, starts + LAG_FRAMES])
            begun = time.process_time()
            found = ways[way](frames)
            seconds[way].append((time.process_time() - begun) / len(starts))
            if repetition == 0:
                assert all((a == b).all() for a, b in zip(found, ways["flat"](frames), strict=True)), way
    # The first repetitions touch pages for the first time.
    return {way: values[WARM_UP:] for way, values in seconds.items()}


def rate_of(seconds: list[float]) -> float:
    """Pairs per second, the median."""
    return 1 / statistics.median(seconds)


def print_times(seconds: dict[str, list[float]]) -> None:
    """Pairs per second of each way, and the ratio of the store to it, medians with their ranges."""
    for way, values in seconds.items():
        rate = rate_of(values)
        line = f"  {way:20} {rate:12,.0f} pairs/s ({1 / max(values):,.0f} to {1 / min(values):,.0f})"
        ours = {"flat": "store", "flat, take into out": "store, into out", "zarr oindex": "store"}.get(way)
        if ours:
            ratios = [theirs / own for theirs, own in zip(values, seconds[ours], strict=True)]
            ratio, low, high = rate_of(seconds[ours]) / rate, *np.quantile(ratios, (0.1, 0.9))
            line += f"; {ours!r} is {ratio:.2f} times as fast (80 % of repetitions {low:.2f} to {high:.2f})"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=61, help="timed batches of each way")
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    arguments = parser.parse_args()
    print(f"numpy {np.__version__}, zarr {zarr.__version__}, load {os.getloadavg()[0]:.1f}; float16, CPU time")
    for system, (n_tokens, n_frames, n_pairs, n_slow) in SYSTEMS.items():
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folder = Path(name)
            begun = time.perf_counter()
            path = write(folder, n_tokens=n_tokens, n_frames=n_frames, rng=np.random.default_rng(0))
            written, size = time.perf_counter() - begun, os.path.getsize(path)
            single_precision = n_frames * n_tokens * CHANNELS * 4 * 4
            print(
                f"{system}: {n_frames:,} frames, 1 file of {size / 1e6:.0f} MB, "
                f"{size / single_precision:.4f} of single precision; made in {written:.1f} s"
            )
            ways = readers(folder, path, n_pairs=n_pairs)
            print_times(
                time_readers(ways, n_frames=n_frames, n_pairs=n_pairs, n_slow=n_slow, repetitions=arguments.repetitions)
            )


if __name__ == "__main__":
    main()
