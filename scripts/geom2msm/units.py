"""Conversions between physical units and frames, done once, at the rim."""

KB_KJ_PER_MOL_K = 0.00831446261815324
PS_PER_NS = 1000.0
NM_PER_ANGSTROM, ANGSTROM_PER_NM = 0.1, 10.0


def frames(*, lag_ps: float, frame_interval_ps: float) -> int:
    """Number of frames in a lag time; the lag must be a positive multiple of the frame interval."""
    n_frames = round(lag_ps / frame_interval_ps)
    if n_frames < 1 or abs(n_frames * frame_interval_ps - lag_ps) > 1e-6 * lag_ps:
        raise ValueError(f"lag_ps = {lag_ps:g} is not a positive multiple of frame_interval_ps = {frame_interval_ps:g}")
    return n_frames
