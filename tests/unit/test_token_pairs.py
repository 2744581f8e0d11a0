import numpy as np
import pytest
import torch

from geom2msm.mixers.layout import TokenLayout
from geom2msm.pairs import FrameRange, FrameSet, pair_starts
from geom2msm.splits import ROLES
from geom2msm.store import write_store
from geom2msm.stored_tokens import StoredTokens, Tokens
from geom2msm.token_pairs import MEGABYTE, BlockPlan, TokenPairs
from geom2msm.training import FoldPairs, fit_vampnet
from geom2msm.training_state import Member
from geom2msm.vampnet import VampnetConfig

N_FRAMES = (700, 500, 903)
LAG = 7
# scalars, vectors and positions of 2 tokens and 8 channels.
FRAME_BYTES = 2 * (8 * 2 + 24 * 2 + 3 * 4)


def write(path, n_frames, *, first):
    """A token store in which every number of a frame says which frame it is."""
    frame = np.arange(first, first + n_frames)
    arrays = {
        "scalars": np.broadcast_to(frame[:, None, None] % 2000, (n_frames, 2, 8)).astype(np.float16),
        "vectors": np.broadcast_to(frame[:, None, None, None] // 2000, (n_frames, 2, 3, 8)).astype(np.float16),
        "positions_nm": np.broadcast_to(frame[:, None, None], (n_frames, 2, 3)).astype(np.float32),
        "time_ps": frame.astype(float),
    }
    axes = {"scalars": ("frame", "token", "channel"), "vectors": ("frame", "token", "3", "channel")}
    axes |= {"positions_nm": ("frame", "token", "3"), "time_ps": ("frame",)}
    attributes = {"trajectory": path.name, "frame_interval_ps": 1.0, "tokens": {"stretch": [0, 0]}}
    write_store(str(path), attributes=attributes, arrays=arrays, axes=axes)
    return str(path)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """The last 600 frames of the first store, and all of the others."""
    folder, first = tmp_path_factory.mktemp("stores"), [-100, 600, 1100]
    paths = [write(folder / f"{i}.zarr.zip", n, first=f) for i, (n, f) in enumerate(zip(N_FRAMES, first, strict=True))]
    ranges = [FrameRange(paths[0], 100, 700), FrameRange(paths[1], 0, 500), FrameRange(paths[2], 0, 903)]
    starts = pair_starts({part.path: part.stop - part.start for part in ranges}, lag_frames=LAG)
    return FrameSet(tuple(ranges), starts, LAG)


def opened(frames, room, **chosen):
    """Pairs whose buffer holds so many frames."""
    pairs = TokenPairs.open(frames, memory_mb=0 if room < len(frames) else 10, **chosen)
    return pairs if pairs.tokens else TokenPairs(
        pairs.starts, pairs.lag_frames, pairs.layout, stored=pairs.stored, room=room
    )  # fmt: skip


def frame_numbers(tokens):
    number = tokens.positions_nm[:, 0, 0].long()
    assert torch.equal(tokens.scalars[:, 1, 3].long(), number % 2000)
    assert torch.equal(tokens.vectors[:, 1, 2, 3].long(), number // 2000)
    return number


# Rooms for blocks longer than the lag, about as long as it, and shorter.
@pytest.mark.parametrize("room", [10_000, 1500, 900, 500, 300])
@pytest.mark.parametrize("batch_pairs", [30, 97])
def test_every_pair_comes_exactly_once_per_epoch_and_with_its_own_tokens(frames, room, batch_pairs):
    seen, generator = [], torch.Generator().manual_seed(0)
    for batch in opened(frames, room).batches(batch_pairs, generator):
        assert batch_pairs <= len(batch.starts) < 2 * batch_pairs
        assert torch.equal(frame_numbers(batch.at_start()), batch.starts)
        assert torch.equal(frame_numbers(batch.at_lag()), batch.starts + LAG)
        assert torch.equal(frame_numbers(batch.both()), torch.cat([batch.starts, batch.starts + LAG]))
        seen += batch.starts.tolist()
    assert seen != sorted(seen)
    assert sorted(seen) == frames.starts.tolist()


@pytest.mark.parametrize("room", [10_000, 500])
def test_the_order_of_pairs_follows_from_the_seed(frames, room):
    def order(seed):
        batches = opened(frames, room).batches(50, torch.Generator().manual_seed(seed))
        return torch.cat([batch.starts for batch in batches])

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))


def test_a_batch_from_the_buffer_is_a_sample_of_all_trajectories(frames):
    for batch in opened(frames, 1000).batches(200, torch.Generator().manual_seed(0)):
        share = torch.bincount(torch.bucketize(batch.starts, torch.tensor([600, 1100]), right=True), minlength=3)
        assert (share / len(batch.starts)).min() > 0.1


@pytest.mark.parametrize("room", [10_000, 0])
@pytest.mark.parametrize("chunk_frames", [1, 64, 10_000])
def test_chunks_are_all_frames_in_order(frames, room, chunk_frames, monkeypatch):
    monkeypatch.setattr("geom2msm.token_pairs.CHUNK_BYTES", chunk_frames * FRAME_BYTES)
    chunks = [frame_numbers(chunk) for chunk in opened(frames, room).chunks()]
    assert max(map(len, chunks)) <= chunk_frames
    assert torch.equal(torch.cat(chunks), torch.arange(len(frames)))


def test_tokens_that_fit_are_in_memory_once_and_others_are_not(frames):
    needed_mb = len(frames) * FRAME_BYTES / MEGABYTE
    assert TokenPairs.open(frames, memory_mb=int(needed_mb) + 1).tokens is not None
    assert TokenPairs.open(frames, memory_mb=0).tokens is None


def test_a_buffer_smaller_than_a_batch_is_refused(frames):
    with pytest.raises(
        ValueError, match=r"memory_mb holds 300 frames .* fewer than batch_pairs = 1000; raise memory_mb"
    ):
        next(opened(frames, 300).batches(1000, torch.Generator()))


class UnwrittenTokens(StoredTokens):
    """Tokens that nobody looks at."""

    def __init__(self):
        """There are no stores."""

    def empty(self, n_frames):
        return Tokens(torch.zeros(n_frames, 1, 1), torch.zeros(n_frames, 1, 3, 0), torch.zeros(n_frames, 1, 3))

    def read_into(self, out, start, stop):
        assert len(out.scalars) == stop - start, "the buffer is full"


def pairs_of_segments(lengths, *, lag_frames, room):
    """Pairs of segments of these lengths, through a buffer of so many frames; the plan of it, and its blocks."""
    starts = torch.from_numpy(pair_starts({str(i): n for i, n in enumerate(lengths)}, lag_frames=lag_frames))
    plan = BlockPlan.of(room, lag_frames=lag_frames)
    return (
        TokenPairs(starts, lag_frames, TokenLayout(1, (0,)), stored=UnwrittenTokens(), room=room),
        plan,
        plan.blocks(starts),
    )


# Few long segments and many short ones; lengths that are all different; lags from one frame to most of a segment.
SEGMENTS = {"long and short": [2000] * 30 + [30] * 300, "all different": list(range(31, 331)), "equal": [203] * 100}


@pytest.mark.parametrize("lengths", SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("room", [2000, 8000, 16_000])
@pytest.mark.parametrize("lag_frames", [1, 10, 29])
def test_no_batch_is_smaller_than_it_should_be_however_short_segments_are(lengths, room, lag_frames):
    pairs, plan, blocks = pairs_of_segments(lengths, lag_frames=lag_frames, room=room)
    batch_pairs = plan.least_pairs(blocks)
    for seed in range(4):
        batches = [batch.starts for batch in pairs.batches(batch_pairs, torch.Generator().manual_seed(seed))]
        assert min(map(len, batches)) >= batch_pairs
        assert torch.equal(torch.cat(batches).sort().values, pairs.starts)
    if batch_pairs < len(pairs.starts):
        with pytest.raises(ValueError, match=rf"as few as {batch_pairs} pairs at a time, fewer than batch_pairs = "):
            next(pairs.batches(batch_pairs + 1, torch.Generator()))
    n_buffers = -(-len(blocks) // plan.blocks_per_buffer)
    assert batch_pairs > len(pairs.starts) / n_buffers - max(map(len, blocks))


def test_which_blocks_share_a_buffer_is_drawn_anew_however_different_they_are():
    _, plan, blocks = pairs_of_segments(range(31, 331), lag_frames=10, room=20_000)
    generator = torch.Generator().manual_seed(0)
    epochs = [plan.deal(blocks, generator) for _ in range(200)]
    together = [sum(blocks[40] in buffer and blocks[place] in buffer for buffer in dealt)
                for place in (0, 100, 299) for dealt in epochs]  # fmt: skip
    n_buffers = len(epochs[0])
    assert n_buffers > 2
    assert np.mean(together) == pytest.approx(1 / n_buffers, abs=0.08)
    for dealt in epochs:
        assert max(map(len, dealt)) <= plan.blocks_per_buffer
        sizes = [sum(map(len, buffer)) for buffer in dealt]
        assert max(sizes) - min(sizes) <= max(map(len, blocks))


def test_shuffled_time_is_the_same_frames_in_another_order_wherever_they_are_read_from(frames):
    chunks = [frame_numbers(chunk) for chunk in opened(frames, 10_000, control="time_shuffled").chunks()]
    order = torch.cat(chunks)
    assert not torch.equal(order, order.sort().values)
    assert torch.equal(order.sort().values, torch.arange(len(frames)))
    for batch in opened(frames, 700, control="time_shuffled").batches(50, torch.Generator().manual_seed(0)):
        assert torch.equal(frame_numbers(batch.at_lag()), order[batch.starts + LAG])


def test_noise_tokens_are_noise_and_the_same_for_a_frame_whenever_it_is_read(frames):
    whole = opened(frames, 10_000, control="noise_tokens").tokens
    assert whole.scalars.float().std() == pytest.approx(1, abs=0.05)
    assert whole.scalars.float().mean() == pytest.approx(0, abs=0.05)
    for batch in opened(frames, 700, control="noise_tokens").batches(50, torch.Generator().manual_seed(0)):
        assert torch.equal(batch.at_lag().vectors, whole.vectors[batch.starts + LAG])


def test_noise_tokens_have_nothing_of_a_frame_in_any_of_their_arrays(frames):
    real, noise = (opened(frames, 10_000, control=control).tokens for control in ("none", "noise_tokens"))
    for array, others in zip(real, noise, strict=True):
        values, random = (each.float().flatten(1) for each in (array, others))
        known = torch.corrcoef(torch.stack([values.mean(dim=1), random.mean(dim=1)]))[0, 1]
        assert not torch.isclose(values, random).any(dim=1).all()
        assert not known.abs() > 5 / len(values) ** 0.5


def test_an_unknown_control_is_refused(frames):
    with pytest.raises(ValueError, match="control: magic is unknown; choose one of none, time_shuffled, noise_tokens"):
        StoredTokens(frames, control="magic")


@pytest.mark.parametrize("control", ["time_shuffled", "noise_tokens"])
def test_a_control_scores_one_and_the_bias_of_its_estimator(tmp_path, control):
    """Frames that differ slowly, of which an untreated model knows nearly all: 1 + d^2 / N within three deviations."""
    sets = []
    for seed in range(3):
        path = str(tmp_path / f"{seed}.zarr.zip")
        rng = np.random.default_rng(seed)
        slow = np.sin(np.arange(2000) / 100 + seed)[:, None, None]
        arrays = {
            "scalars": (slow + 0.1 * rng.normal(size=(2000, 2, 8))).astype(np.float16),
            "vectors": rng.normal(size=(2000, 2, 3, 8)).astype(np.float16),
            "positions_nm": np.zeros((2000, 2, 3), np.float32),
            "time_ps": np.arange(2000.0),
        }
        axes = {"scalars": ("frame", "token", "channel"), "vectors": ("frame", "token", "3", "channel")}
        axes |= {"positions_nm": ("frame", "token", "3"), "time_ps": ("frame",)}
        attributes = {"trajectory": str(seed), "frame_interval_ps": 1.0, "tokens": {"stretch": [0, 0]}}
        write_store(path, attributes=attributes, arrays=arrays, axes=axes)
        sets.append(FrameSet((FrameRange(path, 0, 2000),), np.arange(2000 - LAG), LAG))
    settings = {
        "kind": "vampnet", "mixer": "sum", "hidden_channels": 8, "lag_ps": float(LAG), "dimensions": 2,
        "learning_rate": 3e-3, "batch_pairs": 400, "max_epochs": 2, "patience": 2, "epsilon": 1e-6,
    }  # fmt: skip
    scores = {}
    for name in ("none", control):
        config = VampnetConfig.from_settings(settings | {"control": name})
        frames, weights = dict(zip(ROLES, sets, strict=True)), dict.fromkeys(ROLES)
        pairs = FoldPairs.open(frames, weights, config=config, seed=0)
        scores[name] = fit_vampnet(pairs, config=config, member=Member(0))[2]["score_validation"]
    n_pairs = 2000 - LAG
    # The sum of four squared correlations of unrelated numbers: mean 4 / N, deviation sqrt(8) / N.
    assert scores[control] == pytest.approx(1 + 4 / n_pairs, abs=3 * 8**0.5 / n_pairs)
    assert scores["none"] > 1.5
