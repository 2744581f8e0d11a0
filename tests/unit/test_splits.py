import json

import pytest

from geom2msm.runs import Piece, Run, join_runs
from geom2msm.splits import ROLES, SplitSettings, check_apart, make_folds, read_fold, write_folds

N_FRAMES = {"run-0": 100, "run-1": 40, "run-10": 60, "run-2": 100, "run-3": 20}
GAP = 5


def inventories(n_frames=N_FRAMES):
    """Trajectories saved every 2 ps in files without times."""
    return [
        {"trajectory": name, "n_frames": length, "frame_interval_ps": 2.0, "checks": {}}
        for name, length in n_frames.items()
    ]


def settings(*, scheme="trajectories", n_folds=2, nested=False, block_ns=None):
    return SplitSettings(scheme, n_folds, nested, block_ns, gap_ps=2.0 * GAP)


def folds_of(n_frames=N_FRAMES, *, continuous=False, **chosen):
    runs = join_runs(inventories(n_frames), continuous=continuous)
    return make_folds(runs, settings(**chosen), frame_interval_ps=2.0)


def frames(segments):
    """(trajectory, frame) of all frames of a set."""
    return [
        (piece.trajectory, frame)
        for segment in segments
        for piece in segment
        for frame in range(piece.start, piece.stop)
    ]


def names(segments):
    return [piece.trajectory for segment in segments for piece in segment]


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_every_trajectory_validates_exactly_once(n_folds):
    folds = folds_of(n_folds=n_folds)
    assert len(folds) == n_folds
    assert sorted(name for fold in folds for name in names(fold.validation)) == sorted(N_FRAMES)


@pytest.mark.parametrize("nested", [True, False])
def test_whole_trajectories_go_to_one_set(nested):
    lengths = {f"run-{i}": 50 + 3 * i for i in range(7)}
    for fold in folds_of(lengths, n_folds=3, nested=nested):
        sets = [fold.training, fold.validation, *([fold.selection] if nested else [])]
        assert sorted(name for segments in sets for name in names(segments)) == sorted(lengths)
        assert all(len(segment) == 1 for segments in sets for segment in segments)
        assert all(len(frames([segment])) == lengths[segment[0].trajectory] for segment in fold.training)


def test_folds_hold_about_the_same_number_of_frames():
    assert [len(frames(fold.validation)) for fold in folds_of(n_folds=2)] == [160, 160]


def test_the_order_in_which_files_are_listed_changes_no_fold():
    shuffled = dict(sorted(N_FRAMES.items(), reverse=True))
    held_out = [sorted(names(fold.validation)) for fold in folds_of(n_folds=3)]
    assert [sorted(names(fold.validation)) for fold in folds_of(shuffled, n_folds=3)] == held_out


def test_without_nesting_the_validation_set_also_chooses():
    for fold in folds_of(nested=False):
        assert fold.selection == fold.validation
        assert fold.fitting == fold.training


def test_with_nesting_about_a_fifth_of_the_training_trajectories_chooses():
    fold = folds_of({f"run-{i}": 10 for i in range(20)}, nested=True)[0]
    assert (len(fold.training), len(fold.selection), len(fold.validation)) == (8, 2, 10)
    assert fold.fitting == fold.training + fold.selection


def test_with_nesting_a_single_training_trajectory_is_cut_in_two():
    fold = folds_of({"a": 100, "b": 100}, nested=True)[0]
    assert names(fold.training) == names(fold.selection) == ["b"]
    assert fold.selection == [[Piece("b", 80, 100)]]
    assert fold.training == [[Piece("b", 0, 80 - GAP)]]


@pytest.mark.parametrize(
    "lengths",
    [
        (100, 100, 10_000, 100, 100), (2000, 2000, 2000, 50_000, 2000, 2000), (500, 2000, 500), (300, 300, 300),
        (300, 300), (210, 210, 95, 485), (100,) * 12, (1000, 30, 30, 30, 900, 800),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n_folds", [2, 3])
def test_nested_selection_takes_about_a_fifth_of_the_frames_however_long_the_trajectories_are(lengths, n_folds):
    if len(lengths) < n_folds:
        pytest.skip("fewer trajectories than folds")
    for fold in folds_of({f"t{i}": length for i, length in enumerate(lengths)}, nested=True, n_folds=n_folds):
        n_selected, n_training = len(frames(fold.selection)), len(frames(fold.training))
        # Where a trajectory is cut in two, a gap is left out of both sets.
        assert n_selected / (n_selected + n_training + GAP) >= 0.1
        assert n_selected / (n_selected + n_training) <= 0.3
        assert not set(frames(fold.selection)) & set(frames(fold.training))
        check_apart(fold, lag_frames=GAP)


def test_blocks_of_one_trajectory_alternate_between_folds_with_gaps():
    first, second = folds_of({"long": 400}, scheme="blocks", block_ns=0.2)
    assert first.validation == [[Piece("long", 0, 100)], [Piece("long", 200, 300)]]
    assert first.training == [[Piece("long", 100 + GAP, 200 - GAP)], [Piece("long", 300 + GAP, 400)]]
    assert second.validation == [[Piece("long", 100, 200)], [Piece("long", 300, 400)]]


def test_neighboring_blocks_of_one_set_are_one_segment():
    fold = folds_of({"long": 500}, scheme="blocks", block_ns=0.2, n_folds=5)[0]
    assert fold.training == [[Piece("long", 100 + GAP, 500)]]


def test_pieces_of_a_continuous_run_are_joined_within_a_set():
    runs = join_runs(inventories({"a": 50, "b": 50, "c": 50, "d": 50}), continuous=True)
    assert runs == [Run(("a", "b", "c", "d"), (50, 50, 50, 50))]
    fold = make_folds(runs, settings(scheme="blocks", block_ns=0.2), frame_interval_ps=2.0)[0]
    assert fold.validation == [[Piece("a", 0, 50), Piece("b", 0, 50)]]
    assert fold.training == [[Piece("c", GAP, 50), Piece("d", 0, 50)]]


def test_sets_that_are_too_close_for_a_lag_are_refused():
    fold = folds_of({"long": 400}, scheme="blocks", block_ns=0.2)[0]
    check_apart(fold, lag_frames=GAP)
    with pytest.raises(ValueError, match=r"of run 0 \(long\) are only 5 frames apart, less than the lag of 6 frames"):
        check_apart(fold, lag_frames=GAP + 1)


def test_blocks_that_the_gaps_use_up_are_refused():
    with pytest.raises(ValueError, match="0 frames of long are left for training between gaps of 5 frames"):
        folds_of({"long": 400}, scheme="blocks", block_ns=0.02)


def test_a_piece_that_the_gaps_use_up_is_named_and_blocks_are_proposed():
    message = r"0 frames of b are left for training between gaps of 5 frames.* set split\.scheme to blocks"
    with pytest.raises(ValueError, match=message):
        folds_of({"a": 50, "b": 8, "c": 50, "d": 100}, continuous=True)


def test_a_rest_between_gaps_without_a_pair_is_refused_before_any_training():
    # 15 frames lose 5 to either neighbor; at the lag of 5 frames the other 5 have no pair.
    lengths = {"a": 50, "b": 15, "c": 50, "d": 100}
    with pytest.raises(ValueError, match=r"5 frames of b are left for training .* too few for one pair"):
        folds_of(lengths, continuous=True)
    folds_of(lengths | {"b": 16}, continuous=True)


def test_fewer_trajectories_than_folds_are_refused():
    with pytest.raises(ValueError, match=r"n_folds = 3, but there are only 2 trajectories; .* split.scheme to blocks"):
        folds_of({"a": 10, "b": 10}, n_folds=3)


def test_fewer_blocks_than_folds_are_refused():
    with pytest.raises(ValueError, match=r"split.block_ns = 0.5 gives 2 blocks, too few for n_folds = 3"):
        folds_of({"long": 400}, scheme="blocks", block_ns=0.5, n_folds=3)


def test_a_single_fold_is_refused():
    with pytest.raises(ValueError, match="n_folds = 1, but at least 2 are needed"):
        folds_of(n_folds=1)


@pytest.mark.parametrize("continuous", [True, False])
def test_a_fold_is_read_from_the_split_file_as_it_was_made(tmp_path, continuous):
    folds = folds_of(continuous=continuous, nested=True)
    write_folds(tmp_path / "split.json", folds, provenance={})
    assert [read_fold(str(tmp_path / "split.json"), number) for number in range(2)] == folds
    assert json.loads((tmp_path / "split.json").read_text())["folds"][0].keys() == set(ROLES)
    with pytest.raises(ValueError, match=r"split.json: fold 2 asked for, but it has the folds 0 to 1"):
        read_fold(str(tmp_path / "split.json"), 2)
