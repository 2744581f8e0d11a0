"""The report page: verdicts first, everything in one file, escaped, and readable on any screen."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.style
import pytest
import yaml
from matplotlib.figure import Figure

import describe_system
import judge_model
import write_report
from browser import browser, needs_browser
from geom2msm import report_figures
from geom2msm.verdict_texts import QUESTIONS

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = '<script>alert(1)</script><img src="https://example.org/x.png" onerror="alert(2)">'
SYSTEMS = ("toy", "other")
# One column and two columns of a journal, in inches.
NARROW, WIDE = 3.3, 7.0
FIGURES = {"ck_test": WIDE, "implied_timescales": WIDE, "rates_network": NARROW, "brand_new": NARROW, "verdicts": WIDE}
SHA256 = "0" * 64
CAPTION = "**About {{ snakemake.wildcards.system }}** at {{ snakemake.params.lag_ps }} ps: a < b & c.\n"
ENDINGS = {"images": "png", "drawings": "pdf", "tables": "csv"}


def write_json(path: Path, content: dict) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


def write_table(path: Path, header: str, *rows: str) -> str:
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def verdict_files(folder: Path) -> dict[str, object]:
    """What judge_model reads: a lag that is too short, hostile reasons, and a state hardly visited."""

    def verdict(name: str, verdict: str, *reasons: str, **numbers: object) -> str:
        return write_json(folder / f"{name}.json", {"verdict": verdict, "reasons": list(reasons)} | numbers)

    member = {
        "dimensions": 3,
        "lag_ps": 2.0,
        "seed": 0,
        "score_validation": 2.5,
        "best_epoch": 30,
        "stopped_early": True,
    }
    member |= {"n_training_pairs": 10_000, "batch_pairs": 1000}
    members = [member | {"fold": fold} for fold in range(2)]
    baseline = [member | {"fold": fold, "score_validation": 2.2} for fold in range(2)]
    agreement = {"pairs": [{"members": [0, 1], "overlap": 0.5}], "n_functions": 3}
    score = {"r2": 0.58, "standard_error": 0.01}
    provenance = {"inputs": {"weights": SHA256}, "settings": {}, "versions": {"python": "3.11"}}
    errors = {"largest_difference_in_errors": None, "largest_difference": None}
    check = {"encoder": "visnet", "verdict": "pass", "causes": [], "provenance": provenance} | score
    return {
        "lag": verdict("lag", "warn", HOSTILE, configured_lag_ps=2.0, proposed_lag_ps=3.0),
        "ck_test": verdict("ck_test", "pass", largest_deviation_in_errors=0.66, largest_deviation=0.009),
        "connectivity": verdict("connectivity", "fail", "too little", fraction_of_frames_active=0.6),
        "spectrum": verdict("spectrum", "warn", "no gap", gap=1.4, n_macrostates=3, n_macrostates_asked=3),
        "reversibility": verdict(
            "reversibility", "pass", largest_difference_in_errors=0.1, largest_of_all_in_errors=1.9, n_compared=12
        ),
        "relaxation": verdict("relaxation", "pass", largest_deviation_in_errors=2.1),
        "sampling": write_table(
            folder / "sampling.csv", "state,entries,exits,n_trajectories", "1,1200,1201,8", "2,6,5,2"
        ),
        "convergence": verdict("convergence", "pass", largest_difference_in_errors=1.14),
        "ensemble": write_json(folder / "ensemble.json", {"agreement": agreement, "members": members}),
        "baseline": write_json(folder / "baseline.json", {"members": baseline}),
        "encoder": [write_json(folder / "encoder_check.json", check)],
        "vamp2_consistency": verdict("vamp2", "not estimable", "no lag", **errors),
        "importance": [],
    }


def drawn(folder: Path, name: str, width: float) -> dict[str, str]:
    """A figure with its PDF and its table."""
    files = {ending: str(folder / f"{name}.{ending}") for ending in ("png", "pdf", "csv")}
    # The scripts under test change the style for the rest of the process.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(width, 2))
        figure.text(0.5, 0.5, name)
        figure.savefig(files["png"], dpi=300)
        figure.savefig(files["pdf"], metadata={"CreationDate": None})
    Path(files["csv"]).write_text("x\n1\n")
    return files


def artefacts(folder: Path, name: str) -> dict[str, object]:
    """What describe_system reads besides the verdicts."""
    provenance = {"inputs": {}, "settings": {}, "versions": {"python": "3.11", "numpy": "2.4"}}
    inventory = {"trajectory": "run-0", "file": f"data/{HOSTILE}.xtc", "sha256": SHA256, "n_frames": 5000}
    inventory |= {"duration_ns": 5.0, "topology": "top.pdb", "topology_sha256": SHA256, "selection": "name < 'C'"}
    inventory |= {"frame_interval_ps": 1.0, "n_atoms": 22, "n_selected_atoms": 10, "provenance": provenance}
    inventory |= {"checks": {"times": "unusable: plain frame numbers"}}
    timescale = {"process": 1, "estimate_ps": 70.2, "lower_ps": 55.9, "upper_ps": 102.1}
    unknown = {"process": 2, "estimate_ps": None, "lower_ps": None, "upper_ps": None}
    summary = {"n_macrostates": 2, "n_macrostates_asked": 3, "lag_ps": 2.0, "n_frames": 5000, "temperature_K": 300}
    summary |= {"timescales": [timescale, unknown], "provenance": provenance}
    probability = "probability,probability_lower,probability_upper"
    energy = "free_energy_kT,free_energy_kT_lower,free_energy_kT_upper"
    states = ("1,0.9,0.85,0.95,0,0,0,9,9,8", "2,0.1,0.05,0.15,2.2,1.8,2.9,9,9,2")
    structure = folder / "state-1.pdb"
    structure.write_text("ATOM\n")
    files = [drawn(folder, figure, width) for figure, width in FIGURES.items()]
    captions = [folder / f"{figure}.rst" for figure in FIGURES]
    for caption in captions:
        caption.write_text(
            "**About {{ snakemake.wildcards.system }}** at {{ snakemake.params.lag_ps }} ps: a < b & c.\n"
        )
    return {
        "summary": write_json(folder / "summary.json", summary),
        "states": write_table(
            folder / "states.csv", f"state,{probability},{energy},entries,exits,n_trajectories", *states
        ),
        "rates": write_table(
            folder / "rates.csv",
            "from_state,to_state,mfpt_ps,mfpt_lower_ps,mfpt_upper_ps",
            "1,2,1180,905,1550",
            "2,1,inf,905,inf",
        ),
        "annotation": write_table(
            folder / "annotation.csv",
            "state,observable,unit,mean,mean_lower,mean_upper",
            "1,rmsd,nm,0.046,0.045,0.047",
            "2,rmsd,nm,0.114,,",
        ),
        "inventories": [write_json(folder / "run-0.json", inventory)],
        "structures": [str(structure), str(structure), str(folder / "state-3.pdb")],
        **{
            key: [file[e] for file in files] for key, e in {"images": "png", "drawings": "pdf", "tables": "csv"}.items()
        },
        "captions": [str(caption) for caption in captions],
        "template": str(ROOT / "workflow/report/section.html"),
        "style": str(ROOT / "config/figures.mplstyle"),
    }


def settings() -> dict:
    return {
        "trajectories": {"simulate": {"seed": 1}, "selection": HOSTILE},
        "encoder": "visnet",
        "split": {"seeds": [0, 1]},
        "msm": {"seed": 0, "lag_ps": 2.0},
    }


def written(folder: Path, systems: tuple[str, ...]) -> Path:
    """The page of some systems, made by the scripts of the rules."""
    judged, sections = [], []
    for name in systems:
        place = folder / name
        place.mkdir(parents=True)
        read = verdict_files(place)
        judged.append(str(place / "verdicts.json"))
        sections.append(str(place / "section.html"))
        table = str(place / "verdicts.csv")
        judge_model.main(**read, verdicts=judged[-1], table=table, system=name, model="vampnet", biased=False)
        describe_system.main(
            **artefacts(place, name),
            verdicts=judged[-1],
            encoder_check=read["encoder"][0],
            section=sections[-1],
            figures=list(FIGURES),
            models=["vampnet", "tica"],
            settings=settings(),
            name=name,
        )
    report = folder / "report.html"
    template, citation = str(ROOT / "workflow/report/page.html"), str(ROOT / "CITATION.cff")
    write_report.main(judged, sections, template=template, citation=citation, report=str(report))
    return report


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("page"), SYSTEMS)


class Elements(HTMLParser):
    """All start tags of a page with their attributes."""

    def __init__(self, page: Path):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_verdicts_come_first_then_states_figures_and_provenance(report):
    text = report.read_text()
    places = [text.index(f'id="toy-{part}"') for part in ("verdicts", "states", "figures", "provenance")]
    assert places == sorted(places)
    assert text.index("The model passes 6 of 13 checks. Failed: connectivity, agreement of seeds.") < places[0]
    for question in QUESTIONS.values():
        assert text.count(question) == len(SYSTEMS)


def test_times_that_confirm_nothing_are_named_where_the_interval_is(report):
    provenance = report.read_text().split('id="toy-provenance"')[1]
    assert "one frame per 1.0 ps" in provenance
    assert "unusable: plain frame numbers; where they do not agree, the config alone counts" in provenance


def test_every_figure_is_there_once_in_order_with_its_caption(report):
    images = [image["alt"] for image in Elements(report).of("img")]
    # verdicts.png is the table of the page once more; what no heading names comes last.
    assert images[:4] == [f"{name} of toy" for name in ("implied timescales", "ck test", "rates network", "brand new")]
    assert len(images) == 4 * len(SYSTEMS)
    assert report.read_text().count("<strong>About toy</strong> at 2.0 ps: a &lt; b &amp; c.") == 4


def test_whatever_a_name_or_a_reason_holds_is_text(report):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report.read_text()
    elements = Elements(report)
    assert not elements.of("script")
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert all(image["src"].startswith("data:image/png;base64,") for image in elements.of("img"))


def test_links_stay_in_the_page_and_files_come_out_as_they_went_in(report):
    elements = Elements(report)
    ids = [attributes["id"] for _, attributes in elements.found if attributes.get("id")]
    assert len(ids) == len(set(ids))
    links = elements.of("a")
    assert {link["href"][1:] for link in links if link["href"].startswith("#")} <= set(ids)
    assert all(re.match("#|data:", link["href"]) for link in links)
    downloads = {link["download"]: link["href"] for link in links if "download" in link}
    assert base64.b64decode(downloads["toy-state-1.pdb"].split(",")[1]) == b"ATOM\n"
    assert base64.b64decode(downloads["toy-ck_test.csv"].split(",")[1]) == b"x\n1\n"
    assert base64.b64decode(downloads["other-ck_test.pdf"].split(",")[1]).startswith(b"%PDF")


def test_states_that_were_not_found_have_no_structure_but_are_counted(report):
    # The third structure that was asked for does not even exist.
    downloads = [link["download"] for link in Elements(report).of("a") if "download" in link]
    assert [name for name in downloads if name.endswith(".pdb")] == [
        f"{system}-state-1.pdb" for system in SYSTEMS for _ in range(2)
    ]
    assert report.read_text().count("2 (3 asked for)") == len(SYSTEMS)


def test_large_files_are_named_instead(tmp_path, monkeypatch):
    monkeypatch.setattr(report_figures, "LARGEST_EMBEDDED_BYTES", 3)
    page = written(tmp_path, ("toy",))
    assert not [link for link in Elements(page).of("a") if "download" in link]
    assert f"<code>{tmp_path}/toy/ck_test.csv</code>" in page.read_text()


def test_equal_data_give_equal_bytes(tmp_path, report):
    assert written(tmp_path, SYSTEMS).read_text().replace(str(tmp_path), "") == report.read_text().replace(
        str(report.parent), ""
    )


def test_unknown_numbers_are_shown_as_such(report):
    text = report.read_text()
    assert "∞ [0.905, ∞]" in text
    assert "0.114 (no interval)" in text
    assert not re.search(r">[^<]*\bnan\b", text)


def test_settings_on_the_page_are_those_of_the_run(report):
    page = report.read_text()
    shown = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)[1]
    unescaped = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace("&#39;", "'")
    assert yaml.safe_load(unescaped) == settings()


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_readable_at_any_width_and_asks_nobody(report, tmp_path, width):
    with browser(tmp_path / "profile") as page:
        page.resize(width=width)
        page.open(report)
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        assert page.evaluate("document.images.length") == 4 * len(SYSTEMS)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # What is wider than the screen lies in a part that can be scrolled; nothing else sticks out.
        sticking_out = """[...document.querySelectorAll("body *")].filter(one =>
            one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, nav, pre, .verdicts thead")
        ).map(one => one.outerHTML.slice(0, 80))"""
        assert page.evaluate(sticking_out) == []
        smallest = """Math.min(...[...document.querySelectorAll("p, td, th, li, dd, dt, small, a")].map(
            one => parseFloat(getComputedStyle(one).fontSize)))"""
        assert page.evaluate(smallest) >= 12
        # Figures of two columns keep a size at which their letters can be read.
        assert page.evaluate("""document.querySelector("figure.wide img").getBoundingClientRect().width""") >= 600
        assert not page.outside()


@pytest.mark.browser
@needs_browser
def test_a_link_to_a_figure_arrives_there(report, tmp_path):
    with browser(tmp_path / "profile") as page:
        page.open(report)
        page.evaluate("""document.documentElement.style.scrollBehavior = "auto";
            document.querySelector("a[href='#toy-ck_test']").click()""")
        top = page.evaluate("document.getElementById('toy-ck_test').getBoundingClientRect().top")
        assert 0 <= top < 200
