"""How every figure looks and is saved; sizes, fonts and colors themselves are in config/figures.mplstyle."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Literal

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogFormatterMathtext, NullLocator

from geom2msm.provenance import replace_when_complete

MM_PER_INCH = 25.4
GUTTER_MM = 8.0
LEGEND_ENTRY_INCH = 0.8
DROPPED = 0
DROPPED_COLOR = "0.6"
# Slow processes and models are not states: they are black and gray and told apart by their markers.
GRAYS = ("0.0", "0.4", "0.65", "0.25", "0.55")
MARKERS = ("o", "s", "^", "D", "v")
TIME_UNITS = (("µs", 1e6), ("ns", 1e3), ("ps", 1.0))
PLAIN_NUMBERS = (0.01, 10_000)
# The interval of a posterior without upper bound would squeeze everything else flat.
BEYOND_ESTIMATES = 100
ONE_STATE = ("one state has no transitions",)


def start_figure(
    style: str, *, columns: int, height: int | float = 1.0, panels: tuple[int, int] = (1, 1),
    share: Literal["", "x", "xy"] = "",
) -> tuple[Figure, np.ndarray]:  # fmt: skip
    """An empty figure, `columns` journal columns wide and `height` times as high as the style says, and its panels.

    `share` names the axes that all panels have in common.

    The style holds for the rest of the process, because Matplotlib asks it again while saving.
    """
    matplotlib.style.use(["default", style])
    width_inch, height_inch = matplotlib.rcParams["figure.figsize"]
    width_inch = columns * width_inch + (columns - 1) * GUTTER_MM / MM_PER_INCH
    # "compressed" is the constrained layout that also fits panels of fixed aspect, such as maps.
    figure = Figure(figsize=(width_inch, height * height_inch), layout="compressed")
    return figure, figure.subplots(*panels, squeeze=False, sharex="x" in share, sharey="y" in share)


def save_figure(figure: Figure, table: pd.DataFrame, *, pdf: str, png: str, csv: str) -> None:
    """Write the drawing and the numbers drawn; equal data give equal bytes."""
    with replace_when_complete(pdf) as part:
        figure.savefig(part, format="pdf", metadata={"Creator": "geom2msm", "Producer": None, "CreationDate": None})
    with replace_when_complete(png) as part:
        figure.savefig(part, format="png", metadata={"Software": "geom2msm"})
    with replace_when_complete(csv) as part:
        table.to_csv(part, index=False, float_format="%.7g")


def looks() -> Iterator[tuple[str, str]]:
    """Gray and marker of one curve after another; those of the first 25 all differ."""
    for number in itertools.count():
        yield GRAYS[number % len(GRAYS)], MARKERS[(number + number // len(MARKERS)) % len(MARKERS)]


def state_color(state: int | np.integer) -> str:
    """Color of a macrostate, counted from 1 as in all figures; 0 stands for frames that the model dropped."""
    if state == DROPPED:
        return DROPPED_COLOR
    colors = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    if state > len(colors):
        raise ValueError(
            f"config/figures.mplstyle: axes.prop_cycle has {len(colors)} colors, but there is a state {state}; "
            "add colors or lower msm.n_macrostates."
        )
    color = colors[state - 1]
    return color if color.startswith("#") else f"#{color}"


def write_reasons(axes: np.ndarray, reasons: Iterable[str]) -> None:
    """Say in the first panel why there is nothing to draw, and leave the others empty."""
    for ax in axes.flat:
        ax.set_axis_off()
    axes.flat[0].text(0, 0.5, "\n".join(reasons), wrap=True, va="center")


def save_reasons(style: str, table: pd.DataFrame, reasons: Iterable[str], *, pdf: str, png: str, csv: str) -> None:
    """A figure that says why there is nothing to draw, and the table all the same."""
    figure, axes = start_figure(style, columns=2)
    write_reasons(axes, reasons)
    figure.suptitle("not estimable")
    save_figure(figure, table, pdf=pdf, png=png, csv=csv)


def state_legend(figure: Figure, states: Iterable[int | np.integer]) -> None:
    """Name the states' colors above the axes."""
    states = sorted(states, key=lambda state: (state == DROPPED, state))
    names = ["not in the model" if state == DROPPED else f"state {state}" for state in states]
    patches = [Patch(color=state_color(state), label=name) for state, name in zip(states, names, strict=True)]
    fitting = int(figure.get_figwidth() / LEGEND_ENTRY_INCH)
    figure.legend(handles=patches, loc="outside upper center", ncols=min(len(patches), fitting), handlelength=1.0)


def time_unit(times_ps: Iterable[float | int]) -> tuple[str, float]:
    """The unit (and how many ps it has) in which times read best: their geometric mean is at least one."""
    times = np.asarray(list(times_ps), dtype=float)
    times = times[np.isfinite(times) & (times > 0)]
    middle = np.exp(np.log(times).mean()) if len(times) else 1.0
    return next(((name, size) for name, size in TIME_UNITS if middle >= size), TIME_UNITS[-1])


def short_number(value: float) -> str:
    """Three digits of a number, without an exponent."""
    return f"{float(f'{value:.3g}'):,.10g}" if np.isfinite(value) else "∞"


def lag_axis(ax: Axes, lags: Iterable[float], *, unit: str) -> None:
    """A logarithmic axis of lag times, with a tick at each lag that was asked for and nowhere else."""
    ax.set(xscale="log", xlabel=f"lag time τ ({unit})")
    ax.set_xticks(list(lags), [f"{lag:g}" for lag in lags])
    ax.xaxis.set_minor_locator(NullLocator())


class PlainLogFormatter(LogFormatterMathtext):
    """Plain numbers at the ticks of a logarithmic axis from 0.01 to 10,000, powers of ten beyond."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of a tick; none if there are too many ticks for all to have one."""
        label = super().__call__(x, pos)
        return f"{x:g}" if label and PLAIN_NUMBERS[0] <= x <= PLAIN_NUMBERS[1] else label


def log_axis(ax: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with plain numbers."""
    ax.set(**{f"{which}scale": "log"})
    axis = getattr(ax, f"{which}axis")
    axis.set_major_formatter(PlainLogFormatter())
    axis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(1.5, 0.4)))


def timescale_name(process: int) -> str:
    """What a process, counted from 1 in tables, is called in figures: by its timescale, t2 for the slowest."""
    return f"$t_{{{process + 1}}}$"


def timescale_limits(estimates: pd.Series, ends: pd.Series) -> tuple[float, float] | None:
    """Limits that hold all estimates, and ends of intervals up to 100 times beyond them; none without estimates."""
    known = estimates[np.isfinite(estimates) & (estimates > 0)]
    if known.empty:
        return None
    inside = ends.clip(known.min() / BEYOND_ESTIMATES, known.max() * BEYOND_ESTIMATES)
    shown = pd.concat([known, inside])
    return 0.8 * shown.min(), 1.25 * shown.max()


def timescale_axis(ax: Axes, *, estimates: pd.Series, ends: pd.Series, unit: str) -> None:
    """A logarithmic axis for implied timescales and their intervals; left as it is if there is nothing to show."""
    ax.set_ylabel(f"implied timescale ({unit})")
    if limits := timescale_limits(estimates, ends):
        log_axis(ax, "y")
        ax.set_ylim(limits)


def label_torsion_axes(ax: Axes) -> None:
    """Axes of a Ramachandran map, in degrees."""
    ticks = [-180, -90, 0, 90, 180]
    ax.set(xlim=(-180, 180), ylim=(-180, 180), xticks=ticks, yticks=ticks, aspect="equal")
    ax.set(xlabel="φ (°)", ylabel="ψ (°)")
    ax.spines[:].set_visible(True)
    ax.label_outer()
