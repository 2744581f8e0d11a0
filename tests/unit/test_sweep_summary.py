"""Members of a sweep are put together by point; baselines are never mixed with points that happen to be alike."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from geom2msm.sweep_summary import read_points
from geom2msm.sweep_table import COSTS, PEAKS, SCORES

QUANTITIES = (*SCORES, *COSTS, *PEAKS)


@pytest.fixture
def path(tmp_path):
    """Three dimensions and two lags, and a baseline of the same lag and dimensions as one of the points."""
    rng, rows = np.random.default_rng(0), []
    for dimensions, lag_ps in product((3, 1, 2), (500.0, 5000.0)):
        for fold, seed in product(range(2), range(3)):
            known = {"dimensions": dimensions, "lag_ps": lag_ps, "fold": fold, "seed": seed, "baseline": None}
            rows.append(known | dict(zip(QUANTITIES, rng.random(len(QUANTITIES)), strict=True)))
    rows.append(rows[0] | {"baseline": "tica_torsions"} | dict.fromkeys(QUANTITIES, 9.0))
    pd.DataFrame(rows).to_csv(tmp_path / "members.csv", index=False)
    return str(tmp_path / "members.csv")


def test_a_point_is_mean_and_sample_deviation_of_its_members(path):
    sweep = read_points(path, ["dimensions", "lag_ps"])
    members = pd.read_csv(path)
    assert len(sweep.points) == 7
    for point in sweep.points[sweep.points.baseline.isna()].to_dict("records"):
        of_point = members[
            (members.dimensions == point["dimensions"]) & (members.lag_ps == point["lag_ps"]) & members.baseline.isna()
        ]
        assert point["n_members"] == len(of_point) == 6
        for name in QUANTITIES:
            assert point[f"{name}_mean"] == pytest.approx(of_point[name].mean())
            assert point[f"{name}_sd"] == pytest.approx(of_point[name].std(ddof=1))


def test_baselines_are_apart_from_points_of_the_same_lag_and_dimensions(path):
    sweep = read_points(path, ["dimensions", "lag_ps"])
    ((name, baseline),) = sweep.baselines()
    assert name == "tica torsions (lag 0.5 ns, d = 3)"
    assert (baseline.score_validation_mean, baseline.n_members) == (9.0, 1)
    curves = [points for _, points in sweep.curves()]
    assert sum(map(len, curves)) == 6
    assert all((points.score_validation_mean < 9).all() for points in curves)
    members = pd.concat([sweep.members_of(points) for points in curves])
    assert len(members) == 36
    assert (members.score_validation < 9).all()


def test_values_keep_the_order_of_the_sweep_and_times_get_a_readable_unit(path):
    sweep = read_points(path, ["dimensions", "lag_ps"])
    assert sweep.values("dimensions") == [3, 1, 2]
    assert [label for label, _ in sweep.curves()] == ["lag 0.5 ns", "lag 5 ns"]
    assert sweep.axis_label("lag_ps") == "lag (ns)"
    assert sweep.described("dimensions", 3) == "d = 3"
    assert sweep.title == "2 folds × 3 seeds"


def test_a_single_axis_has_one_curve_without_a_label(path, tmp_path):
    members = pd.read_csv(path)
    members[(members.lag_ps == 500) & members.baseline.isna()].drop(columns="baseline").to_csv(
        tmp_path / "single.csv", index=False
    )
    sweep = read_points(str(tmp_path / "single.csv"), ["dimensions"])
    ((label, points),) = sweep.curves()
    assert label is None
    assert list(points.dimensions) == [3, 1, 2]
    assert not list(sweep.baselines())
    assert sweep.title == "lag time τ = 500 ps, 2 folds × 3 seeds"


def test_the_best_is_that_of_its_lag_and_dimensions(path):
    points = read_points(path, ["dimensions", "lag_ps"]).points
    # Only the baseline and one point have one lag and as many dimensions: all others are alone.
    assert points[points.best].baseline.tolist() == ["tica_torsions"]
    at_one_lag = read_points(path, ["lag_ps"]).points
    assert at_one_lag.best.sum() == 1


def baseline_of(path: str, tmp_path, **changes) -> tuple[str, str]:
    """Name of a baseline beside points of one lag and dimensions, and the title of the figure."""
    members = pd.read_csv(path)
    own = members[(members.lag_ps == 500) & (members.dimensions == 3)].assign(width=8)
    own = own.assign(seed=own.seed + 3)
    own.loc[own.baseline.notna(), [*changes, "seed"]] = [*changes.values(), 0]
    own.to_csv(tmp_path / "own.csv", index=False)
    sweep = read_points(str(tmp_path / "own.csv"), ["width"])
    return next(sweep.baselines())[0], sweep.title


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "tica torsions"),
        ({"lag_ps": 2000.0}, "tica torsions (lag 2000 ps)"),
        ({"dimensions": 2}, "tica torsions (d = 2)"),
    ],
)
def test_a_baseline_that_does_not_compare_says_so_and_is_not_counted_as_a_seed(path, tmp_path, changes, name):
    found, title = baseline_of(path, tmp_path, **changes)
    assert found == name
    assert title == "lag time τ = 500 ps, d = 3, 2 folds × 3 seeds"
