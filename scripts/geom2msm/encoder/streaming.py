"""From a stream of frames to a complete store: reading, embedding and writing at the same time.

Reading and writing have a thread each, so that an accelerator does not wait for the disk. Both are a piece ahead or
behind at most: memory does not grow with the trajectory, and the store gets its chunks in order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

import mdtraj
import numpy as np
from jaxtyping import Int

from geom2msm.encoder.embedding import Embedder, frames_per_chunk, token_layout
from geom2msm.environment import SOFT_RADII, Surroundings, environment_layout, environment_moments
from geom2msm.log import progress
from geom2msm.pieces import Piece, chunked, length
from geom2msm.store import ArrayLayout, PartialStore
from geom2msm.trajectory import iterate_frames

Item = TypeVar("Item")
_END = object()


def prefetched(items: Iterable[Item]) -> Iterator[Item]:
    """The items, each made in a thread while the one before is used; errors are raised where the item is asked for."""
    iterator = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as reading:
        waiting = reading.submit(next, iterator, _END)
        while (item := waiting.result()) is not _END:
            waiting = reading.submit(next, iterator, _END)
            yield item


def frame_pieces(
    path: str,
    topology: mdtraj.Topology,
    atoms: Int[np.ndarray, " atom"],
    around: Surroundings | None,
    known: Mapping,
    *,
    first_frame: int,
) -> Iterator[dict[str, np.ndarray]]:
    """Positions and cells of the embedded atoms, and of what surrounds them, as the inventory says they are read.

    The surroundings are read as they were saved: making each of thousands of molecules whole would be in vain.
    """
    ways = {"first_frame": first_frame, "stride": known["stride"]}
    modeled = iterate_frames(path, topology, atoms, make_whole=known["make_whole"], **ways)
    species = iterate_frames(path, topology, around.all_atoms, make_whole=False, **ways) if around else repeat(None)
    for frames, others in zip(modeled, species, strict=False):
        piece = {"positions_nm": frames.positions_nm}
        if frames.cell_nm is not None:
            piece["cell_nm"] = frames.cell_nm
        if others is not None:
            piece["around_nm"] = others.positions_nm
        yield piece


@dataclass(frozen=True)
class Embedding:
    """What is computed of each frame: tokens and, if asked for, what surrounds them."""

    embedder: Embedder
    around: Surroundings | None = None
    periodic: bool = False

    @property
    def layout(self) -> dict[str, ArrayLayout]:
        """The arrays of the store."""
        n_tokens, dtype = self.embedder.token_map.n_tokens, self.embedder.dtype
        layout = token_layout(n_tokens, self.embedder.encoder.config.hidden_channels, dtype=dtype)
        return layout | (environment_layout(n_tokens, len(self.around.names), dtype=dtype) if self.around else {})

    @property
    def attributes(self) -> dict[str, object]:
        """What the store says about the way that its tokens were computed."""
        attributes: dict[str, object] = {"neighbor_rule": self.embedder.neighbor_rule, "periodic": self.periodic}
        encoder = self.embedder.encoder
        attributes |= {"kernel": encoder.path, "precision": encoder.precision, "device": encoder.device.type}
        if self.around:
            species = {"species": self.around.names, "cutoff_nm": self.around.cutoff_nm, "soft_radii": SOFT_RADII}
            attributes["environment"] = species
        return attributes

    @property
    def chunk_frames(self) -> int:
        """Frames per chunk of the store."""
        n_atoms = len(self.embedder.token_map.atomic_numbers)
        return frames_per_chunk(self.layout, n_atoms, device=self.embedder.encoder.device.type)

    def __call__(
        self, positions_nm: np.ndarray, cell_nm: np.ndarray | None = None, around_nm: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The arrays of a store for some frames, without their times."""
        if self.periodic and cell_nm is None:
            raise ValueError("tokens.periodic is true, but the trajectory has no periodic box")
        arrays = vars(self.embedder(positions_nm, cell_nm if self.periodic else None))
        if self.around is None:
            return arrays
        scalars, vectors = environment_moments(
            arrays["positions_nm"], self.around.split(around_nm), cell_nm, cutoff_nm=self.around.cutoff_nm
        )
        dtype = self.embedder.dtype
        return arrays | {"environment_scalars": scalars.astype(dtype), "environment_vectors": vectors.astype(dtype)}


def fill_store(
    store: PartialStore,
    pieces: Iterable[Piece],
    embed: Callable[..., Mapping[str, np.ndarray]],
    *,
    frame_interval_ps: float,
    first_frame: int = 0,
) -> None:
    """Embed the frames that a store still lacks, chunk by chunk, and finish it.

    `embed` gets the arrays of a chunk by name and returns those of the store, without the times. The first frame of the
    store is number `first_frame` of the trajectory.
    """
    done = store.frames_done
    chunks = prefetched(chunked(pieces, store.chunk_frames))
    chunks = progress(chunks, total=store.n_frames, description="embedding", unit="frames", done=done, size=length)
    with ThreadPoolExecutor(1, thread_name_prefix="writing") as writing:
        written: Future[None] | None = None
        for chunk in chunks:
            time_ps = (first_frame + done + np.arange(length(chunk))) * frame_interval_ps
            arrays = {**embed(**chunk), "time_ps": time_ps}
            if written is not None:
                written.result()
            written = writing.submit(store.append, arrays)
            done += length(chunk)
        if written is not None:
            written.result()
    store.finish()
