"""Log-weights of the frames of a biased trajectory, from the user's file."""

import csv
from pathlib import Path

import numpy as np
from jaxtyping import Float64

COLUMN = "log_weight"


def read_log_weights(path: str, *, n_saved_frames: int, stride: int) -> Float64[np.ndarray, " frame"]:
    """The values of every stride-th saved frame as they are: their differences between all trajectories matter."""
    values = _read_npy(path) if path.endswith(".npy") else _read_csv(path)
    if len(values) != n_saved_frames:
        raise ValueError(
            f"{path}: {len(values)} log-weights, but the trajectory has {n_saved_frames} saved frames; "
            "trajectories.log_weights needs one value for each of them, whatever the stride."
        )
    if not np.isfinite(values).all():
        frame = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{path}: the log-weight of frame {frame} is {values[frame]}; every one must be finite.")
    return values[::stride]


def _read_npy(path: str) -> Float64[np.ndarray, " frame"]:
    try:
        # Mapped, so that a damaged header cannot ask for more memory than the file has bytes.
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    # A damaged header raises whatever Python's tokenizer and parser raise.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: no array of numbers in NumPy's format ({reason}).") from error
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.number):
        raise ValueError(
            f"{path}: an array of the shape {values.shape} and the type {values.dtype}, but one number per saved frame "
            "is expected."
        )
    return values.astype(np.float64)


def _read_csv(path: str) -> Float64[np.ndarray, " frame"]:
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            names, texts = reader.fieldnames or ["nothing"], [row.get(COLUMN) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: no CSV file in UTF-8 ({error}).") from error
    if COLUMN not in names:
        raise ValueError(f"{path}: no column {COLUMN!r}; the first line names {' '.join(', '.join(names).split())}.")
    try:
        return np.array([float(text) for text in texts], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the column {COLUMN!r} holds something that is no number ({error}).") from error
