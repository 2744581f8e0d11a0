"""python3 run.py status: what is done, missing, outdated, unfinished and failed, from Snakemake's list of files."""

import pytest

from geom2msm.status import failures, read_jobs, stages, table

HEADER = "output_file\tdate\trule\tlog-file(s)\tstatus\tplan"
STAGE = {"inspect": "trajectories", "embed": "tokens", "draw": "figures", "prepare": "encoders"}


def row(file, rule, log, *, status="ok", plan="no update"):
    return f"{file}\t-\t{rule}\t{log}\t{status}\t{plan}"


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    traceback = "12:00:00 begun\nTraceback (most recent call last):\n  File\nValueError: bad.xtc: the file is empty.\n"
    (tmp_path / "failed.log").write_text(traceback)
    (tmp_path / "killed.log").write_text("embedding: 10 %\n\n")
    lines = [
        row("results/encoders/e.safetensors", "prepare", "e.log"),
        row("results/a/trajectories/0.json", "inspect", "0.log"),
        row("results/a/trajectories/1.json", "inspect", "failed.log", status="missing", plan="update pending"),
        row("results/a/tokens/0.zarr.zip", "embed", "killed.log", status="missing", plan="update pending"),
        row("results/a/figures/x.pdf", "draw", "x.log", plan="update pending"),
        row("results/a/figures/x.csv", "draw", "x.log"),
        row("results/b/trajectories/0.json", "inspect", "b.log", status="missing", plan="update pending"),
    ]
    return read_jobs([HEADER, *lines], stage=STAGE)


def test_files_of_one_log_are_one_job_of_one_state(jobs):
    states = {(job.system, job.rule, job.log): job.state for job in jobs}
    assert states == {
        ("shared", "prepare", "e.log"): "done",
        ("a", "inspect", "0.log"): "done",
        ("a", "inspect", "failed.log"): "failed",
        ("a", "embed", "killed.log"): "unfinished",
        ("a", "draw", "x.log"): "outdated",
        ("b", "inspect", "b.log"): "missing",
    }


def test_the_table_counts_by_system_and_stage(jobs):
    lines = table(jobs, columns=["encoders", "trajectories", "tokens", "msm", "figures"]).splitlines()
    assert [line.split() for line in lines] == [
        ["system", "encoders", "trajectories", "tokens", "figures"],
        ["shared", "1/1", "-", "-", "-"],
        ["a", "-", "1/2,", "1", "failed", "0/1,", "1", "unfinished", "0/1,", "1", "outdated"],
        ["b", "-", "0/1", "-", "-"],
    ]


def test_the_last_words_of_what_failed_are_shown(jobs):
    text = failures(jobs)
    assert "inspect failed; the end of failed.log:" in text
    assert text.index("    ValueError: bad.xtc: the file is empty.") < text.index("embed has begun and not ended")
    assert "    embedding: 10 %" in text


def test_every_rule_has_a_stage_in_the_order_of_the_workflow():
    order = list(dict.fromkeys(stages().values()))
    assert order.index("trajectories") < order.index("tokens") < order.index("models") < order.index("msm")
    assert stages()["figure_ck_test"] == "figures"
