"""Digests follow the imports, and outputs are complete or absent."""

import importlib.metadata
import json
import multiprocessing
from contextlib import contextmanager

import numpy as np
import pytest

from geom2msm import provenance as module
from geom2msm.provenance import (
    imported_modules,
    only_job,
    only_writer,
    provenance,
    replace_when_complete,
    sha256_file,
    source_digest,
    source_files,
)
from geom2msm.store import write_store


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "geom2msm"
    folder.mkdir()
    (tmp_path / "rule.py").write_text("from geom2msm.first import f\n")
    (folder / "first.py").write_text("def f():\n    from geom2msm.second import g\n    return g\n")
    (folder / "second.py").write_text("g = 1\n")
    (folder / "other.py").write_text("h = 1\n")
    monkeypatch.setattr(module, "SCRIPTS", tmp_path)
    return folder


def test_a_digest_covers_everything_reachable_by_import_and_nothing_else(package):
    assert [path.name for path in source_files("rule")] == ["first.py", "second.py", "rule.py"]
    before = source_digest("rule")
    (package / "other.py").write_text("h = 2\n")
    assert source_digest("rule") == before
    (package / "second.py").write_text("g = 2\n")
    changed = source_digest("rule")
    assert changed != before
    (package / "second.c").write_text("int g = 2;\n")
    (package / "second.h").write_text("#define G 2\n")
    assert source_digest("rule") != changed


def test_imports_are_found_in_blocks_of_every_kind(tmp_path):
    source = tmp_path / "a.py"
    source.write_text(
        """
class A:
    async def f(self):
        async with x:
            import in_with
try:
    import in_try
except* OSError:
    import in_handler
else:
    import in_else
finally:
    import in_finally
match x:
    case 1:
        for y in x:
            while y:
                if y:
                    pass
                elif x:
                    from package import in_case
"""
    )
    blocks = {"in_with", "in_try", "in_handler", "in_else", "in_finally", "package", "package.in_case"}
    assert imported_modules(source) == blocks


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")

    def fail():
        with replace_when_complete(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    with replace_when_complete(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    assert not part.exists()


def test_provenance_names_inputs_settings_and_versions(tmp_path):
    (tmp_path / "a").write_text("x")
    made_from = provenance(inputs={"a": str(tmp_path / "a")}, settings={"lag_ps": 2.0})
    assert made_from["inputs"] == {"a": sha256_file(tmp_path / "a")}
    assert made_from["settings"] == {"lag_ps": 2.0}
    assert "numpy" in made_from["versions"]
    json.dumps(made_from)


def test_what_is_read_and_written_stands_in_the_log_as_sha256sum_checks_it(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    (tmp_path / "in.csv").write_text("x")
    provenance(inputs={"table": "in.csv"}, settings={})
    with replace_when_complete("results/a.json") as part:
        part.write_text("{}")
    lines = [f"read {sha256_file('in.csv')}  in.csv", f"wrote {sha256_file('results/a.json')}  results/a.json"]
    assert caplog.messages == lines


def hold(manager, path, held, done):
    with manager(path):
        held.set()
        done.wait(20)


@contextmanager
def held_elsewhere(manager, path):
    """While another process is within `manager(path)`."""
    processes = multiprocessing.get_context("spawn")
    held, done = processes.Event(), processes.Event()
    other = processes.Process(target=hold, args=(manager, path, held, done))
    other.start()
    assert held.wait(20)
    yield
    done.set()
    other.join(20)


def test_a_job_that_another_process_is_at_is_not_begun(tmp_path):
    path = tmp_path / "member/weights.safetensors"
    with (
        held_elsewhere(only_job, path),
        pytest.raises(ValueError, match=r"weights\.safetensors\.lock: another process"),
        only_job(path),
    ):
        pass
    with pytest.raises(ZeroDivisionError), only_job(path):
        _ = 1 / 0
    with only_job(path):
        assert [file.name for file in path.parent.iterdir()] == ["weights.safetensors.lock"]
    assert not list(path.parent.iterdir())


def test_a_file_that_another_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "a.json"
    with held_elsewhere(only_writer, tmp_path / "a.json.part"):
        with (
            pytest.raises(ValueError, match=r"a\.json\.part: another process is writing this file"),
            replace_when_complete(path),
        ):
            pass
        with pytest.raises(ValueError, match="another process is writing this file"):
            write_store(f"{path}", attributes={}, arrays={"x": np.zeros(3)}, axes={"x": ("frame",)})
    with replace_when_complete(path) as part:
        part.write_text("{}")
    assert path.read_text() == "{}"


def test_versions_are_of_this_environment_not_of_what_was_appended_to_its_path(tmp_path, monkeypatch):
    (tmp_path / "leaked-1.0.dist-info").mkdir()
    (tmp_path / "leaked-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: leaked\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "REPORTED_PACKAGES", ("leaked", "numpy"))
    assert importlib.metadata.version("leaked") == "1.0"
    assert set(provenance(inputs={}, settings={})["versions"]) == {"python", "numpy"}
