"""One verdict table for a Markov state model, from the files that its checks wrote."""

import csv
import json
from pathlib import Path

from geom2msm import verdicts as checks
from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.training_verdict import judge_training

TABLE_COLUMNS = ("check", "verdict", "number", "value", "action", "reasons")


def read_rows(path: str) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    return list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))


def main(
    lag: str, ck_test: str, connectivity: str, spectrum: str, reversibility: str, relaxation: str, sampling: str,
    convergence: str, ensemble: str, baseline: str, encoder: list[str], vamp2_consistency: str,
    importance: list[str], verdicts: str, table: str, *, system: str, model: str, biased: bool,
) -> None:  # fmt: skip
    """Judge each check, and write the table for people and for programs; checks of tokens may not apply."""
    judged = {
        "lag": checks.judge_lag(read_json(lag)),
        "CK test": checks.judge_ck_test(read_json(ck_test)),
        "connectivity": checks.judge_connectivity(read_json(connectivity)),
        "number of states": checks.judge_spectrum(read_json(spectrum)),
        "equilibrium": checks.judge_equilibrium(read_json(reversibility), biased=biased),
        "relaxation": checks.judge_relaxation(read_json(relaxation)),
        "visits": checks.judge_visits(read_rows(sampling)),
        "convergence": checks.judge_convergence(read_json(convergence)),
        "training": judge_training(read_json(ensemble), read_json(baseline)),
        "agreement of seeds": checks.judge_seeds(read_json(ensemble)),
        "encoder check": checks.judge_if_any(checks.judge_encoder, [read_json(path) for path in encoder]),
        "VAMP-2 consistency": checks.judge_vamp2(read_json(vamp2_consistency)),
        "interpretation": checks.judge_if_any(checks.judge_interpretation, [read_json(path) for path in importance]),
    }
    rows = [checks.table_row(check, found) for check, found in judged.items()]
    read = [lag, ck_test, connectivity, spectrum, reversibility, relaxation, sampling, convergence, ensemble, baseline]
    read += [*encoder, vamp2_consistency, *importance]
    content = {"system": system, "model": model, "verdict": checks.overall(rows), "headline": checks.headline(rows)}
    content |= {"rows": rows, "thresholds": checks.THRESHOLDS}
    content["provenance"] = provenance(inputs={path: path for path in read}, settings={})
    with replace_when_complete(verdicts) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with replace_when_complete(table) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, TABLE_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"reasons": "; ".join(row["reasons"])} for row in rows)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output, **snakemake.wildcards, biased=snakemake.params.biased)
