import json

import pytest

from geom2msm.splits import Fold, read_fold, trajectory_folds

N_FRAMES = {"run-0": 100, "run-1": 40, "run-10": 60, "run-2": 100, "run-3": 20}


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_every_trajectory_validates_exactly_once(n_folds):
    folds = trajectory_folds(N_FRAMES, n_folds=n_folds)
    assert len(folds) == n_folds
    assert sorted(name for fold in folds for name in fold.validation) == sorted(N_FRAMES)


def test_no_trajectory_is_in_training_and_validation():
    for fold in trajectory_folds(N_FRAMES, n_folds=3):
        assert not set(fold.training) & set(fold.validation)
        assert sorted(fold.training + fold.validation) == sorted(N_FRAMES)


def test_folds_hold_about_the_same_number_of_frames():
    loads = [sum(N_FRAMES[name] for name in fold.validation) for fold in trajectory_folds(N_FRAMES, n_folds=2)]
    assert sorted(loads) == [160, 160]


def test_the_order_in_which_files_are_listed_changes_no_fold():
    shuffled = dict(sorted(N_FRAMES.items(), reverse=True))
    held_out = [sorted(fold.validation) for fold in trajectory_folds(N_FRAMES, n_folds=3)]
    assert [sorted(fold.validation) for fold in trajectory_folds(shuffled, n_folds=3)] == held_out


def test_fewer_trajectories_than_folds_are_refused():
    with pytest.raises(ValueError, match=r"n_folds = 3, but there are only 2 trajectories \(a, b\)"):
        trajectory_folds({"a": 10, "b": 10}, n_folds=3)


def test_a_single_fold_is_refused():
    with pytest.raises(ValueError, match="n_folds = 1, but at least 2 are needed"):
        trajectory_folds(N_FRAMES, n_folds=1)


def test_a_fold_is_read_from_the_split_file(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"folds": [{"training": ["a"], "validation": ["b"]}]}))
    assert read_fold(str(path), 0) == Fold(training=["a"], validation=["b"])
    with pytest.raises(ValueError, match=r"split.json: fold 1 asked for, but it has the folds 0 to 0"):
        read_fold(str(path), 1)
