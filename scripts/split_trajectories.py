"""Split the trajectories of a system, or blocks of them, into folds for cross-validation."""

from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.runs import join_runs, read_inventories
from geom2msm.splits import SplitSettings, make_folds, write_folds


def main(inventories: list[str], split: str, *, continuous: bool, settings: dict) -> None:
    """Divide the frames that the inventories count."""
    known = read_inventories(inventories)
    runs = join_runs(known, continuous=continuous)
    folds = make_folds(runs, SplitSettings(**settings), frame_interval_ps=known[0]["frame_interval_ps"])
    sources = {inventory["trajectory"]: path for inventory, path in zip(known, inventories, strict=True)}
    origin = provenance(inputs=sources, settings=settings | {"continuous": continuous})
    with replace_when_complete(split) as part:
        write_folds(part, folds, provenance=origin)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, **snakemake.params.split)
