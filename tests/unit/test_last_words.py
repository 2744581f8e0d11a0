"""The last lines of a run that failed: every failed job with its log and sentence, a lock, a word that is no target."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from geom2msm.last_words import COMMANDS, about_lock, failed_jobs, last_words, main

SENTENCE = "data/top.pdb: trajectories.selection = 'protin' is not an MDTraj selection."
ERROR = """[Sat Nov 21 21:34:42 2026]
Error in rule {rule}:
    message: None
    jobid: {jobid}
    input: in/a.xtc, in/top.pdb
    output: results/a.json
    log: {log} (check log file(s) for error details)
Logfile {log}:
==========
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the logs of three jobs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inspect.log").write_text(
        f"10:00:00 read\nTraceback (most recent call last):\n  x\nValueError: {SENTENCE}\n\n"
    )
    (tmp_path / "embed.log").write_text("frames:  10%|#    | 100/1000\n\n")
    (tmp_path / "draw.log").write_text("Traceback (most recent call last):\n  x\nzipfile.BadZipFile: not a zip\n")
    return tmp_path


def said(text, *, started=0.0, lock=Path("run.lock"), papers=()):
    return list(last_words(text, started=started, lock=lock, papers=papers))


def test_a_failed_job_is_one_line_with_rule_log_and_the_sentence(folder):
    text = ERROR.format(rule="inspect_trajectory", jobid=3, log="inspect.log")
    text += ERROR.format(rule="figure_verdicts", jobid=4, log="draw.log")
    assert said(text) == [
        f"inspect_trajectory failed (inspect.log): {SENTENCE}",
        "figure_verdicts failed (draw.log): zipfile.BadZipFile: not a zip",
    ]


def test_what_comes_after_the_error_does_not_hide_it(folder):
    with (folder / "inspect.log").open("a") as log:
        log.write("resource_tracker: there is 1 leaked semaphore\n")
    (line,) = said(ERROR.format(rule="inspect_trajectory", jobid=3, log="inspect.log"))
    assert line.endswith(SENTENCE)


def test_a_job_that_was_killed_is_named_although_its_log_says_nothing(folder):
    (line,) = said(ERROR.format(rule="embed_tokens", jobid=3, log="embed.log"))
    assert line.startswith("embed_tokens was ended before it could say why")
    assert line.endswith("its log embed.log ends with: frames:  10%|#    | 100/1000")


@pytest.mark.parametrize("state", ["of another run", "absent", "empty"])
def test_a_log_that_is_not_of_this_run_is_not_quoted(folder, state):
    started = time.time() + (3600 if state == "of another run" else -3600)
    log = {"absent": "absent.log", "empty": "empty.log"}.get(state, "inspect.log")
    (folder / "empty.log").touch()
    (line,) = said(ERROR.format(rule="inspect_trajectory", jobid=3, log=log), started=started)
    assert line.startswith(f"inspect_trajectory failed before it wrote into its log ({log})")


def test_of_several_attempts_the_last_one_counts():
    error = ERROR.format(rule="embed_tokens", jobid=3, log="embed.log")
    assert len(failed_jobs(error + error)) == 1
    assert failed_jobs(error + "Finished jobid: 3 (Rule: embed_tokens)\n") == []
    assert len(failed_jobs("Finished jobid: 3 (Rule: embed_tokens)\n" + error)) == 1
    assert len(failed_jobs(error + "Finished jobid: 33 (Rule: embed_tokens)\n")) == 1


def test_of_very_many_jobs_the_first_are_quoted_and_the_rest_is_counted(folder):
    text = "".join(ERROR.format(rule=f"rule_{i}", jobid=i, log=f"{i}.log") for i in range(50))
    lines = said(text)
    assert len(lines) == 21
    assert lines[-1] == "30 more jobs failed: python3 run.py status"


def test_jobs_that_the_user_ended_are_not_called_failures(folder):
    ended = "Terminating processes on user request, this might take some time.\n"
    assert said(ended + ERROR.format(rule="embed_tokens", jobid=3, log="embed.log")) == []


def test_a_run_without_failures_has_no_last_words():
    assert said("Building DAG of jobs...\nFinished jobid: 1 (Rule: all)\n") == []


NO_RULE = "MissingRuleException:\nNo rule to produce {} (if you use input functions make sure that they don't raise).\n"


@pytest.mark.parametrize(
    ("word", "meant"),
    [("statuss", "status"), ("figurs", "figures"), ("sweep", "sweeps"), ("paper_s2_fg3", "paper_s2_fig3")],
)
def test_the_nearest_known_word_is_suggested(word, meant):
    (line,) = said(NO_RULE.format(word), papers=["paper_s2_fig3", "paper_s2_fig4"])
    assert line == f"{word} is no target; did you mean: python3 run.py {meant}"


def test_a_word_near_to_none_lists_them_and_a_path_nothing():
    (line,) = said(NO_RULE.format("xyzzy"))
    assert "figures" in line
    assert "verify" in line
    assert said(NO_RULE.format("results/mine/xyzzy.json")) == []


def test_the_commands_are_those_of_run_py(repository):
    text = (repository / "run.py").read_text()
    assert all(f"python3 run.py {command}" in text for command in COMMANDS)


def test_unlock_is_said_only_where_no_other_run_goes_on(tmp_path, capsys):
    lock = tmp_path / "run.lock"
    text = "LockException:\nError: Directory cannot be locked. Please make\n"
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        (line,) = said(text, lock=lock)
        assert line.startswith("another run is going on in this folder")
        assert "unlock" not in line
    (line,) = said(text, lock=lock)
    assert "python3 run.py --unlock" in line
    assert about_lock(lock) == line
    (tmp_path / "snakemake.log").write_text(text)
    main("0.0", str(lock), str(tmp_path / "snakemake.log"))
    assert capsys.readouterr().out == f"{line}\n"
    assert os.path.getsize(lock) == 0
