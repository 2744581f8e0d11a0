"""Timescales of the processes with the gap that divides slow from fast, and how sharply the states are divided."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.style import log_axis, save_figure, start_figure, state_color, state_legend, time_unit, timescale_name


def plot_spectrum(ax: Axes, spectrum: pd.DataFrame, *, last_slow: int, lag: float, unit: str) -> None:
    """Implied timescales with 95 % intervals; dashed: the lag; dotted: after the last process between the states.

    `spectrum` has the columns process, timescale, timescale_lower, timescale_upper, times in `unit`.
    """
    known = spectrum[spectrum.timescale.notna()]
    errors = [known.timescale - known.timescale_lower, known.timescale_upper - known.timescale]
    ax.errorbar(known.process + 1, known.timescale, np.clip(errors, 0, None), fmt="o", color="0.2")
    ax.axhline(lag, color="0.5", linestyle="--", linewidth=0.7, label="lag time")
    ax.axvline(last_slow + 1.5, color="0.5", linestyle=":", linewidth=0.9, label=f"{last_slow + 1} states")
    ax.set(xlabel="process", ylabel=f"implied timescale ({unit})")
    some = known.process[:: 1 + len(known) // 10]
    ax.set_xticks(some + 1, some.map(timescale_name))
    log_axis(ax, "y")
    ax.legend()


def plot_memberships(ax: Axes, microstates: pd.DataFrame) -> None:
    """Memberships stacked; a microstate is as wide as it is probable, states follow one another."""
    names = [name for name in microstates if name.startswith("membership_")]
    own = microstates[names].to_numpy()[np.arange(len(microstates)), microstates.state - 1]
    ordered = microstates.assign(own=own).sort_values(["state", "own"], ascending=[True, False])
    left = ordered.probability.cumsum() - ordered.probability
    bottom = np.zeros(len(ordered))
    for state, name in enumerate(names, start=1):
        ax.bar(left, ordered[name], ordered.probability, bottom, align="edge", linewidth=0, color=state_color(state))
        bottom += ordered[name].to_numpy()
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="stationary probability of the microstates", ylabel="membership")


def main(memberships: str, spectrum: str, verdict: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw spectrum and memberships, with the gap and the crispness as title."""
    found, times, microstates = read_json(verdict), pd.read_csv(spectrum), pd.read_csv(memberships)
    n_states = found["n_macrostates"]
    unit, unit_ps = time_unit(times.timescale_ps.head(n_states))
    in_unit = {name: times[f"{name}_ps"] / unit_ps for name in ("timescale", "timescale_lower", "timescale_upper")}
    figure, axes = start_figure(style, columns=2, panels=(1, 2))
    plot_spectrum(axes[0, 0], times.assign(**in_unit), last_slow=n_states - 1, lag=found["lag_ps"] / unit_ps, unit=unit)
    plot_memberships(axes[0, 1], microstates)
    gap = f"{found['gap']:.2g}" if found["gap"] else "not estimable"
    axes[0, 0].set_title(f"gap $t_{{{n_states}}}/t_{{{n_states + 1}}}$: {gap}")
    axes[0, 1].set_title(f"crispness {found['crispness']:.2f}" if found["crispness"] else "one state")
    state_legend(figure, range(1, n_states + 1))
    save_figure(figure, microstates, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
