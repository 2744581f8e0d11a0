"""README, docs and the template say where things are: links lead where their texts say, and copied files work."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "workflow").rglob("README.md"))
YAML = [path for path in sorted((ROOT / "config").rglob("*.yaml")) if path.name != "template.yaml"]
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]+)?\)")
MODELINE = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_the_files_that_their_texts_name(page):
    for text, target, _ in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        assert (page.parent / target).exists(), target
        if re.fullmatch(r"[\w./-]+\.\w+|[A-Z]+", text):
            assert Path(target).parts[-len(Path(text).parts) :] == Path(text).parts, f"{text} leads to {target}"


@pytest.mark.parametrize("file", YAML, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_editors_find_the_schema_of_a_config(file):
    for schema in MODELINE.findall(file.read_text()):
        assert (file.parent / schema).is_file()


def test_editors_find_the_schema_of_a_copy_of_the_template():
    (schema,) = MODELINE.findall((ROOT / "config/template.yaml").read_text())
    assert (ROOT / "config/systems" / schema).is_file()


def test_numbers_about_enough_data_are_those_of_the_code():
    from geom2msm.sampled_matrices import FEW_COUNTS_PER_STATE
    from geom2msm.schema import read_schema
    from geom2msm.verdicts import FAIL_EVENTS, PASS_EVENTS, PASS_TRAJECTORIES

    microstates = read_schema("system")["properties"]["msm"]["properties"]["n_microstates"]["default"]
    pairs = read_schema("model_vampnet")["properties"]["batch_pairs"]["default"]
    text = " ".join((ROOT / "docs/tutorial.md").read_text().split())
    for words in (
        f"at least {FEW_COUNTS_PER_STATE} independent transitions",
        f"{FEW_COUNTS_PER_STATE} × `msm.n_microstates` × `msm.lag_ps`",
        f"the default of {microstates} microstates, {FEW_COUNTS_PER_STATE * microstates} ns",
        f"`batch_pairs` ({pairs})",
        f"{PASS_EVENTS} entries into and {PASS_EVENTS} exits",
        f"fewer than {FAIL_EVENTS} are refused by its verdict",
        f"fewer than {PASS_TRAJECTORIES} trajectories",
    ):
        assert words in text
