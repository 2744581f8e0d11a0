"""The report: one HTML page with everything in it, to be opened anywhere."""

import json
from pathlib import Path

from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.report_page import code_version, page


def main(verdicts: list[str], sections: list[str], template: str, citation: str, report: str) -> None:
    """Put the systems' sections together, under a table of all verdicts if there are several."""
    judged = [json.loads(Path(path).read_text(encoding="utf-8")) for path in verdicts]
    parts = [Path(path).read_text(encoding="utf-8") for path in sections]
    written = page(
        Path(template).read_text(encoding="utf-8"),
        judged=judged,
        sections=parts,
        version=code_version(Path(citation).read_text(encoding="utf-8")),
    )
    with replace_when_complete(report) as part:
        part.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
