"""The figures of the report page: in which order, under which heading, and how a file becomes a part of the page."""

import base64
import itertools
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from geom2msm.captions import caption_html, fill_caption

# Figures by the question that they answer; what is not named here comes last, under FURTHER.
HEADINGS: Mapping[str, Sequence[str]] = {
    "Is the model valid?": (
        "implied_timescales", "ck_test", "connectivity", "convergence", "vamp2_consistency", "reversibility",
    ),
    "What are the states?": (
        "ramachandran", "free_energy", "stationary_populations", "memberships",
        "singular_functions", "variables_scatter",
    ),
    "How fast do they interconvert?": (
        "rates_network", "passage_times", "passage_times_lags", "committors", "flux_network", "relaxation", "hmm",
    ),
    "What do the states look like?": ("annotation", "observables_on_variables", "state_contacts"),
    "What does the network look at?": ("token_importance", "attention", "embedding_map"),
    "How was the network trained?": ("vamp2_scores", "learning_curves", "encoder_check", "pretraining"),
}  # fmt: skip
FURTHER = "Further figures"
# Shown as tables of the page.
LEFT_OUT = ("verdicts",)
# Larger files are named on the page instead of put into it.
LARGEST_EMBEDDED_BYTES = 500_000
# One column of a journal at the 300 dpi of the style is about 1000 pixels wide, two columns are 2100.
WIDE_PIXELS = 1400


@dataclass(frozen=True)
class Attachment:
    """A file that the page holds, to be saved from it; without `uri` it is too large and only named."""

    label: str
    name: str
    path: str
    uri: str | None


@dataclass(frozen=True)
class PageFigure:
    """A figure with its caption in HTML; width and height in pixels."""

    name: str
    uri: str
    width: int
    height: int
    caption: Markup
    attachments: Sequence[Attachment]

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    @property
    def is_wide(self) -> bool:
        """Whether the figure needs the whole width of the page."""
        return self.width > WIDE_PIXELS


@dataclass(frozen=True)
class Placed:
    """A figure, its number on the page, and how it lies there: wide, half (two in a row) or beside its caption."""

    figure: PageFigure
    number: int
    layout: str


def data_uri(path: str) -> str:
    """The file's content as an address that asks nobody."""
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def attachment(path: str, *, label: str, name: str) -> Attachment:
    """A file to be saved from the page under a name of its own, if it is small enough to be in it."""
    small = Path(path).stat().st_size <= LARGEST_EMBEDDED_BYTES
    return Attachment(label, name, path, data_uri(path) if small else None)


def png_size(path: str) -> tuple[int, int]:
    """Width and height of a PNG in pixels, from its header."""
    with open(path, "rb") as file:
        header = file.read(24)
    if header[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path} is no PNG; delete it and run again")
    return int.from_bytes(header[16:20]), int.from_bytes(header[20:24])


def read_figures(
    names: Sequence[str], images: Sequence[str], drawings: Sequence[str], tables: Sequence[str],
    captions: Sequence[str], *, system: str, wildcards: Mapping[str, str], params: Mapping[str, object],
) -> list[PageFigure]:  # fmt: skip
    """Figures by name, each with its PNG, its PDF, its CSV and the template of its caption."""
    found = []
    for name, image, drawing, table, template in zip(names, images, drawings, tables, captions, strict=True):
        caption = fill_caption(Path(template).read_text(encoding="utf-8"), wildcards=wildcards, params=params)
        files = {"PDF": drawing, "CSV of what is drawn": table}
        attached = [
            attachment(path, label=label, name=f"{system}-{name}{Path(path).suffix}") for label, path in files.items()
        ]
        found.append(PageFigure(name, data_uri(image), *png_size(image), caption_html(caption), attached))
    return found


def grouped(figures: Sequence[PageFigure]) -> dict[str, list[Placed]]:
    """Figures under their headings, in order, each once and numbered; headings without any are left out."""
    known = {name: figure for figure in figures if (name := figure.name) not in LEFT_OUT}
    groups = {heading: [known.pop(name) for name in names if name in known] for heading, names in HEADINGS.items()}
    groups[FURTHER] = list(known.values())
    numbers = itertools.count(1)
    return {
        heading: [Placed(figure, next(numbers), layout) for figure, layout in zip(found, layouts(found), strict=True)]
        for heading, found in groups.items()
        if found
    }


def layouts(figures: Sequence[PageFigure]) -> list[str]:
    """Two narrow figures in a row share it; a narrow one alone has its caption beside it."""
    found = []
    for is_wide, row in itertools.groupby(figures, key=lambda figure: figure.is_wide):
        n_figures = len(list(row))
        found += ["wide"] * n_figures if is_wide else ["half"] * (n_figures // 2 * 2) + ["beside"] * (n_figures % 2)
    return found
