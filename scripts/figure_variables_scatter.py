"""Frames in the space of the slowest variables, colored by state, and the structures that stand for the states."""

from itertools import combinations

import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.scattered import TIME, sampled_frames, variable_names
from geom2msm.sticks import draw_sticks
from geom2msm.style import save_figure, start_figure, state_color, state_legend

COLUMNS = 4


def plot_frames(ax: Axes, drawn: pd.DataFrame, *, functions: tuple[str, ...]) -> None:
    """Frames in the space of two or three functions in the colors of their states; stars are the representatives.

    `drawn` has the columns state, role (frame or representative) and the functions.
    """
    points, stars = drawn[drawn.role == "frame"], drawn[drawn.role == "representative"]
    # Rare states last, so that they are not hidden.
    for state in points.state.value_counts().index:
        places = points.loc[points.state == state, list(functions)].T.to_numpy()
        ax.scatter(*places, s=0.7, color=state_color(state), linewidths=0, rasterized=True)
    look = {"marker": "*", "s": 45, "edgecolor": "1", "linewidths": 0.6, "zorder": 5}
    ax.scatter(*stars[list(functions)].T.to_numpy(), c=[state_color(state) for state in stars.state], **look)
    if len(functions) == 2:
        ax.set(xlabel=functions[0], ylabel=functions[1])


def main(
    states: str, variables: str, frames: list[str], structures: list[str], style: str, pdf: str, png: str, table: str
) -> None:
    """Draw the planes of the three slowest functions, all three in space, and one structure per state."""
    drawn = sampled_frames(states, variables, frames)
    functions, structures = variable_names(variables), structures[: (drawn.role == "representative").sum()]
    spaces = list(combinations(functions, 2)) + [tuple(functions)] * (len(functions) == 3) or [(TIME, functions[0])]
    rows = 1 + -(-len(structures) // COLUMNS)
    figure, axes = start_figure(style, columns=2, height=0.2 + 0.62 * rows, panels=(rows, COLUMNS))
    for ax in [*axes[0, len(spaces) :], *axes.flat[COLUMNS + len(structures) :]]:
        ax.remove()
    for ax, space in zip(axes[0], spaces, strict=False):
        if len(space) == 3:
            ax.remove()
            title = "{} →, {} ↗, {} ↑".format(space[0], *(name.split()[-1] for name in space[1:]))
            look = {"title": title, "xticklabels": [], "yticklabels": [], "zticklabels": []}
            ax = figure.add_subplot(ax.get_subplotspec(), projection="3d", **look)
            ax.set_box_aspect(None, zoom=0.85)
        plot_frames(ax, drawn, functions=space)
    for state, (ax, path) in enumerate(zip(axes.flat[COLUMNS:], structures, strict=False), start=1):
        draw_sticks(ax, path, color=state_color(state))
        ax.set_title(f"state {state}", pad=1)
    state_legend(figure, drawn.state.unique())
    save_figure(figure, drawn, pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
