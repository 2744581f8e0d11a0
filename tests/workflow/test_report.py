"""The report opens in a browser, shows every figure with its caption, and asks nothing of the outside world."""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
FIGURES = sorted(path.stem.removeprefix("figure_") for path in (ROOT / "scripts").glob("figure_*.py"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ENCODER = "toy_encoder"

# The rules of the figures as they are, between a stand-in for the rest of the workflow.
SNAKEFILE = """
SYSTEMS = {"toy": {"msm": {"model": "vampnet", "baseline": "tica_torsions", "lag_ps": 10.0}}}

report: "workflow/report/workflow.rst"

def source_digest(rule):
    return rule

def any_input(pattern, model=None):
    return lambda wildcards: ["input.txt"]

def msm_models(wildcards):
    return ["vampnet", "tica_torsions"]

def encoder_check_file(wildcards):
    return "input.txt"

per_trajectory = of_model = members = any_input

include: "workflow/rules/figures_models.smk"
include: "workflow/rules/figures_states.smk"
include: "workflow/rules/figures_kinetics.smk"
include: "workflow/rules/figures.smk"
"""


class Browser:
    """Headless Chromium, spoken to in its DevTools protocol over a pipe."""

    def __init__(self, to_browser, from_browser):
        self.to_browser, self.from_browser = to_browser, from_browser
        self.calls, self.session, self.requested = 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime"):
            self.call(f"{domain}.enable")

    def message(self) -> dict:
        received = bytearray()
        while not received.endswith(b"\0"):
            byte = self.from_browser.read(1)
            assert byte, "Chromium ended"
            received += byte
        message = json.loads(received[:-1])
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        return message

    def call(self, method: str, **parameters: object) -> dict:
        self.calls += 1
        content = {"id": self.calls, "method": method, "params": parameters}
        content |= {"sessionId": self.session} if self.session else {}
        self.to_browser.write(json.dumps(content).encode() + b"\0")
        self.to_browser.flush()
        while (answer := self.message()).get("id") != self.calls:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def evaluate(self, expression: str) -> object:
        """Value of a JavaScript expression, once its promise is fulfilled."""
        options = {"awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, page: Path) -> None:
        self.call("Page.navigate", url=page.as_uri())
        while self.message().get("method") != "Page.loadEventFired":
            pass


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser that ends with the block."""
    (in_read, in_write), (out_read, out_write) = os.pipe(), os.pipe()

    def arrange_pipes() -> None:
        # Chromium reads descriptor 3 and writes descriptor 4; the copies keep them from overwriting each other.
        source, sink = os.dup2(in_read, 103), os.dup2(out_write, 104)
        os.dup2(source, 3)
        os.dup2(sink, 4)

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        [CHROMIUM, *flags, "--window-size=1400,1000"], preexec_fn=arrange_pipes, close_fds=False, **quiet
    )
    os.close(in_read)
    os.close(out_write)
    with open(in_write, "wb") as to_browser, open(out_read, "rb", buffering=0) as from_browser:
        try:
            yield Browser(to_browser, from_browser)
        finally:
            process.terminate()
            process.wait(timeout=30)


def write_figures(folder: Path) -> None:
    """Files at the places that the rules name; what figures look like is tested elsewhere."""
    for figure in FIGURES:
        place = folder / (f"encoders/{ENCODER}" if figure == "pretraining" else "toy/figures")
        place.mkdir(parents=True, exist_ok=True)
        drawn = Figure(figsize=(2, 1))
        drawn.text(0.5, 0.5, figure)
        for ending in ("png", "pdf"):
            drawn.savefig(place / f"{figure}.{ending}")
        (place / f"{figure}.csv").write_text("x\n1\n")


@pytest.fixture(scope="module")
def report(tmp_path_factory, snakemake) -> Path:
    """The unpacked report of a workflow whose figures exist."""
    folder = tmp_path_factory.mktemp("report")
    for name in ("workflow", "envs", "scripts", "config"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "input.txt").touch()
    (folder / "resources/encoders").mkdir(parents=True)
    (folder / f"resources/encoders/{ENCODER}.csv").touch()
    write_figures(folder / "results")
    for arguments in (["--cores", "1", "--touch", "figures"], ["figures", "--report", "report.zip"]):
        made = subprocess.run([snakemake, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
    with zipfile.ZipFile(folder / "report.zip") as archive:
        archive.extractall(folder)
    return folder / "report/report.html"


def test_the_report_holds_every_figure_with_its_filled_in_caption(report):
    images = {path.stem for path in report.parent.rglob("*.png")}
    assert images == set(FIGURES)
    page = report.read_text()
    assert "A good order to read them in" in page
    assert "Learning curves of vampnet on toy." in page
    assert "VAMP-2 scores of vampnet and tica_torsions on toy." in page
    assert f"How the encoder {ENCODER} was pretrained." in page
    assert "{{" not in "".join(line for line in page.splitlines() if "<strong>" in line)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get update && apt-get install -y chromium")
def test_every_image_of_the_report_loads_and_nothing_outside_is_asked(report, tmp_path):
    with browser(tmp_path / "profile") as page:
        page.open(report)
        text = page.evaluate("document.body.innerText")
        assert "toy" in text
        widths = page.evaluate(
            """Promise.all(Object.values(results).filter(result => result.mime_type == "image/png").map(
                result => new Promise(resolve => {
                    const image = new Image();
                    image.onload = () => resolve(image.naturalWidth);
                    image.onerror = () => resolve(0);
                    image.src = result.data_uri;
                })))"""
        )
        assert len(widths) == len(FIGURES)
        assert all(width > 0 for width in widths)
        outside = [url for url in page.requested if not url.startswith(("file:", "data:", "blob:"))]
        assert not outside
