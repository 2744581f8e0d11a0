"""Logs: tracebacks are kept, and progress is readable in a file."""

import subprocess
import sys
from pathlib import Path

from geom2msm.log import progress

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=False, capture_output=True)


def test_print_logging_and_the_traceback_all_reach_the_file(tmp_path):
    path = tmp_path / "folder" / "rule.log"
    run(
        "import logging\nfrom geom2msm.log import log_to\n"
        f"import os\nlog_to({str(path)!r})\nprint('printed')\nos.system('echo shouted')\n"
        "logging.info('logged')\nraise ValueError('the reason')"
    )
    text = path.read_text()
    assert "printed" in text
    assert "shouted" in text
    assert "logged" in text
    assert "Traceback" in text
    assert "ValueError: the reason" in text


def test_progress_counts_what_items_hold_and_what_was_done_before(capsys):
    list(progress([3, 4], total=10, description="frames", unit="frames", done=3, size=lambda item: item))
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "10/10" in last
    assert "frames/s" in last


def test_progress_passes_every_item_on_and_writes_whole_lines(capsys):
    assert list(progress(iter(range(5)), total=5, description="frames")) == list(range(5))
    written = capsys.readouterr().err
    assert "\r" not in written
    assert written.endswith("\n")
    assert "frames: 100%" in written
