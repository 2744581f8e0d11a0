"""Lags become frames only where they divide."""

import pytest

from geom2msm.units import frames


@pytest.mark.parametrize(("lag_ps", "interval_ps", "expected"), [(10.0, 1.0, 10), (0.3, 0.1, 3), (500.0, 100.0, 5)])
def test_a_lag_is_a_whole_number_of_frames(lag_ps, interval_ps, expected):
    assert frames(lag_ps=lag_ps, frame_interval_ps=interval_ps) == expected


@pytest.mark.parametrize("lag_ps", [0.0, -1.0, 0.5, 2.5])
def test_any_other_lag_is_refused(lag_ps):
    with pytest.raises(ValueError, match="not a positive multiple of frame_interval_ps = 1"):
        frames(lag_ps=lag_ps, frame_interval_ps=1.0)
