"""Try the encoder on a few noised frames of the system and stop where it does not know what it sees."""

import json
import logging
from pathlib import Path

import torch

from geom2msm.encoder.diagnosis import causes, refusal
from geom2msm.encoder.self_check import SUFFICIENT_R2, check_encoder
from geom2msm.encoder.trial_frames import read_sample, structure_sample
from geom2msm.encoder.weights import load_encoder
from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.topology import load_topology


def main(
    trajectory: str, topology: str, inventory: str, weights: str, reference: str, check: str,
    *, neighbor_rule: str, periodic: bool, noise_nm: float, minimum_r2: float | None, unseen_elements: dict,
    source: str,
) -> None:  # fmt: skip
    """Measure the denoising R², explain a low one, and stop if it is below the minimum."""
    known, (encoder, card) = json.loads(Path(inventory).read_text()), load_encoder(weights)
    names, sample = read_sample(
        trajectory, load_topology(topology), known, card=card, unseen_elements=unseen_elements, periodic=periodic
    )
    molecule = structure_sample(reference)
    found = check_encoder(encoder, sample, molecule, neighbor_rule=neighbor_rule, noise_nm=noise_nm, seed=0)
    score = found.overall
    reasons = causes(found, sample, names) if score.r2 < SUFFICIENT_R2 else []
    summary = (
        f"encoder {card.name} on {known['system']}: R² of the denoising head is {score.r2:.3f} ± "
        f"{score.standard_error:.3f} ({found.n_frames} frames of {known['trajectory']}, {neighbor_rule})"
    )
    if minimum_r2 is not None and score.r2 < minimum_r2:
        raise ValueError(refusal(summary, reasons, minimum_r2=minimum_r2, system=known["system"]))
    logging.log(logging.WARNING if reasons else logging.INFO, " ".join([f"{summary}.", *reasons]))
    inputs = {"trajectory": trajectory, "topology": topology, "weights": weights, "reference": reference}
    settings = {"neighbor_rule": neighbor_rule, "periodic": periodic, "noise_nm": noise_nm, "threshold": minimum_r2}
    content = {"system": known["system"], "trajectory": known["trajectory"], "encoder": card.name}
    content |= settings | {"verdict": "accepted by the config" if reasons else "pass", "causes": reasons}
    settings |= {"unseen_elements": unseen_elements, "source": source}
    content |= found.as_json() | {"provenance": provenance(inputs=inputs, settings=settings)}
    with replace_when_complete(check) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    main(**snakemake.input, **snakemake.output, **snakemake.params.settings, source=snakemake.params.source)
