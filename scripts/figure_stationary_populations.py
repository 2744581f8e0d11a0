"""Stationary probability and free energy of the macrostates."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import ONE_STATE, save_figure, save_reasons, start_figure, state_color


def errors(states: pd.DataFrame, column: str) -> np.ndarray:
    """Lengths of the error bars below and above."""
    return np.clip([states[column] - states[f"{column}_lower"], states[f"{column}_upper"] - states[column]], 0, None)


def plot_stationary_populations(populations: Axes, free_energies: Axes, states: pd.DataFrame) -> None:
    """Bars of stationary probability, and free energies relative to the most probable state, with 95 % intervals.

    `states` has the columns state, probability and free_energy_kT, both with _lower and _upper.
    """
    colors = [state_color(state) for state in states.state]
    populations.bar(states.state, states.probability, color=colors)
    populations.errorbar(states.state, states.probability, errors(states, "probability"), color="0", linestyle="none")
    populations.set(ylabel="stationary probability", ylim=(0, None))
    bars = errors(states, "free_energy_kT")
    free_energies.errorbar(states.state, states.free_energy_kT, bars, color="0", linestyle="none", zorder=1)
    free_energies.scatter(states.state, states.free_energy_kT, c=colors, zorder=2)
    free_energies.set(ylabel="ΔG to the most probable state (kT)")
    for ax in (populations, free_energies):
        ax.set(xlabel="state", xticks=states.state, xlim=(0.4, len(states) + 0.6))


def main(states: str, style: str, pdf: str, png: str, table: str) -> None:
    """Read the table of states and draw it."""
    known = pd.read_csv(states)
    if known.probability.isna().all():
        save_reasons(style, known, ONE_STATE, pdf=pdf, png=png, csv=table)
        return
    figure, axes = start_figure(style, columns=1, panels=(1, 2))
    plot_stationary_populations(*axes.flat, known)
    save_figure(figure, known, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
