"""The reversible beside the non-reversible estimate: populations, timescales, and currents that should be zero."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.style import log_axis, save_figure, start_figure, time_unit, timescale_name

APART, MAX_CURRENTS, MODELS = 0.15, 6, ("reversible", "nonreversible")


def plot_estimates(ax: Axes, rows: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Estimates with 95 % intervals, side by side.

    `rows` has the columns name, and reversible and nonreversible, both with _lower and _upper.
    """
    for name in names:
        shift = APART * (names.index(name) - (len(names) - 1) / 2)
        errors = [rows[name] - rows[f"{name}_lower"], rows[f"{name}_upper"] - rows[name]]
        shade, marker = ("0.1", "o") if name == "reversible" else ("0.55", "s")
        look = {"color": shade, "fmt": marker, "label": name.replace("non", "non-")}
        ax.errorbar(np.arange(len(rows)) + shift, rows[name], np.clip(errors, 0, None), **look)
    ax.set_xticks(range(len(rows)), [name.replace("-", "→") for name in rows.name])
    ax.set_xlim(-0.5, max(1, len(rows)) - 0.5)


def main(reversibility: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw populations, timescales and the largest currents with their intervals."""
    found = read_json(reversibility)
    rows = pd.DataFrame(found["comparison"])
    rows = rows.astype(dict.fromkeys(rows.columns[2:], float))
    populations, times = (rows[rows.quantity == quantity] for quantity in ("population", "timescale_ps"))
    unit, unit_ps = time_unit(times.reversible)
    in_unit = times.filter(like="reversible") / unit_ps
    currents = rows[rows.quantity.str.startswith("current")]
    largest = currents.sort_values("difference_in_errors", ascending=False, kind="stable").head(MAX_CURRENTS)
    figure, axes = start_figure(style, columns=2, panels=(1, 3))
    plot_estimates(axes[0, 0], populations, MODELS)
    plot_estimates(axes[0, 1], times.assign(name=[timescale_name(int(name)) for name in times.name], **in_unit), MODELS)
    plot_estimates(axes[0, 2], largest, MODELS[1:])
    axes[0, 0].set(xlabel="state", ylabel="population", ylim=(0, None))
    axes[0, 1].set(xlabel="process", ylabel=f"implied timescale ({unit})")
    if len(times):
        log_axis(axes[0, 1], "y")
    axes[0, 2].set(xlabel="states (numbers) or sets (letters)", ylabel="net current / sum of both directions")
    axes[0, 2].axhline(0, color="0.7", linewidth=0.7, zorder=0)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    worst = found["largest_difference_in_errors"]
    judged = f"{found['justified']} estimate justified" if found["justified"] else "not estimable"
    largest_difference = "the largest difference, corrected for their number,"
    told = "no current can be compared" if worst is None else f"{largest_difference} is {worst:.1f} errors"
    figure.suptitle(f"{judged}: {told}")
    save_figure(figure, rows, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
