"""The report as one page that needs no network, no JavaScript and no other file: templates filled in and escaped."""

from collections.abc import Mapping, Sequence

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

SYMBOLS = {"pass": "✓", "warn": "!", "fail": "✗", "not estimable": "–"}


def fill_template(template: str, content: Mapping[str, object]) -> Markup:
    """The template with the content; text is escaped, a missing name is an error."""
    environment = Environment(
        undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return Markup(environment.from_string(template).render(symbols=SYMBOLS, **content))


def page(template: str, *, judged: Sequence[Mapping], sections: Sequence[str], version: str) -> Markup:
    """The whole page; `judged` are the contents of the verdict files, in the order of the sections, which are HTML."""
    content = {"systems": judged, "sections": [Markup(section) for section in sections], "version": version}
    return fill_template(template, content)


def code_version(citation: str) -> str:
    """The version that CITATION.cff names."""
    return next(line.split()[1] for line in citation.splitlines() if line.startswith("version:"))
