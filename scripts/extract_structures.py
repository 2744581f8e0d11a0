"""Write a structure that stands for one macrostate, from the raw trajectories."""

import json
from pathlib import Path

import mdtraj
import numpy as np
import pandas as pd

from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.store import read_array, read_attributes
from geom2msm.topology import load_topology, select_atoms
from geom2msm.trajectory import iterate_frames


def nearest_frame(states: list[str], *, microstate: int) -> tuple[str, int]:
    """The trajectory and frame, of all frames in the microstate, that lie nearest to its center."""
    nearest = []
    for path in states:
        inside = read_array(path, "microstate") == microstate
        distance = np.where(inside, read_array(path, "center_distance"), np.inf)
        nearest.append((distance.min(), read_attributes(path)["trajectory"], int(distance.argmin())))
    return min(nearest)[1:]


def load_residues(inventory: dict, *, frame: int) -> mdtraj.Trajectory:
    """One frame of a raw trajectory: whole residues that the selection touches, hydrogens included, solvent not."""
    topology = load_topology(inventory["topology"])
    selected = select_atoms(topology, inventory["selection"], file=inventory["topology"])
    residues = {topology.atom(int(atom)).residue.index for atom in selected}
    atoms = np.array([atom.index for atom in topology.atoms if atom.residue.index in residues])
    reading = {"stride": inventory["stride"], "make_whole": inventory["make_whole"]}
    piece = next(iterate_frames(inventory["file"], topology, atoms, first_frame=frame, **reading))
    return mdtraj.Trajectory(piece.positions_nm[:1], topology.subset(atoms))


def main(states: list[str], inventories: list[str], table: str, structure: str, *, state: int) -> None:
    """Take the frame nearest to the center of the microstate that holds most of the macrostate."""
    known = {found["trajectory"]: found for found in (json.loads(Path(path).read_text()) for path in inventories)}
    row = pd.read_csv(table).set_index("state").loc[state]
    trajectory, frame = nearest_frame(states, microstate=int(row.representative_microstate))
    remarks = [
        f"STATE {state}, STATIONARY PROBABILITY {row.probability:.4f}",
        f"TRAJECTORY {trajectory}, FRAME {frame} (FROM 0), {frame * known[trajectory]['frame_interval_ps']:g} PS",
        f"NEAREST TO THE CENTER OF MICROSTATE {int(row.representative_microstate)}, THE STATE'S MOST PROBABLE ONE",
    ]
    with replace_when_complete(structure) as part:
        load_residues(known[trajectory], frame=frame).save_pdb(str(part))
        part.write_text("".join(f"REMARK   6 {remark}\n" for remark in remarks) + part.read_text())


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, state=int(snakemake.wildcards.state))
