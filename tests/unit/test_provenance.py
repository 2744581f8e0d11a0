"""Digests follow the imports, and outputs are complete or absent."""

import json

import pytest

from geom2msm import provenance as module
from geom2msm.provenance import provenance, replace_when_complete, sha256_file, source_digest, source_files


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
