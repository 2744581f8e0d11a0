"""Attention weights of the selected network, averaged over the frames of every state, and of the same one untrained."""

import numpy as np
import pandas as pd
import torch

from geom2msm.attention_maps import Places, mean_attention
from geom2msm.interpreted import Network, Sample
from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.token_table import read_token_table, token_names


def main(tokens: list[str], states: str, weights: str, table: str, attention: str, *, settings: dict) -> None:
    """One row per state and pair of places, in the order of the network's sequence."""
    network = Network.read(weights)
    sample = Sample.read(tokens, states, n_frames=settings["n_frames"])
    names = Places.of(network.lobe).names(token_names(read_token_table(table)))
    trained = mean_attention(network, sample.tokens, sample.states)
    untrained = [
        mean_attention(network.untrained(sample.everywhere, seed=seed), sample.tokens, sample.states)
        for seed in range(settings["n_untrained"])
    ]
    rows = pd.concat(
        pd.DataFrame(
            {
                "state": state,
                "from_place": np.repeat(names, len(names)),
                "to_place": np.tile(names, len(names)),
                "attention": weight.ravel(),
                "untrained": np.mean([control[state] for control in untrained], axis=0).ravel(),
            }
        )
        for state, weight in trained.items()
    )
    with replace_when_complete(attention) as part:
        rows.to_csv(part, index=False, float_format="%.6g")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
