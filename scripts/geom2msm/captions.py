"""Captions of figures as HTML: the same templates that Snakemake fills in for its own report."""

import re
from collections.abc import Iterator, Mapping

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

# reStructuredText as far as the captions use it.
INLINE = (
    (re.compile(r"\\ "), r""),
    (re.compile(r":(sub|sup):`(.+?)`"), r"<\1>\2</\1>"),
    (re.compile(r"``(.+?)``"), r"<code>\1</code>"),
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*(.+?)\*"), r"<em>\1</em>"),
)
ITEM = re.compile(r"(?:[-*]|\d+\.|#\.)\s+")
UNSUPPORTED = re.compile(r"^\.\. |:(?!(?:sub|sup):)\w+:`|`_|^[=~^#-]{3,}$|::$", re.MULTILINE)


def fill_caption(template: str, *, wildcards: Mapping[str, str], params: Mapping[str, object]) -> str:
    """The text of a caption; a name that is not there is an error."""
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(template).render(snakemake={"wildcards": wildcards, "params": params})


def caption_html(text: str) -> Markup:
    """Paragraphs and lists, with bold, italic and code; the rest of the text is escaped."""
    if found := UNSUPPORTED.search(text):
        raise ValueError(
            f"a caption uses {found[0]!r}, but only **bold**, *italic*, ``code``, :sub: and lists are supported"
        )
    return Markup("\n").join(_blocks(text))


def _blocks(text: str) -> Iterator[Markup]:
    for block in re.split(r"\n\s*\n", text.strip()):
        if ITEM.match(block):
            items = [Markup("<li>{}</li>").format(_inline(item)) for item in _items(block)]
            tag = "ol" if block[0].isdigit() or block[0] == "#" else "ul"
            yield Markup("<{0}>{1}</{0}>").format(Markup(tag), Markup("").join(items))
        else:
            yield Markup("<p>{}</p>").format(_inline(block))


def _items(block: str) -> list[str]:
    """Entries of a list, their continued lines joined."""
    return [item for item in re.split(rf"^{ITEM.pattern}", block, flags=re.MULTILINE) if item.strip()]


def _inline(text: str) -> Markup:
    found = str(escape(" ".join(text.split())))
    for pattern, replacement in INLINE:
        found = pattern.sub(replacement, found)
    return Markup(found)
