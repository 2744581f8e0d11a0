"""Consecutive frames in pieces, as a reader gives them, and cut to the chunks of a store."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

# Arrays along the same frames, by name.
Piece = Mapping[str, np.ndarray]


def chunked(pieces: Iterable[Piece], size: int) -> Iterator[dict[str, np.ndarray]]:
    """Cut pieces of any length into pieces of `size` frames; only the last may be shorter."""
    waiting: list[Piece] = []
    n_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += length(piece)
        if n_waiting >= size:
            joined = _joined(waiting)
            whole = n_waiting // size * size
            yield from (_part(joined, start, start + size) for start in range(0, whole, size))
            waiting, n_waiting = [_part(joined, whole, n_waiting)], n_waiting - whole
    if n_waiting:
        yield _joined(waiting)


def length(piece: Piece) -> int:
    """Number of frames."""
    return len(next(iter(piece.values())))


def limited(pieces: Iterable[Piece], n_frames: int) -> Iterator[Piece]:
    """The first so many frames; no piece is made beyond the one that holds the last of them."""
    for piece in pieces if n_frames else ():
        yield _part(piece, 0, n_frames)
        n_frames -= min(n_frames, length(piece))
        if not n_frames:
            return


def _joined(pieces: list[Piece]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _part(piece: Piece, start: int, stop: int) -> dict[str, np.ndarray]:
    return {name: array[start:stop] for name, array in piece.items()}
