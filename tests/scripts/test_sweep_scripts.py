"""The table of a sweep has one row per member, with what was varied, both estimators of the score, and the costs."""

import csv
import json

import pytest

import collect_sweep

AXES = [{"mixer": "sum", "dimensions": 2}, {"mixer": "none", "dimensions": 3}, {"baseline": "tica_torsions"}]


def member(folder, number, axes, *, fold, max_rss):
    """Scores and benchmark file of one member, and its row."""
    scores = {
        "fold": fold, "seed": 0, "lag_ps": 5.0, "dimensions": axes.get("dimensions", 4), "best_epoch": 3,
        "n_training_pairs": 100, "n_validation_pairs": 90, "singular_values": [0.9],
        "score_training": 1.5 + number, "score_training_batch_mean": 1.6 + number,
        "score_validation": 1.1 + number, "score_validation_batch_mean": 1.2 + number,
    }  # fmt: skip
    paths = [folder / f"{number}-{fold}.{ending}" for ending in ("json", "costs.json", "jsonl")]
    paths[0].write_text(json.dumps(scores))
    paths[1].write_text(json.dumps({"seconds": 9.0, "peak_memory_mib": 600.5, "peak_gpu_memory_mib": 0.0}))
    paths[2].write_text(json.dumps({"s": 10.0 + number, "h:m:s": "0:00:10", "max_rss": max_rss}) + "\n")
    return [*map(str, paths), axes | {"kind": "vampnet", "fold": fold, "seed": 0}]


@pytest.fixture
def members(tmp_path):
    found = [
        member(tmp_path, number, axes, fold=fold, max_rss=500.25 if fold else "NA")
        for number, axes in enumerate(AXES)
        for fold in (0, 1)
    ]
    return [list(column) for column in zip(*found, strict=True)]


def test_every_member_is_a_row_with_its_axes_scores_and_costs(members, tmp_path):
    *files, rows = members
    path = tmp_path / "members.csv"
    collect_sweep.main(*files, str(path), rows=rows)
    with path.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["mixer"], row["baseline"], row["fold"]) for row in table] == [
        ("sum", "", "0"), ("sum", "", "1"), ("none", "", "0"), ("none", "", "1"),
        ("", "tica_torsions", "0"), ("", "tica_torsions", "1"),
    ]  # fmt: skip
    assert [row["dimensions"] for row in table] == ["2", "2", "3", "3", "4", "4"]
    for number, row in enumerate(table):
        offset = number // 2
        for name, base in {"training": 1.5, "training_batch_mean": 1.6, "validation": 1.1}.items():
            assert float(row[f"score_{name}"]) == pytest.approx(base + offset)
        assert float(row["score_validation_batch_mean"]) == pytest.approx(1.2 + offset)
        assert (float(row["wall_s"]), float(row["peak_memory_mib"])) == (10.0 + offset, 600.5)
    # Jobs that end before Snakemake's first sample have none.
    assert [row["sampled_memory_mib"] for row in table] == ["", "500.25"] * 3


def test_scores_in_another_order_than_the_rows_are_refused(members, tmp_path):
    *files, rows = members
    with pytest.raises(ValueError, match=r"0-1\.json is of fold 1, but fold 0 was expected"):
        collect_sweep.main(
            files[0][1::-1], *(paths[:2] for paths in files[1:]), str(tmp_path / "members.csv"), rows=rows[:2]
        )
    assert not (tmp_path / "members.csv").exists()
