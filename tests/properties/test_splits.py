import itertools

from hypothesis import assume, given
from hypothesis import strategies as st

from geom2msm.runs import join_runs
from geom2msm.splits import ROLES, SplitSettings, block_units, check_apart, make_folds, trajectory_units


@given(
    lengths=st.lists(st.integers(40, 300), min_size=1, max_size=6),
    continuous=st.booleans(),
    nested=st.booleans(),
    n_folds=st.integers(2, 4),
    block=st.integers(30, 120),
    gap=st.integers(1, 14),
    scheme=st.sampled_from(["blocks", "trajectories"]),
)
def test_frames_of_different_sets_are_at_least_the_gap_apart_and_all_validate_once(
    lengths, continuous, nested, n_folds, block, gap, scheme
):
    inventories = [{"trajectory": f"run-{i}", "n_frames": n, "checks": {}} for i, n in enumerate(lengths)]
    runs = join_runs(inventories, continuous=continuous)
    settings = SplitSettings(scheme, n_folds, nested, block / 1000, gap_ps=float(gap))
    units = block_units(runs, block_frames=block) if scheme == "blocks" else trajectory_units(runs)
    try:
        folds = make_folds(runs, settings, frame_interval_ps=1.0)
    except ValueError:
        folds = None
    # What lies between two others loses the gap on both sides, and must have more than the gap left.
    assert folds is not None or len(units) < n_folds or nested or min(map(len, units)) <= 3 * gap
    assume(folds is not None)
    begin_of = dict(zip((f"run-{i}" for i in range(len(lengths))), itertools.accumulate([0, *lengths]), strict=False))
    run_of = {name: number for number, run in enumerate(runs) for name in run.trajectories}

    def times(segments):
        """All frames of a set, by run and by the place when all trajectories follow one another."""
        return {
            (run_of[piece.trajectory], begin_of[piece.trajectory] + frame)
            for segment in segments for piece in segment for frame in range(piece.start, piece.stop)
        }  # fmt: skip

    validated = []
    for fold in folds:
        check_apart(fold, lag_frames=gap)
        sets = {role: times(getattr(fold, role)) for role in ROLES}
        if not nested:
            assert sets.pop("selection") == sets["validation"]
        for one, other in itertools.combinations(sets.values(), 2):
            assert not any((run, frame + shift) in other for run, frame in one for shift in range(-gap, gap + 1))
        for segments in (fold.training, fold.selection, fold.validation):
            for segment in segments:
                ends = [begin_of[piece.trajectory] + piece.stop for piece in segment[:-1]]
                assert ends == [begin_of[piece.trajectory] + piece.start for piece in segment[1:]]
        validated += sorted(sets["validation"])
    assert sorted(frame for _, frame in validated) == list(range(sum(lengths)))
