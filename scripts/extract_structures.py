"""Write structures of one macrostate, from the raw trajectories: a representative and an ensemble."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from geom2msm.ensembles import choose_frames, importance_of_atoms, read_structures, state_weights, superposed
from geom2msm.joined_store import read_trajectories
from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.store import read_array


def remarks(chosen: pd.DataFrame, *, state: int, probability: float, importance: list[str]) -> str:
    """What the PDB file says of itself."""
    first = chosen.iloc[0]
    lines = [
        f"STATE {state}, STATIONARY PROBABILITY {probability:.4f}",
        f"TRAJECTORY {first.trajectory}, FRAME {first.frame} (FROM 0), {first.time_ps:g} PS",
        "WHERE THE PROBABILITY DENSITY OF THE STATE'S FRAMES IN THE SLOW VARIABLES IS HIGHEST",
    ]
    if importance:
        lines.append("B-FACTOR: IMPORTANCE OF THE ATOM'S TOKEN BY OCCLUSION, FROM 0 TO 99, THE HIGHEST")
    return "".join(f"REMARK   6 {line}\n" for line in lines)


def main(
    states: str, variables: str, inventories: list[str], msm: str, table: str, tokens: str,
    importance: list[str], structure: str, ensemble: str, frames: str, *, state: int, n_frames: int, seed: int,
) -> None:  # fmt: skip
    """Take the frame where the state is densest, and others by their probability; `importance` is one file or none."""
    known = {found["trajectory"]: found for found in (json.loads(Path(path).read_text()) for path in inventories)}
    with np.load(msm) as model:
        weights = state_weights(read_array(states, "microstate"), model, state=state - 1)
    points = read_array(variables, "variables").astype(float)
    lengths = {each.name: each.n_frames for each in read_trajectories(states)}
    chosen = choose_frames(points, weights, lengths=lengths, n_frames=n_frames, seed=seed)
    chosen["time_ps"] = chosen.frame * known[chosen.trajectory[0]]["frame_interval_ps"]
    atoms, structures = read_structures(chosen, known)
    b_factors = np.zeros(len(atoms))
    for path in importance:
        b_factors = importance_of_atoms(path, tokens, atoms, state=state)
    probability = pd.read_csv(table).set_index("state").probability[state]
    with replace_when_complete(structure) as part:
        structures[0].save_pdb(str(part), bfactors=b_factors)
        said = remarks(chosen, state=state, probability=probability, importance=importance)
        part.write_text(said + part.read_text())
    with replace_when_complete(ensemble) as part:
        superposed(structures)[1:].save_xtc(str(part))
    with replace_when_complete(frames) as part:
        chosen.to_csv(part, index=False)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    state, settings = int(snakemake.wildcards.state), snakemake.params.settings
    main(**snakemake.input, **snakemake.output, state=state, **settings)
