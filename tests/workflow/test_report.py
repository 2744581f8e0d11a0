"""The report of Snakemake opens in a browser, shows every figure with its caption, and asks nothing of the world."""

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from browser import browser, needs_browser

ROOT = Path(__file__).resolve().parents[2]
LINKED = ("Snakefile", "workflow", "envs", "scripts", "config", "resources", "CITATION.cff", "requirements")


def run(command: Path, folder: Path, *arguments: str) -> str:
    # What another test of the same run has put on the path or into settings is not ours.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    made = subprocess.run(
        [command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def results_of(command: Path, folder: Path) -> list[str]:
    """Every file that the default run makes, by Snakemake's own list."""
    table = run(command, folder, "--summary").splitlines()
    return [line.split("\t")[0] for line in table[1:] if line.strip()]


def write_stand_in(path: Path) -> None:
    """A file at the place that a rule names; what is really in it is tested elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".png", ".pdf"):
        drawn = Figure(figsize=(2, 1))
        drawn.text(0.5, 0.5, path.stem)
        drawn.savefig(path)
    # Resources of later jobs are estimated from these numbers.
    elif path.parent.name == "trajectories":
        path.write_text(json.dumps({"n_selected_atoms": 10, "n_frames": 100}))
    elif path.name == "split.json":
        path.write_text(json.dumps({"runs": [{"run-0": 100}]}))
    else:
        path.write_text("x\n1\n")


@pytest.fixture(scope="module")
def report(tmp_path_factory, snakemake) -> Path:
    """The unpacked report of the default system, all of whose results are stand-ins."""
    folder = tmp_path_factory.mktemp("report")
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    for path in results_of(snakemake, folder):
        write_stand_in(folder / path)
    run(snakemake, folder, "--cores", "1", "--touch")
    run(snakemake, folder, "--report", "report.zip")
    with zipfile.ZipFile(folder / "report.zip") as archive:
        archive.extractall(folder)
    return folder / "report/report.html"


def figures(report: Path) -> set[str]:
    return {path.stem for path in (report.parents[1] / "results").rglob("*.png")}


def test_the_report_holds_every_figure_with_its_filled_in_caption(report):
    assert {path.stem for path in report.parent.rglob("*.png")} == figures(report)
    page = report.read_text()
    assert "A good order to read them in" in page
    assert "Learning curves of vampnet on alanine_dipeptide." in page
    assert "VAMP-2 scores of vampnet and tica_torsions on alanine_dipeptide." in page
    assert "How the encoder visnet_l6_h64 was pretrained." in page
    assert "{{" not in "".join(line for line in page.splitlines() if "<strong>" in line)


@pytest.mark.browser
@needs_browser
def test_every_image_of_the_report_loads_and_nothing_outside_is_asked(report, tmp_path):
    with browser(tmp_path / "profile") as page:
        page.open(report)
        assert "alanine_dipeptide" in page.evaluate("document.body.innerText")
        widths = page.evaluate(
            """Promise.all(Object.values(results).filter(result => result.mime_type == "image/png").map(
                result => new Promise(resolve => {
                    const image = new Image();
                    image.onload = () => resolve(image.naturalWidth);
                    image.onerror = () => resolve(0);
                    image.src = result.data_uri;
                })))"""
        )
        assert len(widths) == len(figures(report))
        assert all(width > 0 for width in widths)
        assert not page.outside()
