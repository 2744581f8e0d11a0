"""Get a collection of molecular geometries, checked by its checksum."""

from geom2msm.download import obtain
from geom2msm.log import log_to


def main(geometries: str, *, name: str, settings: dict) -> None:
    """Copy the collection from its local path, or fetch it, and check it."""
    obtain(
        path=settings["path"], url=settings.get("url"), sha256=settings["sha256"], output=geometries,
        config_key=f"config/encoders.yaml: geometries.{name}",
    )  # fmt: skip


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.output, name=snakemake.wildcards.geometries, settings=snakemake.params.settings)
