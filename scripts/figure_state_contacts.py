"""The contacts that tell states apart, and how probable they are in each."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from geom2msm.log import log_to
from geom2msm.style import save_figure, start_figure

MAX_CONTACTS = 20
DARK = 0.55


def most_different(probabilities: pd.DataFrame) -> pd.DataFrame:
    """A row per contact and a column per state; the contacts that differ most come first, and there are at most 20.

    `probabilities` has the columns state, contact, probability.
    """
    wide = probabilities.pivot(index="contact", columns="state", values="probability")
    return wide.loc[(wide.min(axis=1) - wide.max(axis=1)).sort_values(kind="stable").index[:MAX_CONTACTS]]


def labels(contacts: list[str]) -> list[str]:
    """Contacts such as 'A:TRP1 A:LEU5' for people; a single chain is not named."""
    chains = {residue.split(":")[0] for contact in contacts for residue in contact.split(" ")}
    joined = [contact.replace(" ", " – ") for contact in contacts]
    return [contact.replace(f"{min(chains)}:", "") for contact in joined] if len(chains) == 1 else joined


def plot_state_contacts(ax: Axes, wide: pd.DataFrame) -> None:
    """Probability of each contact (row) in each state (column), as color and as percent."""
    ax.imshow(wide, cmap="cividis_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(wide.to_numpy()):
        text = "–" if np.isnan(value) else f"{100 * value:.0f}"
        ax.text(column, row, text, ha="center", va="center", color="1" if value > DARK else "0", fontsize="x-small")
    ax.set_xticks(range(wide.shape[1]), wide.columns)
    ax.set_yticks(range(len(wide)), labels(list(wide.index)))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="state", title="probability of the contact (%)")


def main(probabilities: str, style: str, pdf: str, png: str, table: str) -> None:
    """Draw the contacts that differ most, or say that none does."""
    known = pd.read_csv(probabilities)
    wide = most_different(known)
    figure, axes = start_figure(style, columns=1, height=0.4 + 0.07 * max(len(wide), 3))
    if len(wide):
        plot_state_contacts(axes[0, 0], wide)
    else:
        axes[0, 0].text(0.5, 0.5, "no contact tells the states apart", ha="center", va="center")
        axes[0, 0].set_axis_off()
    save_figure(figure, known[known.contact.isin(wide.index)], pdf=pdf, png=png, csv=table)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(**snakemake.input, **snakemake.output)
