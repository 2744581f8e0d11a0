"""Contacts that tell states apart: their probability in each state, and intervals of the differences."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from geom2msm.annotation import WeightedFrames
from geom2msm.joined_store import check_trajectory, read_trajectories
from geom2msm.resampling import Blocks, jackknife_interval

MAX_CONTACTS = 50
# Contacts that differ by less tell no states apart.
MIN_DIFFERENCE = 0.05
COMPARED = (
    "state", "other_state", "contact", "probability", "other_probability",
    "difference", "difference_lower", "difference_upper",
)  # fmt: skip


@dataclass(frozen=True)
class SampledContacts:
    """Which contacts are there in some frames, counted along all trajectories laid end to end.

    Each stands for `each_for` frames: of a long trajectory a smaller share is looked at.
    """

    frames: Int[np.ndarray, " sample"]
    each_for: Float[np.ndarray, " sample"]
    names: list[str]
    touching: Bool[np.ndarray, "sample contact"]


def read_contacts(paths: Sequence[str], *, like: str) -> SampledContacts:
    """The contacts of all trajectories, in the order of the store `like`; one that a file lacks is never there."""
    stored, trajectories = [], read_trajectories(like)
    for path, expected in zip(paths, trajectories, strict=True):
        with np.load(path) as content:
            stored.append({key: content[key] for key in ("trajectory", "frames", "names", "touching")})
        check_trajectory(path, str(stored[-1]["trajectory"]), expected.name, like=like)
    names = list(dict.fromkeys(name for each in stored for name in each["names"].tolist()))
    place = {name: column for column, name in enumerate(names)}
    touching = np.zeros((sum(len(each["frames"]) for each in stored), len(names)), dtype=bool)
    frames, each_for, row, first = [], [], 0, 0
    for each, trajectory in zip(stored, trajectories, strict=True):
        rows = slice(row, row + len(each["frames"]))
        touching[rows, [place[name] for name in each["names"].tolist()]] = each["touching"]
        frames.append(first + each["frames"])
        each_for.append(np.full(len(frames[-1]), trajectory.n_frames / len(frames[-1])))
        row, first = rows.stop, first + trajectory.n_frames
    return SampledContacts(np.concatenate(frames), np.concatenate(each_for), names, touching)


@dataclass(frozen=True)
class ContactSums:
    """Weighted sums of frames with each contact, and weights of all frames, in each block."""

    with_contact: Float[np.ndarray, "state block contact"]
    of_all: Float[np.ndarray, "state block"]
    blocks: Blocks

    @property
    def probability(self) -> Float[np.ndarray, "state contact"]:
        """Fraction of each state's frames that have the contact; NaN in a state without frames."""
        with np.errstate(invalid="ignore"):
            return self.with_contact.sum(axis=1) / self.of_all.sum(axis=1)[:, None]

    @property
    def n_blocks(self) -> Int[np.ndarray, " state"]:
        """How many blocks reach each state."""
        return (self.of_all > 0).sum(axis=1)

    def without(self, state: int, contacts: Int[np.ndarray, " some"]) -> Float[np.ndarray, "block some"]:
        """Probabilities of contacts in a state without the frames of each block; NaN where no other block has any."""
        touching, everything = self.with_contact[state][:, contacts], self.of_all[state]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (touching.sum(axis=0) - touching) / (everything.sum() - everything)[:, None]


def sum_contacts(frames: WeightedFrames, touching: Bool[np.ndarray, "frame contact"]) -> ContactSums:
    """What both tables are made from."""
    of_all = frames.weights(np.ones(len(frames.state), dtype=bool))
    columns = [frames.sums(column.astype(np.float64)) for column in touching.T]
    with_contact = np.stack(columns, axis=-1) if columns else np.zeros((*of_all.shape, 0))
    return ContactSums(with_contact, of_all, frames.blocks)


def compare_states(sums: ContactSums, names: Sequence[str]) -> pd.DataFrame:
    """For each two states the contacts whose probabilities differ most, at most 50, with intervals of the difference.

    Intervals hold for each contact by itself: they do not allow for these being the largest of many differences.
    """
    tables, probability = [], sums.probability
    for state, other in combinations(range(len(probability)), 2):
        difference = probability[other] - probability[state]
        size = np.nan_to_num(np.abs(difference))
        largest = np.argsort(-size, kind="stable")[:MAX_CONTACTS]
        largest = largest[size[largest] >= MIN_DIFFERENCE]
        without = sums.without(other, largest) - sums.without(state, largest)
        n_used = np.full(len(largest), sums.n_blocks[[state, other]].min())
        lower, upper = jackknife_interval(difference[largest], without, sums.blocks, n_used=n_used)
        tables.append(pd.DataFrame({
            "state": state + 1, "other_state": other + 1, "contact": [names[place] for place in largest],
            "probability": probability[state, largest], "other_probability": probability[other, largest],
            "difference": difference[largest], "difference_lower": lower, "difference_upper": upper,
        }))  # fmt: skip
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COMPARED)


def contact_probabilities(sums: ContactSums, names: Sequence[str], chosen: Sequence[str]) -> pd.DataFrame:
    """Probability of the chosen contacts in every state, with intervals."""
    places, tables = np.array([names.index(name) for name in chosen], dtype=int), []
    for state, probability in enumerate(sums.probability):
        n_used = np.full(len(places), sums.n_blocks[state])
        lower, upper = jackknife_interval(probability[places], sums.without(state, places), sums.blocks, n_used=n_used)
        tables.append(pd.DataFrame({
            "state": state + 1, "contact": list(chosen), "probability": probability[places],
            "probability_lower": lower, "probability_upper": upper,
        }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)
