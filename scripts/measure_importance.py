"""How much each token matters to the selected network in every state, and to the same network untrained."""

import torch

from geom2msm.importance import Probe, affordable_frames
from geom2msm.importance_summary import agreements, control, importance_table, judge, measure
from geom2msm.interpreted import Network, Sample
from geom2msm.judgement import write_verdict
from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.token_table import read_token_table, token_names


def main(
    tokens: list[str], states: str, weights: str, table: str, importance: str, verdict: str, *, settings: dict
) -> None:
    """Exchange tokens of frames of every state, follow gradients and attention, and compare what they say."""
    network = Network.read(weights)
    names = token_names(read_token_table(table))
    sample = Sample.read(tokens, states, n_frames=affordable_frames(settings["n_frames"], len(names)))
    probe = Probe.draw(sample.tokens, sample.everywhere, seed=0)
    trained = measure(network, sample, probe)
    untrained = [
        measure(network.untrained(sample.everywhere, seed=seed), sample, probe)
        for seed in range(settings["n_untrained"])
    ]
    agreement, controls = agreements(trained), control(trained, untrained)
    objections, notes = judge(agreement, controls, n_tokens=len(names), n_untrained=len(untrained))
    content = objections.verdict_and_reasons() | {"notes": notes, "agreement": agreement, "control": controls}
    content |= {"n_frames": len(sample.states), "n_tokens": len(names), "n_untrained": len(untrained)}
    content["provenance"] = provenance(inputs={path: path for path in [weights, table, states]}, settings=settings)
    with replace_when_complete(importance) as part:
        importance_table(trained, untrained, names).to_csv(part, index=False, float_format="%.6g")
    write_verdict(verdict, content, subject="importance of tokens")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output, settings=snakemake.params.settings)
