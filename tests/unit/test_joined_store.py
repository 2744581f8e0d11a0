import numpy as np
import pytest

from geom2msm.frame_table import frame_table
from geom2msm.joined_store import (
    StoredTrajectory,
    read_beside,
    read_discrete_runs,
    read_pieces,
    read_runs,
    read_trajectories,
    read_variables,
    write_joined,
)
from geom2msm.pairs import read_frame_interval_ps
from geom2msm.store import write_store

# "d" continues "b", but does not come after it.
PIECES = [
    StoredTrajectory("a", 2), StoredTrajectory("b", 1, "a"), StoredTrajectory("c", 1), StoredTrajectory("d", 2, "b"),
]  # fmt: skip


def joined(path, *, trajectories=PIECES, **arrays: list) -> str:
    described = {"frame_interval_ps": 2.0, "n_microstates": 9}
    values = {name: np.array(array) for name, array in arrays.items()}
    axes = {"variables": ("frame", "dimension")} if "variables" in arrays else None
    write_joined(str(path), trajectories, attributes=described, arrays=values, axes=axes)
    return str(path)


def single(path, trajectory: str, values: list, *, frame_interval_ps: float = 2.0) -> str:
    attributes = {"trajectory": trajectory, "frame_interval_ps": frame_interval_ps}
    write_store(str(path), attributes=attributes, arrays={"x": np.array(values)}, axes={"x": ("frame",)})
    return str(path)


def test_pieces_are_what_was_laid_end_to_end(tmp_path):
    path = joined(tmp_path / "a.zarr.zip", x=[0, 1, 2, 3, 4, 5])
    assert read_trajectories(path) == PIECES
    assert [piece.tolist() for piece in read_pieces(path, "x")] == [[0, 1], [2], [3], [4, 5]]


def test_a_table_has_a_row_per_frame_and_a_column_per_dimension(tmp_path):
    path = joined(tmp_path / "a.zarr.zip", state=[0, 1, 2, 3, 4, 5], variables=np.arange(12.0).reshape(6, 2))
    table = frame_table(path)
    assert list(table) == ["trajectory", "frame", "state", "variables_0", "variables_1"]
    assert table.trajectory.tolist() == ["a", "a", "b", "c", "d", "d"]
    assert table.frame.tolist() == [0, 1, 0, 0, 0, 1]
    assert table.query("trajectory == 'd'").variables_1.tolist() == [9, 11]


def test_pieces_of_one_run_become_one_discrete_trajectory(tmp_path):
    path = joined(tmp_path / "a.zarr.zip", microstate=[0, 1, 2, 3, 4, 5])
    assert [run.tolist() for run in read_runs(path, "microstate")] == [[0, 1, 2], [3], [4, 5]]
    found = read_discrete_runs(path)
    assert [dtraj.tolist() for dtraj in found.dtrajs] == [[0, 1, 2], [3], [4, 5]]
    assert (found.n_microstates, found.frame_interval_ps) == (9, 2)


def test_variables_that_are_not_finite_are_refused_by_trajectory_and_frame(tmp_path):
    variables = np.zeros((6, 2))
    path = joined(tmp_path / "a.zarr.zip", variables=variables)
    assert read_variables(path).shape == (6, 2)
    variables[5, 1] = np.nan
    path = joined(tmp_path / "b.zarr.zip", variables=variables)
    with pytest.raises(ValueError, match=r"b\.zarr\.zip: the variables of frame 1 of d are not finite"):
        read_variables(path)


def test_stores_of_single_trajectories_are_joined_in_the_order_of_another(tmp_path):
    like = joined(
        tmp_path / "a.zarr.zip", x=[0, 0, 0], trajectories=[StoredTrajectory("b", 2), StoredTrajectory("a", 1)]
    )
    paths = [single(tmp_path / "1.zarr.zip", "b", [1, 2]), single(tmp_path / "2.zarr.zip", "a", [3])]
    assert read_beside(paths, "x", like=like).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match=r"2\.zarr\.zip: trajectory 'a', but .*a\.zarr\.zip has 'b' there"):
        read_beside(paths[::-1], "x", like=like)


def test_trajectories_with_different_frame_intervals_are_refused(tmp_path):
    first = single(tmp_path / "a.zarr.zip", "a", [0])
    second = single(tmp_path / "b.zarr.zip", "b", [0], frame_interval_ps=1.0)
    assert read_frame_interval_ps([first, first]) == 2.0
    with pytest.raises(ValueError, match=r"b\.zarr\.zip: frame_interval_ps is 1"):
        read_frame_interval_ps([first, second])
