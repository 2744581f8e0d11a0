"""Check one trajectory against its topology and write what is known about it."""

import json

from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete, unchanged_while_read
from geom2msm.topology import atomic_numbers, load_topology, select_atoms
from geom2msm.trajectory_checks import count_saved_frames, inspect_frames


def main(
    file: str, topology: str, inventory: str, *, system: str, trajectory: str, selection: str,
    frame_interval_ps: float, stride: int, make_whole: bool,
) -> None:  # fmt: skip
    """Read every frame of `file` once, refuse it if unsound, and write its inventory."""
    molecules = load_topology(topology)
    atoms = select_atoms(molecules, selection, file=topology)
    atomic_numbers(molecules, atoms)
    settings = {
        "selection": selection, "frame_interval_ps": frame_interval_ps, "stride": stride, "make_whole": make_whole,
    }  # fmt: skip
    with unchanged_while_read(file):
        n_frames, checks = inspect_frames(
            file, molecules, atoms, frame_interval_ps=frame_interval_ps, stride=stride, make_whole=make_whole
        )
        n_saved_frames = count_saved_frames(file, molecules, n_frames=n_frames, stride=stride)
        origin = provenance(inputs={"file": file, "topology": topology}, settings=settings)
    content = {
        "system": system,
        "trajectory": trajectory,
        "file": file,
        "topology": topology,
        "selection": selection,
        "n_frames": n_frames,
        "n_saved_frames": n_saved_frames,
        "n_atoms": molecules.n_atoms,
        "n_selected_atoms": len(atoms),
        "stride": stride,
        "make_whole": make_whole,
        "file_frame_interval_ps": frame_interval_ps,
        "frame_interval_ps": stride * frame_interval_ps,
        "duration_ns": n_frames * stride * frame_interval_ps / 1000,
        "sha256": origin["inputs"]["file"],
        "topology_sha256": origin["inputs"]["topology"],
        "checks": checks,
        "provenance": origin,
    }
    with replace_when_complete(inventory) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, **snakemake.wildcards, **snakemake.params.settings)
