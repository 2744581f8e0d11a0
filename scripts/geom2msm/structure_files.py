"""What the files of a state's structures say of themselves, and those of a state that does not exist."""

import logging
import textwrap

import numpy as np
import pandas as pd

from geom2msm.provenance import replace_when_complete

REMARK, REMARK_CHARACTERS = "REMARK   6 ", 69
COLUMNS = ["role", "trajectory", "frame", "time_ps", "file_frame", "file_time_ps"]


def in_remarks(lines: list[str]) -> str:
    """Lines as a PDB file holds them."""
    return "".join(f"{REMARK}{line}\n" for line in lines)


def write_not_estimable(structure: str, ensemble: str, frames: str, *, state: int, reason: str) -> None:
    """What there is of a state that was asked for but not found: why, no atoms, and no frames."""
    logging.warning("state %d: not estimable: %s", state, reason)
    lines = [f"STATE {state}: NOT ESTIMABLE", *textwrap.wrap(reason, REMARK_CHARACTERS)]
    with replace_when_complete(structure) as part:
        part.write_text(in_remarks(lines) + "END\n")
    with replace_when_complete(ensemble) as part:
        part.touch()
    with replace_when_complete(frames) as part:
        pd.DataFrame(columns=COLUMNS).to_csv(part, index=False)


def remarks(chosen: pd.DataFrame, *, state: int, probability: float, importance: list[str]) -> str:
    """What the PDB file says of itself."""
    first, known = chosen.iloc[0], f"{probability:.4f}" if np.isfinite(probability) else "NOT ESTIMABLE"
    time = f"{first.time_ps:.10g} PS AFTER THE FIRST"
    if np.isfinite(first.file_time_ps):
        time = f"AT {first.file_time_ps:.10g} PS"
    lines = [
        f"STATE {state}, STATIONARY PROBABILITY {known}",
        f"TRAJECTORY {first.trajectory}, FRAME {first.file_frame} OF ITS FILE (FROM 0), {time}",
        "WHERE THE PROBABILITY DENSITY OF THE STATE'S FRAMES IN THE SLOW VARIABLES IS HIGHEST",
    ]
    if importance:
        lines.append("B-FACTOR: IMPORTANCE OF THE ATOM'S TOKEN BY OCCLUSION, FROM 0 TO 99, THE HIGHEST")
    return in_remarks(lines)
