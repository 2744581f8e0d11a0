"""Figures of papers: each can be made, or says in one sentence what is missing and what to supply."""

import re
from pathlib import Path

import pytest
import yaml

from geom2msm.papers import asked_figures, asked_sweeps, asked_systems, load_papers, refusal
from geom2msm.schema import ConfigError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = str(ROOT / "config")
PAPERS = load_papers(str(ROOT / "config/papers.yaml"))
named = pytest.mark.parametrize("target", sorted(PAPERS))


@named
def test_what_a_figure_is_drawn_by_exists(target):
    figure = PAPERS[target]
    for name in figure["drawn_by"]:
        assert (ROOT / f"scripts/figure_{name}.py").exists()
    for name in figure["sweeps"]:
        assert (ROOT / f"config/sweeps/{name}.yaml").exists()


@named
def test_a_figure_is_made_or_refused_in_one_sentence(target):
    sentence = refusal(target, PAPERS[target], folder=FOLDER)
    if sentence:
        assert sentence.startswith(f"{target} cannot be made (")
        assert sentence.endswith(".")
        assert len(re.findall(r"[a-z0-9][.](\s|$)", sentence.replace("et al. ", ""))) == 1
        with pytest.raises(ConfigError, match=re.escape(sentence)):
            asked_figures(PAPERS, ["snakemake", target], folder=FOLDER)
    else:
        assert list(asked_figures(PAPERS, ["snakemake", target], folder=FOLDER)) == [target]


def test_all_figures_and_tables_of_the_second_paper_are_listed():
    numbers = [f"fig{n}" for n in range(1, 21)] + [f"table{n}" for n in range(1, 11)]
    assert {name for name in PAPERS if name.startswith("paper_s2_")} == {f"paper_s2_{number}" for number in numbers}


def test_a_system_of_the_users_makes_the_figure(tmp_path):
    figure = {"shows": "states", "system": "mine", "drawn_by": ["annotation"], "sweeps": [], "needs": "Supply it."}
    assert refusal("paper_x", figure, folder=str(tmp_path)) == (
        f"paper_x cannot be made (states): there is no {tmp_path}/systems/mine.yaml; supply it."
    )
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems/mine.yaml").touch()
    assert refusal("paper_x", figure, folder=str(tmp_path)) == ""


def test_a_sweep_that_the_users_folder_lacks_is_named(tmp_path):
    figure = {"shows": "scores", "drawn_by": [], "sweeps": ["dimensions"]}
    assert refusal("paper_x", figure, folder=str(tmp_path)) == (
        f"paper_x cannot be made (scores): there is no {tmp_path}/sweeps/dimensions.yaml; "
        "copy it from the repository of geom2msm"
    )


def test_only_what_is_asked_for_is_read():
    assert asked_figures(PAPERS, ["snakemake", "--cores", "2", "figures"], folder=FOLDER) == {}
    asked = asked_figures(PAPERS, ["snakemake", "paper_s2_fig2", "paper_s2_fig3", "-n"], folder=FOLDER)
    assert asked_systems(asked) == ["ala2_implicit"]
    assert asked_sweeps(asked) == ["pentapeptide_dimensions"]
    as_module = asked_figures(PAPERS, ["snakemake", "-n", "kinetics_paper_s2_fig3"], folder=FOLDER)
    assert list(as_module) == ["paper_s2_fig3"]


def test_the_job_of_a_cluster_reads_its_own():
    words = ["snakemake", "--target-jobs", "embed_tokens:encoder=visnet,system=ala2_implicit,trajectory=trajectory-0"]
    assert asked_systems(asked_figures(PAPERS, words, folder=FOLDER)) == ["ala2_implicit"]
    words = ["snakemake", "--target-jobs", "collect_sweep:system=pentapeptide,sweep=pentapeptide_widths"]
    assert "pentapeptide_widths" in asked_sweeps(asked_figures(PAPERS, words, folder=FOLDER))


def test_without_the_list_there_are_no_targets(tmp_path):
    assert load_papers(str(tmp_path / "papers.yaml")) == {}


@pytest.mark.parametrize(
    ("figure", "problem"),
    [
        ({"shows": "x"}, "paper_a_fig1 is drawn by nothing; say in needs what is missing"),
        ({"shows": "x", "system": "toy"}, "paper_a_fig1: system and drawn_by go together"),
        ({"shows": "x", "drawn_by": ["ck_test"]}, "paper_a_fig1: system and drawn_by go together"),
        ({"shows": "x", "need": "y"}, "need"),
    ],
)
def test_a_mistake_in_the_list_is_named(tmp_path, figure, problem):
    file = tmp_path / "papers.yaml"
    file.write_text(yaml.safe_dump({"papers": {"a": {"citation": "A", "figures": {"fig1": figure}}}}))
    with pytest.raises(ConfigError, match=re.escape(problem)):
        load_papers(str(file))
