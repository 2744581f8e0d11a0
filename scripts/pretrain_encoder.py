"""Pretrain an encoder on public molecular geometries by denoising."""

import json
import logging
from dataclasses import asdict

import numpy as np
import pandas as pd
import torch

from geom2msm.encoder.architectures import encoder_config, kind_of, untrained
from geom2msm.encoder.geometries import hold_out, read_molecules
from geom2msm.encoder.pretraining import PretrainingConfig, pretrain
from geom2msm.encoder.weights import EncoderCard, save_encoder
from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete


def main(
    geometries: list[str], weights: str, history: str, card: str, *, encoder: str, architecture: dict, settings: dict
) -> None:
    """Train on the given collections and write the weights, their learning curve and what they were made from."""
    config = PretrainingConfig(**settings)
    torch.manual_seed(config.seed)
    molecules = [molecule for path in geometries for molecule in read_molecules(path)]
    training, validation = hold_out(
        molecules, fraction=config.validation_fraction, rng=np.random.default_rng(config.seed)
    )
    elements = tuple(sorted({int(z) for molecule in training for z in molecule.atomic_numbers}))
    network = encoder_config(architecture, origin=f"config/encoders.yaml: encoders.{encoder}")
    identity = EncoderCard(encoder, kind_of(network), elements, network)
    rows = []

    def report(progress, averaged):
        logging.info("%s", progress)
        rows.append(asdict(progress))
        with replace_when_complete(history) as part:
            pd.DataFrame(rows).to_csv(part, index=False)
        save_encoder(f"{weights}.part", averaged, identity)

    trained = pretrain(untrained(network), training, validation, config, report=report)
    with replace_when_complete(weights) as part:
        save_encoder(str(part), trained, identity)
    made_from = provenance(inputs={path: path for path in geometries}, settings=settings)
    facts = {
        "training_molecules": len(training),
        "validation_molecules": [molecule.name for molecule in validation],
        "training_geometries": sum(len(molecule.positions_nm) for molecule in training),
    }
    with replace_when_complete(card) as part:
        part.write_text(json.dumps(asdict(identity) | facts | rows[-1] | {"provenance": made_from}, indent=1) + "\n")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    torch.set_num_threads(snakemake.threads)
    architecture = dict(snakemake.params.architecture)
    settings = {key: value for key, value in snakemake.params.settings.items() if key != "geometries"}
    name = snakemake.wildcards.encoder
    main(**snakemake.input, **snakemake.output, encoder=name, architecture=architecture, settings=settings)
