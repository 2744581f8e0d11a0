"""Slow variables against observables: what the processes are in physical terms."""

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.annotation import axis_label, read_frames_stood_for, read_weighted_frames
from geom2msm.joined_store import read_beside
from geom2msm.log import log_to
from geom2msm.observable_curves import N_BINS, all_curves, plane, telling
from geom2msm.store import read_array, read_attributes
from geom2msm.style import save_figure, start_figure

MAX_FUNCTIONS, MAX_OBSERVABLES = 3, 4


def plot_curve(ax: Axes, bins: pd.DataFrame) -> None:
    """Mean and standard deviation of a function in the bins of an observable, and the part that this explains."""
    ax.plot(bins.value, mean := bins["mean"], color="0")
    ax.fill_between(bins.value, mean - bins.standard_deviation, mean + bins.standard_deviation, color="0.8", lw=0)
    ax.set_title(f"{bins.variable.iloc[0]}, {bins.explained.iloc[0]:.0%} explained", pad=2)


def plot_plane(ax: Axes, bins: pd.DataFrame) -> None:
    """Mean of a function, as color, in the bins of the plane of two observables; `bins` is what `plane` gives."""
    x, y, image = (bins[key].to_numpy().reshape(N_BINS, N_BINS) for key in ("value", "other_value", "mean"))
    highest = bins["mean"].abs().quantile(0.99)
    colors = ax.pcolormesh(x, y, image, cmap="PuOr_r", vmin=-highest, vmax=highest, rasterized=True)
    ax.figure.colorbar(colors, ax=ax, extend="both", location="top", aspect=30)


def main(
    observables: list[str], variables: str, states: str, msm: str, style: str, pdf: str, png: str, table: str
) -> None:
    """Draw the slowest functions on the plane of the two most telling observables, then against each of four."""
    known, frames = read_attributes(observables[0]), read_weighted_frames(states, msm)
    values = read_beside(observables, "observables", like=states).astype(float)
    functions = read_array(variables, "variables")[:, :MAX_FUNCTIONS].astype(float)
    names, units = (read_attributes(variables)[key][:MAX_FUNCTIONS] for key in ("names", "units"))
    labels = dict(zip(known["names"], map(axis_label, known["names"], known["units"]), strict=True))
    each = read_frames_stood_for(observables, like=states)
    tables = [curves := all_curves(values, functions, frames.weight, known["names"], variables=names, each_for=each)]
    chosen = telling(curves, n_most=MAX_OBSERVABLES)
    panels = (len(chosen) + 1, len(names))
    figure, axes = start_figure(style, columns=2, height=0.4 + 0.65 * panels[0], panels=panels)
    x, y = (chosen * 2)[:2]
    pair = [known["names"].index(name) for name in (x, y)]
    for column, variable, unit, function in zip(axes.T, names, units, functions.T, strict=True):
        plot_plane(column[0], bins := plane(*values[:, pair].T, function, frames.weight * each[:, pair].max(axis=1)))
        column[0].set(xlabel=labels[x], ylabel=labels[y], title=axis_label(variable, unit))
        tables.append(bins.dropna().assign(observable=x, other_observable=y, variable=variable))
        for ax, name in zip(column[1:], chosen, strict=True):
            plot_curve(ax, curves[(curves.observable == name) & (curves.variable == variable)])
            ax.set_xlabel(labels[name])
    figure.supylabel(axis_label("variable of the model", units[0]), fontsize="medium")
    save_figure(figure, pd.concat(tables), pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
