"""python3 run.py verify: any change of an artefact, or of what it was made from, is one sentence."""

import logging
import os

import numpy as np
import pytest

from geom2msm.provenance import provenance, replace_when_complete
from geom2msm.store import write_store
from geom2msm.verification import artefacts, main, problems


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A raw file, a table made from it, and a store made from the table, each with the log of its job."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.xtc").write_bytes(b"frames")
    with job("results/logs/s/first.log"):
        provenance(inputs={"file": "raw.xtc"}, settings={})
        with replace_when_complete("results/s/table.csv") as part:
            part.write_text("a\n1\n")
    with job("results/logs/s/second.log"):
        provenance(inputs={"table": "results/s/table.csv"}, settings={})
        arrays, axes = {"x": np.arange(5.0)}, {"x": ("frame",)}
        write_store("results/s/x.zarr.zip", attributes={}, arrays=arrays, axes=axes)
    return tmp_path / "results"


class job:
    """Logging to a file, as a rule's script does it for the rest of its process."""

    def __init__(self, log):
        os.makedirs(os.path.dirname(log), exist_ok=True)
        self.handler = logging.FileHandler(log)
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))

    def __enter__(self):
        logging.getLogger().addHandler(self.handler)
        self.level = logging.getLogger().level
        logging.getLogger().setLevel(logging.INFO)

    def __exit__(self, *_):
        logging.getLogger().removeHandler(self.handler)
        logging.getLogger().setLevel(self.level)
        self.handler.close()


def found(results):
    return list(problems(results.relative_to(results.parent)))


def test_untouched_results_match(results, capsys):
    assert found(results) == []
    assert main("results") == 0
    said = capsys.readouterr().out
    assert "2 artefacts in results and 2 files they were made from: all match" in said
    assert "--force" not in said


def test_a_changed_artefact_is_named_and_so_is_what_was_made_from_it(results, capsys):
    (results / "s/table.csv").write_text("a\n2\n")
    one, other = found(results)
    assert one.startswith("results/s/table.csv: has changed since it was written: its sha256 is ")
    assert other.startswith("results/s/x.zarr.zip: was made from another results/s/table.csv: that had sha256 ")
    assert main("results") == 1
    said = capsys.readouterr().out
    assert "2 of their records do not match" in said
    assert "python3 run.py --force FILE" in said[said.index("2 of their records") :]


def test_a_changed_or_lost_raw_file_is_named_by_what_was_made_from_it(results):
    raw = results.parent / "raw.xtc"
    raw.write_bytes(b"other frames")
    (sentence,) = found(results)
    assert sentence.startswith("results/s/table.csv: was made from another raw.xtc: that had sha256 ")
    raw.unlink()
    assert found(results) == ["results/s/table.csv: was made from raw.xtc, which is not there any more"]


def test_a_damaged_store_says_which_member(results):
    store = results / "s/x.zarr.zip"
    content = bytearray(store.read_bytes())
    content[content.find(np.arange(5.0).tobytes()) + 3] ^= 1
    store.write_bytes(content)
    (sentence,) = found(results)
    assert "x/c/0 does not have the checksum it was written with" in sentence


def test_another_sound_store_in_its_place_is_noticed(results):
    write_store("results/s/x.zarr.zip", attributes={}, arrays={"x": np.arange(6.0)}, axes={"x": ("frame",)})
    (sentence,) = found(results)
    assert sentence.endswith("it is a sound store")


def test_a_lost_artefact_and_one_without_record_are_named(results):
    (results / "s/x.zarr.zip").unlink()
    (results / "s/new.csv").write_text("b\n")
    missing, unknown = found(results)
    assert missing.startswith("results/s/x.zarr.zip: is missing; results/logs/s/second.log says")
    assert unknown == "results/s/new.csv: no log says with which checksum it was written"


def test_of_two_logs_the_later_one_counts(results):
    with job("results/logs/s/renamed.log"), replace_when_complete("results/s/table.csv") as part:
        part.write_text("a\n3\n")
    sentences = found(results)
    assert len(sentences) == 1
    assert sentences[0].startswith("results/s/x.zarr.zip: was made from another results/s/table.csv")


def test_logs_benchmarks_reports_and_unfinished_files_are_no_artefacts(results):
    for name in ("logs/a.log", "benchmarks/b.jsonl", "report.zip", "s/y.zarr.zip.part"):
        (results / name).parent.mkdir(exist_ok=True)
        (results / name).touch()
    assert [path.name for path in artefacts(results)] == ["table.csv", "x.zarr.zip"]


def test_a_file_that_a_job_removed_is_not_missed(results):
    with job("results/logs/s/third.log"):
        with replace_when_complete("results/s/download") as part:
            part.write_text("x")
        (results / "s/download").unlink()
        logging.info("removed %s", "results/s/download")
    assert found(results) == []
