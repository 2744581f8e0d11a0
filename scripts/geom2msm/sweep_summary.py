"""What the figures of sweeps draw: the members of every point put together, and words for axes and values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real

import pandas as pd

from geom2msm.style import time_unit
from geom2msm.sweep_table import COSTS, PEAKS, SCORES

AXIS_NAMES = {
    "dimensions": "dimensions d",
    "hidden_channels": "width (channels)",
    "token_merging.window": "window w (tokens)",
    "token_merging.operator": "operator",
}
BASELINE = "baseline"
# Scores compare where these are equal.
COMPARABLE = ("lag_ps", "dimensions")
# One look for each of the baselines that a sweep can have.
LINES, CROSSES = ("-.", (0, (5, 1)), (0, (1, 1))), ("x", "+", "*")


@dataclass(frozen=True)
class SweepPoints:
    """Members of a sweep, and their means, along one axis or two.

    `points` has a row for each point and baseline, in the order of the sweep: the axes, baseline, lag_ps, dimensions,
    n_members, for every score and cost `<name>_mean` and `<name>_sd`, and `best`, whether the validation score is the
    highest of those that it can be compared to, of one lag and as many dimensions. The deviation of a single member is
    not a number.
    """

    members: pd.DataFrame
    points: pd.DataFrame
    x: str
    series: str | None

    def values(self, axis: str) -> list:
        """The values of an axis in the order of the sweep."""
        return list(self.points.loc[self.points[BASELINE].isna(), axis].unique())

    def axis_label(self, axis: str) -> str:
        """The name of an axis as it is written along a figure, with the unit of its values."""
        if axis.endswith("_ps"):
            return f"{axis.removesuffix('_ps')} ({self._unit(axis)[0]})"
        return AXIS_NAMES.get(axis, axis.rpartition(".")[2].replace("_", " "))

    def value_label(self, axis: str, value: object) -> str:
        """A value of an axis; a time in the unit of `axis_label`."""
        if axis.endswith("_ps"):
            value = value / self._unit(axis)[1]
        return f"{value:g}" if isinstance(value, Real) and not isinstance(value, bool) else str(value).replace("_", " ")

    def described(self, axis: str, value: object) -> str:
        """An axis and its value, as in a legend."""
        if axis == "dimensions":
            return f"d = {value}"
        unit = f" {self._unit(axis)[0]}" if axis.endswith("_ps") else ""
        name = axis.removesuffix("_ps") if unit else self.axis_label(axis).partition(" (")[0]
        return f"{name} {self.value_label(axis, value)}{unit}"

    def _unit(self, axis: str) -> tuple[str, float]:
        return time_unit(self.values(axis))

    def curves(self) -> Iterator[tuple[str | None, pd.DataFrame]]:
        """Label and points of every value of the series; of all points, without a label, if there is no series."""
        points = self.points[self.points[BASELINE].isna()]
        if self.series is None:
            yield None, points
            return
        for value in self.values(self.series):
            yield self.described(self.series, value), points[points[self.series] == value]

    def members_of(self, points: pd.DataFrame) -> pd.DataFrame:
        """The members of some points, baselines left out."""
        axes = [axis for axis in (self.x, self.series) if axis]
        return self.members[self.members[BASELINE].isna()].merge(points[axes], on=axes)

    def baselines(self) -> Iterator[tuple[str, pd.Series]]:
        """Name and point of every baseline; the name says lag and dimensions if they are not those of all points."""
        own = self.points[self.points[BASELINE].isna()]
        for _, point in self.points[self.points[BASELINE].notna()].iterrows():
            others = [axis for axis in COMPARABLE if set(own[axis]) != {point[axis]}]
            where = ", ".join(self.described(axis, point[axis]) for axis in others)
            yield str(point[BASELINE]).replace("_", " ") + (f" ({where})" if where else ""), point

    @property
    def title(self) -> str:
        """Lag and dimensions, where they are the same for all, and how many trainings a point is."""
        parts, own = [], self.members[self.members[BASELINE].isna()]
        if own.lag_ps.nunique() == 1:
            unit, unit_ps = time_unit(own.lag_ps)
            parts.append(f"lag time τ = {own.lag_ps.iloc[0] / unit_ps:g} {unit}")
        if own.dimensions.nunique() == 1:
            parts.append(f"d = {own.dimensions.iloc[0]}")
        counts = {name: own[name].nunique() for name in ("fold", "seed")}
        return ", ".join([*parts, " × ".join(f"{n} {name}{'s' * (n > 1)}" for name, n in counts.items())])


def read_points(path: str, axes: Sequence[str]) -> SweepPoints:
    """The table of a sweep, summarized along its axes: first that along x, then that of the series, if any."""
    members = pd.read_csv(path)
    members = members if BASELINE in members else members.assign(baseline=float("nan"))
    groups = members.groupby([*axes, BASELINE], dropna=False, sort=False)
    found = groups[[*SCORES, *COSTS, *PEAKS]].agg(["mean", "std"])
    found.columns = [f"{name}_{'sd' if statistic == 'std' else statistic}" for name, statistic in found.columns]
    of_all = [name for name in COMPARABLE if name not in axes]
    points = pd.concat([groups[of_all].first(), groups.size().rename("n_members"), found], axis=1).reset_index()
    rivals = points.groupby(list(COMPARABLE)).score_validation_mean
    points["best"] = (points.score_validation_mean == rivals.transform("max")) & (rivals.transform("size") > 1)
    return SweepPoints(members, points, axes[0], axes[1] if len(axes) > 1 else None)
