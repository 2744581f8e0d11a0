"""What the times in a trajectory file are worth: they confirm the configured interval, deny it, or say nothing."""

import numpy as np
from jaxtyping import Bool, Float64

from geom2msm.formats import TIMED_FORMATS, TIMES_AGREE, extension

# Steps are equal within this part of them, beside the rounding of times.
TOLERANCE = 1e-3
# No simulation of atoms saves one frame per microsecond: such times are of another unit, or made up.
LONGEST_STEP_PS = 1e6


def check_frame_interval(
    path: str, header_ps: Float64[np.ndarray, " frame"], *, frame_interval_ps: float, stride: int = 1
) -> str:
    """What the file's times are worth, in words; usable ones that deny the config, or have a gap, are an error.

    `header_ps` are the times of every stride-th frame, `frame_interval_ps` is between any two saved ones.
    """
    if extension(path) not in TIMED_FORMATS:
        return "none in this format"
    if len(header_ps) < 2:
        return "one frame"
    regular, rounding_ps = regular_steps(header_ps / stride)
    if reason := why_unusable(header_ps / stride, regular, rounding_ps):
        return f"unusable: {reason}"
    step_ps = float((np.diff(header_ps)[regular] / stride).mean())
    if abs(step_ps - frame_interval_ps) > TOLERANCE * frame_interval_ps + rounding_ps / regular.sum():
        if reason := why_made_up(step_ps, header_ps[0], regular):
            return f"unusable: {reason}"
        raise ValueError(
            f"{path}: trajectories.frame_interval_ps = {frame_interval_ps:g}, but the times in the file are "
            f"{step_ps:g} ps apart; correct the key or, if the file is wrong, number its frames 0, 1, 2, … as times."
        )
    check_gaps(path, header_ps, regular, step_ps=step_ps, stride=stride)
    return TIMES_AGREE


def regular_steps(times_ps: Float64[np.ndarray, " frame"]) -> tuple[Bool[np.ndarray, " step"], float]:
    """Which steps equal the median one, and by how much rounding alone makes them differ (ps)."""
    steps = np.diff(times_ps)
    # XTC and TRR store times in single precision.
    with np.errstate(invalid="ignore"):
        rounding_ps = float(2 * np.finfo(np.float32).eps * np.abs(times_ps).max())
        median_ps = np.quantile(steps, 0.5, method="lower")
        return np.abs(steps - median_ps) <= TOLERANCE * abs(median_ps) + rounding_ps, rounding_ps


def why_unusable(
    times_ps: Float64[np.ndarray, " frame"], regular: Bool[np.ndarray, " step"], rounding_ps: float
) -> str:
    """Why these are no times, whatever the config says; empty if they may be some."""
    if not np.isfinite(times_ps).all():
        return "not finite"
    steps = np.diff(times_ps)
    if not steps.any():
        return "all equal"
    if regular.sum() <= len(steps) / 2:
        return "not equidistant"
    return "not increasing" if np.median(steps[regular]) <= rounding_ps else ""


def why_made_up(step_ps: float, first_ps: float, regular: Bool[np.ndarray, " step"]) -> str:
    """Why times that contradict the config need not be times at all; empty if they look like some."""
    if step_ps == 1 and first_ps in (0, 1) and regular.all():
        return "plain frame numbers"
    return f"{step_ps:g} ps between frames" if step_ps > LONGEST_STEP_PS else ""


def check_gaps(
    path: str,
    header_ps: Float64[np.ndarray, " frame"],
    regular: Bool[np.ndarray, " step"],
    *,
    step_ps: float,
    stride: int,
) -> None:
    """Refuse missing and repeated frames: a lag is a number of frames, and would be longer or shorter there."""
    places = np.flatnonzero(~regular)
    if not len(places):
        return
    before, place = header_ps[places[0]], int(places[0]) + 1
    kind, advice = (
        ("are missing", "cut the file in two before that frame")
        if header_ps[place] > before + stride * step_ps
        else ("are repeated", "drop the repeated frames, or cut the file in two before that frame")
    )
    raise ValueError(
        f"{path}: frames {kind}: frame {place * stride} is at {header_ps[place]:.10g} ps, frame {(place - 1) * stride} "
        f"at {before:.10g} ps, but most frames are {step_ps:g} ps apart (irregular steps: {len(places)}); {advice}."
    )
