"""Write structures of one macrostate, from the raw trajectories: a representative and an ensemble."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from geom2msm.ensembles import (
    choose_frames,
    importance_of_atoms,
    in_their_files,
    read_structures,
    state_weights,
    superposed,
)
from geom2msm.joined_store import read_trajectories
from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.store import read_array
from geom2msm.structure_files import remarks, write_not_estimable


def main(
    states: str, variables: str, inventories: list[str], msm: str, table: str, tokens: str,
    importance: list[str], structure: str, ensemble: str, frames: str, *, state: int, n_frames: int, seed: int,
) -> None:  # fmt: skip
    """Take the frame where the state is densest, and others by their probability; `importance` is one file or none."""
    probabilities = pd.read_csv(table).set_index("state").probability
    if state not in probabilities.index:
        with np.load(msm) as model:
            reason = str(model["why_fewer_macrostates"])
        write_not_estimable(structure, ensemble, frames, state=state, reason=reason)
        return
    known = {found["trajectory"]: found for found in (json.loads(Path(path).read_text()) for path in inventories)}
    with np.load(msm) as model:
        weights = state_weights(read_array(states, "microstate"), model, state=state - 1)
    points = read_array(variables, "variables").astype(float)
    lengths = {each.name: each.n_frames for each in read_trajectories(states)}
    chosen = in_their_files(choose_frames(points, weights, lengths=lengths, n_frames=n_frames, seed=seed), known)
    atoms, structures = read_structures(chosen, known)
    b_factors = np.zeros(len(atoms))
    for path in importance:
        b_factors = importance_of_atoms(path, tokens, atoms, state=state)
    with replace_when_complete(structure) as part:
        structures[0].save_pdb(str(part), bfactors=b_factors)
        said = remarks(chosen, state=state, probability=probabilities[state], importance=importance)
        part.write_text(said + part.read_text())
    with replace_when_complete(ensemble) as part:
        superposed(structures)[1:].save_xtc(str(part))
    with replace_when_complete(frames) as part:
        chosen.to_csv(part, index=False)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    state, settings = int(snakemake.wildcards.state), snakemake.params.settings
    main(**snakemake.input, **snakemake.output, state=state, **settings)
