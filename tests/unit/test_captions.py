"""Captions on the report page say what they say in Snakemake's report, and hold no markup that is left as text."""

import re
from html import unescape
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from geom2msm.captions import caption_html, fill_caption

REPORT = Path(__file__).resolve().parents[2] / "workflow/report"
# What scripts/describe_system.py knows; captions of sweeps are not on the page.
WILDCARDS = {"system": "toy", "encoder": "visnet", "model": "vampnet"}
PARAMS = {"name": "vampnet", "names": ["vampnet", "tica"], "lag_ps": 2.0}
CAPTIONS = sorted(path for path in REPORT.glob("*.rst") if not path.stem.startswith(("sweep_", "workflow")))


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_every_caption_can_be_shown_on_the_page(path):
    html = str(caption_html(fill_caption(path.read_text(), wildcards=WILDCARDS, params=PARAMS)))
    assert html.startswith("<p><strong>")
    assert not re.search(r"\*\*|``|\{\{|:sub:|`", html)


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_no_word_of_a_caption_is_lost(path):
    docutils = pytest.importorskip("docutils.core", reason="docutils comes with Snakemake, not with the test tools")
    text = fill_caption(path.read_text(), wildcards=WILDCARDS, params=PARAMS)
    theirs = docutils.publish_parts(text, writer="html5", settings_overrides={"smart_quotes": False})["body"]
    assert words(str(caption_html(text))) == words(theirs)


def plain_text(figure: str) -> str:
    """A caption's words, without markup."""
    text = fill_caption((REPORT / f"{figure}.rst").read_text(), wildcards=WILDCARDS, params=PARAMS)
    return " ".join(words(re.sub("</?sub>", "", str(caption_html(text)))))


@pytest.mark.parametrize("figure", ["hmm", "implied_timescales", "relaxation", "reversibility"])
def test_a_table_that_counts_processes_from_one_says_so(figure):
    assert re.search(r"[Tt]able.*process(es)?.* 1 (is|for) t2", plain_text(figure))


@pytest.mark.parametrize("figure", ["annotation", "convergence", "hmm", "reversibility", "stationary_populations"])
def test_a_population_says_whether_microstates_are_shared_between_states(figure):
    assert "memberships" in plain_text(figure)
    assert ("crisp" in plain_text(figure)) != ("fuzzy" in plain_text(figure))


def test_the_letters_of_the_currents_are_explained():
    assert re.search(r"Letters .* sets of microstates.* k-means", plain_text("reversibility"))


def test_ranges_that_differ_between_panels_or_are_cut_are_told():
    assert "own scale" in plain_text("ck_test")
    assert "100 times" in plain_text("implied_timescales")
    assert "100 times" in plain_text("convergence")


def words(html: str) -> list[str]:
    return unescape(re.sub(r"<[^>]+>", "", html)).split()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**bold** and *italic*, ``code``", "<p><strong>bold</strong> and <em>italic</em>, <code>code</code></p>"),
        ("one\nline\n\ntwo", "<p>one line</p>\n<p>two</p>"),
        ("t\\ :sub:`2` and x\\ :sup:`2`", "<p>t<sub>2</sub> and x<sup>2</sup></p>"),
        ("- one\n- *two*\n  more", "<ul><li>one</li><li><em>two</em> more</li></ul>"),
        ("1. one\n2. two", "<ol><li>one</li><li>two</li></ol>"),
        ("a < b & <b>c</b>", "<p>a &lt; b &amp; &lt;b&gt;c&lt;/b&gt;</p>"),
    ],
)
def test_markup_becomes_html_and_text_stays_text(text, html):
    assert caption_html(text) == html


@pytest.mark.parametrize("text", [".. image:: x.png", "a :math:`x`", "`name <https://example.org>`_", "title\n====="])
def test_other_markup_is_refused(text):
    with pytest.raises(ValueError, match="a caption uses"):
        caption_html(text)


def test_a_name_that_nobody_gives_is_an_error():
    with pytest.raises(UndefinedError, match="lag_ns"):
        fill_caption("{{ snakemake.params.lag_ns }}", wildcards={}, params={"lag_ps": 2.0})
