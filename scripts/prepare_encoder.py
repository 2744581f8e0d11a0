"""Get an encoder's weights, check them against the declared architecture, write them in one format."""

import logging
from pathlib import Path

from safetensors.torch import load_file

from geom2msm.download import obtain
from geom2msm.encoder.architectures import encoder_config, kind_of
from geom2msm.encoder.checkpoints import read_geom2vec
from geom2msm.encoder.weights import EncoderCard, build_encoder, save_encoder
from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete

READERS = {"safetensors": lambda path, kind: load_file(path), "geom2vec": read_geom2vec}


def main(weights: str, *, encoder: str, settings: dict) -> None:
    """Obtain, verify and convert; a damaged or mismatching checkpoint stops here, before any use."""
    source = settings["weights"]
    original = f"{weights}.original"
    key = f"config/encoders.yaml: encoders.{encoder}.weights"
    obtain(path=source["path"], url=source.get("url"), sha256=source["sha256"], output=original, config_key=key)
    config = encoder_config(settings["architecture"], origin=f"config/encoders.yaml: encoders.{encoder}")
    card = EncoderCard(encoder, kind_of(config), tuple(settings["elements"]), config)
    verified = build_encoder(config, READERS[source["format"]](original, card.architecture), origin=source["path"])
    with replace_when_complete(weights) as part:
        save_encoder(str(part), verified, card)
    Path(original).unlink()
    logging.info("removed %s", original)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.output, encoder=snakemake.wildcards.encoder, settings=snakemake.params.settings)
