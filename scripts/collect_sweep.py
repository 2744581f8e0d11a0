"""Put all members of a sweep into one table."""

from collections.abc import Mapping, Sequence

from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.sweep_table import member_rows, write_members


def main(
    scores: list[str], costs: list[str], benchmarks: list[str], members: str, *, rows: Sequence[Mapping[str, object]]
) -> None:
    """Read scores, costs and benchmark files, in the order of the rows, and write the table."""
    table = list(member_rows(rows, scores, costs, benchmarks))
    with replace_when_complete(members) as part:
        write_members(part, table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, rows=snakemake.params.rows)
