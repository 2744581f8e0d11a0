"""Get a collection of molecular geometries, checked by its checksum or its table."""

from pathlib import Path

from geom2msm.download import fetch_text, obtain
from geom2msm.encoder.peptide_grid import convert_grid
from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete


def main(geometries: str, *, name: str, settings: dict) -> None:
    """Copy the collection from its local path, or fetch it, and check it."""
    if "table" in settings and not Path(settings["path"]).is_file():
        with replace_when_complete(geometries) as part:
            convert_grid(settings["table"], part, fetch=lambda file: fetch_text(f"{settings['url']}/{file}"))
        return
    obtain(
        path=settings["path"],
        url=settings.get("url"),
        sha256=settings["sha256"],
        output=geometries,
        config_key=f"config/encoders.yaml: geometries.{name}",
    )


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.output, name=snakemake.wildcards.geometries, settings=snakemake.params.settings)
