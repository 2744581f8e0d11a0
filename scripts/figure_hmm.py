"""The hidden Markov model beside the plain one: populations and timescales."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import log_axis, save_figure, start_figure, time_unit, timescale_name, write_reasons

APART = 0.12


def plot_both(ax: Axes, rows: pd.DataFrame) -> None:
    """Estimates with 95 % intervals of the plain and of the hidden model, side by side.

    `rows` has the columns index, and plain and hidden, both with _lower and _upper.
    """
    for name, shift, marker in (("plain", -APART, "o"), ("hidden", APART, "s")):
        values = rows[[name, f"{name}_lower", f"{name}_upper"]].astype(float)
        errors = np.clip([values[name] - values[f"{name}_lower"], values[f"{name}_upper"] - values[name]], 0, None)
        look = {"fmt": marker, "color": "0.1" if name == "plain" else "0.55", "label": f"{name} Markov model"}
        ax.errorbar(rows["index"] + shift, values[name], errors, **look)
    ax.set(xticks=rows["index"], xlim=(0.5, len(rows) + 0.5))


def main(hmm: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw populations and timescales of both models, or say why there is no hidden one."""
    found = json.loads(Path(hmm).read_text())
    columns = [
        "quantity",
        "index",
        *(f"{model}{end}" for model in ("hidden", "plain") for end in ("", "_lower", "_upper")),
    ]
    rows = pd.DataFrame(found["comparison"], columns=columns)
    figure, axes = start_figure(style, columns=1, panels=(1, 2))
    populations, timescales = axes.flat
    figure.suptitle(found["verdict"])
    if rows.empty:
        write_reasons(axes, found["reasons"])
    else:
        times = rows[rows.quantity == "timescale_ps"]
        unit, unit_ps = time_unit(times.plain.astype(float))
        plot_both(populations, rows[rows.quantity == "population"])
        plot_both(timescales, times.assign(**{name: times[name].astype(float) / unit_ps for name in columns[2:]}))
        populations.set(xlabel="state", ylabel="population", ylim=(0, None))
        timescales.set(xlabel="process", ylabel=f"implied timescale ({unit})")
        timescales.set_xticks(times["index"], times["index"].map(timescale_name))
        log_axis(timescales, "y")
        figure.legend(*populations.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    save_figure(figure, rows, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
