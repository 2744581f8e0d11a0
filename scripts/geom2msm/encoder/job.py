"""One trajectory embedded by one job, or by several that take a range of its frames each.

Ranges are whole chunks of the store. A frame is embedded in the company of the same frames in either case, so that the
store put together from ranges has the same bytes as one that a single job wrote.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mdtraj
import numpy as np
from jaxtyping import Int

from geom2msm.encoder.preparation import EmbeddingSettings, prepare_embedding
from geom2msm.encoder.streaming import Embedding, frame_pieces
from geom2msm.encoder.weights import load_encoder
from geom2msm.frame_reader import FrameReader
from geom2msm.provenance import inherited, provenance, require_inspected
from geom2msm.store import PartialStore, read_attributes
from geom2msm.token_table import read_token_table
from geom2msm.topology import load_topology, select_atoms

# What a range must have in common with the store that it becomes part of; how may differ is seen here, too.
COMPARED = ("encoder", "neighbor_rule", "periodic", "kernel", "precision", "device", "stride", "selection")


@dataclass(frozen=True)
class EmbeddingJob:
    """A trajectory, how its frames become tokens, and what the store says about that."""

    trajectory: str
    topology: mdtraj.Topology
    atoms: Int[np.ndarray, " atom"]
    known: Mapping
    embedding: Embedding
    attributes: Mapping

    @classmethod
    def prepare(
        cls, trajectory: str, topology: str, inventory: str, table: str, weights: str, *, settings: dict, source: str
    ) -> "EmbeddingJob":
        """Everything before the first frame; the fast forward pass is compared with the plain one on that."""
        known, residues = json.loads(Path(inventory).read_text()), read_token_table(table)
        molecules, (encoder, card) = load_topology(topology), load_encoder(weights)
        selected = select_atoms(molecules, known["selection"], file=topology)
        chosen = EmbeddingSettings(**settings)
        atoms, embedding = prepare_embedding(molecules, residues, selected, encoder, card, chosen, file=topology)
        inputs = {"trajectory": trajectory, "topology": topology, "table": table, "weights": weights}
        attributes = inherited(known) | embedding.attributes
        attributes |= {"encoder": card.name, "tokens": residues.to_dict("list")}
        attributes |= {"provenance": (made_from := provenance(inputs=inputs, settings=settings | {"source": source}))}
        require_inspected(known, made_from, name="trajectory")
        first = next(frame_pieces(trajectory, molecules, atoms, None, known, first_frame=0))
        cell_nm = first["cell_nm"][0] if embedding.periodic and "cell_nm" in first else None
        embedding.embedder.compare(encoder, first["positions_nm"][0], cell_nm)
        return cls(trajectory, molecules, atoms, known, embedding, attributes)

    def store(self, output: str, *, n_frames: int) -> PartialStore:
        """The store of some frames; one that was begun is continued."""
        return PartialStore(
            output, n_frames=n_frames, chunk_frames=self.embedding.chunk_frames, layout=self.embedding.layout,
            attributes=self.attributes,
        )  # fmt: skip

    def pieces(self, first_frame: int) -> Iterator[dict[str, np.ndarray]]:
        """What is read of the frames from this one on."""
        around = self.embedding.around
        return frame_pieces(self.trajectory, self.topology, self.atoms, around, self.known, first_frame=first_frame)

    def frame_range(self, number: int, n_ranges: int) -> tuple[int, int]:
        """First frame of a range and the frame after its last; with more ranges than chunks, some are empty."""
        size, n_frames = self.embedding.chunk_frames, self.known["n_frames"]
        n_chunks = -(-n_frames // size)
        first, stop = (n_chunks * edge // n_ranges * size for edge in (number, number + 1))
        return min(first, n_frames), min(stop, n_frames)

    def copy_ranges(self, store: PartialStore, paths: Sequence[str]) -> None:
        """Append what other jobs embedded, in order, after what the store holds already."""
        first = 0
        for path in (path for path in paths if Path(path).stat().st_size):
            self._require_same(path)
            readers = {name: FrameReader(path, name) for name in self.embedding.layout}
            n_frames = len(readers["time_ps"])
            for start in range(max(0, store.frames_done - first), n_frames, self.embedding.chunk_frames):
                stop = min(start + self.embedding.chunk_frames, n_frames)
                store.append({name: reader.read_range(start, stop) for name, reader in readers.items()})
            first += n_frames

    def _require_same(self, path: str) -> None:
        """Refuse a range that was embedded in another way, as on another kind of node."""
        theirs, ours = read_attributes(path), self.attributes
        for key in COMPARED:
            if theirs[key] != ours[key]:
                raise ValueError(
                    f"{path}: embedded with {key} {theirs[key]!r}, but this job would use {ours[key]!r}; all jobs of a "
                    "trajectory must run on machines of one kind. Delete the file and run again."
                )
        if theirs["provenance"]["inputs"] != ours["provenance"]["inputs"]:
            raise ValueError(f"{path}: embedded from other input; delete the file and run again")
