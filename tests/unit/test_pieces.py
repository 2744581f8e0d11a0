"""Frames cut into the chunks of a store."""

import numpy as np
import pytest

from geom2msm.pieces import chunked, length, limited


@pytest.mark.parametrize("size", [1, 3, 4, 7, 50])
@pytest.mark.parametrize("lengths", [[1], [3, 4, 3], [10], [4, 4, 4], [7, 1, 1, 1, 9], [5, 1, 14]])
def test_chunks_hold_all_frames_in_order_and_only_the_last_is_short(lengths, size):
    frames = np.arange(sum(lengths))
    parts = np.split(frames, np.cumsum(lengths)[:-1])
    chunks = list(chunked(({"a": part, "b": -part} for part in parts), size))
    np.testing.assert_array_equal(np.concatenate([chunk["a"] for chunk in chunks]), frames)
    np.testing.assert_array_equal(np.concatenate([chunk["b"] for chunk in chunks]), -frames)
    assert [length(chunk) for chunk in chunks[:-1]] == [size] * (len(chunks) - 1)
    assert 1 <= length(chunks[-1]) <= size


@pytest.mark.parametrize("n_frames", [0, 1, 5, 6, 20])
def test_no_piece_is_made_beyond_the_last_frame_asked_for(n_frames):
    made = []

    def pieces():
        for first, end in ((0, 5), (5, 6), (6, 20)):
            made.append(first)
            yield {"a": np.arange(first, end)}

    found = [piece["a"] for piece in limited(pieces(), n_frames)]
    np.testing.assert_array_equal(np.concatenate([np.arange(0), *found]), np.arange(n_frames))
    assert made == [first for first in (0, 5, 6) if first < n_frames]
