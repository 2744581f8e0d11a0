"""kill -9 at any moment, a full disk, or lost blocks: the next run continues and the bytes are the same."""

import itertools
import multiprocessing
import os
import random
import resource
import time
import zipfile

import numpy as np
import pytest

from geom2msm.plain_zip import check_contents
from geom2msm.store import ArrayLayout, PartialStore, read_array

N_FRAMES, CHUNK_FRAMES = 700, 9
N_KILLS = 20
LAYOUTS = {
    dtype: {
        "scalars": ArrayLayout(("frame", "token", "channel"), (20, 64), dtype),
        "vectors": ArrayLayout(("frame", "token", "3", "channel"), (20, 3, 64), dtype),
        "time_ps": ArrayLayout(("frame",), (), "float64"),
    }
    for dtype in ("float16", "float32")
}


def chunk_of_numbers(start, *, layout):
    """The same numbers for the same frames in every run."""
    rng, n_frames = np.random.default_rng(start), min(CHUNK_FRAMES, N_FRAMES - start)
    return {name: rng.standard_normal((n_frames, *array.frame_shape)) for name, array in layout.items()}


def fill(path, *, dtype, log=os.devnull, pause_s=0.0):
    """Write what the store lacks; `log` gets the first frame of each chunk before it is computed."""
    layout = LAYOUTS[dtype]
    store = PartialStore(
        str(path), n_frames=N_FRAMES, chunk_frames=CHUNK_FRAMES, layout=layout, attributes={"a": [1, 2.5, "ä"]}
    )
    with open(log, "a", buffering=1) as file:
        while (start := store.frames_done) < N_FRAMES:
            file.write(f"{start}\n")
            time.sleep(pause_s)
            store.append(chunk_of_numbers(start, layout=layout))
        file.write(f"{N_FRAMES}\n")
    store.finish()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_store_killed_again_and_again_has_the_bytes_of_an_undisturbed_one(tmp_path, dtype):
    whole, path, log = (tmp_path / name for name in ("whole.zarr.zip", "killed.zarr.zip", "log"))
    fill(whole, dtype=dtype)
    moments, n_killed, processes = random.Random(0), 0, multiprocessing.get_context("fork")
    log.touch()
    while n_killed < N_KILLS and not path.exists():
        process = processes.Process(target=fill, args=(path,), kwargs={"dtype": dtype, "log": log, "pause_s": 0.001})
        before = log.stat().st_size
        process.start()
        # Most are killed while they write, every fifth while it looks at what is there.
        while n_killed % 5 and process.is_alive() and log.stat().st_size == before:
            time.sleep(0.001)
        process.join(moments.uniform(0.001, 0.01))
        process.kill()
        process.join()
        n_killed += process.exitcode != 0
    fill(path, dtype=dtype, log=log)
    assert n_killed == N_KILLS
    assert path.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "killed.zarr.zip.part").exists()
    started = [int(line) for line in log.read_text().split()]
    # Of all that was written, nothing is computed again; of a chunk that was begun before a kill, only that chunk.
    steps = {later - earlier for earlier, later in itertools.pairwise(started)}
    assert steps <= {0, CHUNK_FRAMES, N_FRAMES % CHUNK_FRAMES}
    assert len(started) - len(set(started)) <= n_killed


def half_done(path, *, dtype="float16", n_chunks=5):
    """An unfinished store of some chunks."""
    layout = LAYOUTS[dtype]
    store = PartialStore(
        str(path), n_frames=N_FRAMES, chunk_frames=CHUNK_FRAMES, layout=layout, attributes={"a": [1, 2.5, "ä"]}
    )
    for _ in range(n_chunks):
        store.append(chunk_of_numbers(store.frames_done, layout=layout))
    return store


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Bytes of a store that was written in one go."""
    path = tmp_path_factory.mktemp("undisturbed") / "x.zarr.zip"
    fill(path, dtype="float16")
    return path.read_bytes()


@pytest.mark.parametrize("fraction", np.linspace(0, 1, 12))
def test_an_unfinished_file_cut_anywhere_is_continued(tmp_path, undisturbed, fraction):
    path = tmp_path / "x.zarr.zip"
    part = half_done(path).part
    os.truncate(part, int(fraction * os.path.getsize(part)))
    fill(path, dtype="float16")
    assert path.read_bytes() == undisturbed


def test_blocks_that_a_power_cut_lost_are_computed_again(tmp_path, undisturbed):
    path, log = tmp_path / "x.zarr.zip", tmp_path / "log"
    part = half_done(path).part
    with part.open("r+b") as file:
        file.seek(int(0.7 * os.path.getsize(part)))
        file.write(bytes(4096))
    fill(path, dtype="float16", log=log)
    assert log.read_text().split()[0] == str(3 * CHUNK_FRAMES)
    assert path.read_bytes() == undisturbed


def test_a_kill_between_the_directory_and_the_renaming_loses_nothing(tmp_path, undisturbed, monkeypatch):
    path, log = tmp_path / "x.zarr.zip", tmp_path / "log"
    with monkeypatch.context() as patched:
        patched.setattr("os.replace", lambda *_: None)
        fill(path, dtype="float16")
    assert not path.exists()
    fill(path, dtype="float16", log=log)
    assert log.read_text().split() == [str(N_FRAMES)]
    assert path.read_bytes() == undisturbed


@pytest.mark.parametrize("change", ["dtype", "attributes", "chunk_frames", "n_frames"])
def test_another_plan_starts_afresh(tmp_path, change):
    path = tmp_path / "x.zarr.zip"
    half_done(path)
    plan = {"n_frames": N_FRAMES, "chunk_frames": CHUNK_FRAMES, "layout": LAYOUTS["float16"]}
    plan |= {"attributes": {"a": [1, 2.5, "ä"]}}
    assert PartialStore(str(path), **plan).frames_done == 5 * CHUNK_FRAMES
    other = {"dtype": {"layout": LAYOUTS["float32"]}, "attributes": {"attributes": {"a": 1}}}
    plan |= other.get(change, {change: 10})
    store = PartialStore(str(path), **plan)
    assert store.frames_done == 0
    while (start := store.frames_done) < store.n_frames:
        n_frames = min(store.chunk_frames, store.n_frames - start)
        store.append({name: np.ones((n_frames, *array.frame_shape)) for name, array in plan["layout"].items()})
    store.finish()
    # Nothing of the longer file before is left behind the end.
    with zipfile.ZipFile(path) as archive:
        assert archive.start_dir < os.path.getsize(path) < archive.start_dir + 300 * len(archive.namelist())


def limited_fill(path, size):
    """Fill under a limit of the file size, which fails like a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    with pytest.raises(OSError, match=r"x.zarr.zip.part: writing failed .* of 700 frames are kept in it"):
        fill(path, dtype="float16")


def test_a_full_disk_is_named_and_the_next_run_continues(tmp_path, undisturbed):
    path, log = tmp_path / "x.zarr.zip", tmp_path / "log"
    process = multiprocessing.get_context("fork").Process(target=limited_fill, args=(path, len(undisturbed) // 2))
    process.start()
    process.join()
    assert process.exitcode == 0
    fill(path, dtype="float16", log=log)
    assert 0.4 * N_FRAMES < int(log.read_text().split()[0]) < 0.6 * N_FRAMES
    assert path.read_bytes() == undisturbed


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_both_precisions_are_kept_as_they_are(tmp_path, dtype):
    path = tmp_path / "x.zarr.zip"
    fill(path, dtype=dtype)
    check_contents(str(path))
    pieces = [chunk_of_numbers(start, layout=LAYOUTS[dtype]) for start in range(0, N_FRAMES, CHUNK_FRAMES)]
    for name in ("scalars", "vectors"):
        found = read_array(str(path), name)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.concatenate([piece[name] for piece in pieces]).astype(dtype))
