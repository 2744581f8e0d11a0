"""Names of trajectory files and of their formats; standard library only, because the driver uses them too."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

BINARY_FORMATS = (".xtc", ".trr", ".dcd", ".nc", ".netcdf", ".ncdf", ".h5", ".hdf5")
TEXT_FORMATS = (".pdb", ".cif", ".mmcif", ".pdbx", ".gro", ".xyz", ".lammpstrj")
ZIPPED_FORMATS = (".pdb.gz", ".cif.gz", ".mmcif.gz", ".pdbx.gz", ".xyz.gz")
TRAJECTORY_FORMATS = BINARY_FORMATS + TEXT_FORMATS + ZIPPED_FORMATS
# For the other formats times are made up: the frame numbers.
TIMED_FORMATS = (".xtc", ".trr", ".nc", ".netcdf", ".ncdf", ".h5", ".hdf5")
# What the inventory of a trajectory says of times that confirm the config.
TIMES_AGREE = "agree with frame_interval_ps"


def extension(path: str) -> str:
    """The file's ending in lower case, `.pdb.gz` included."""
    suffixes = Path(path).suffixes
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:]).lower()


def natural_order(path: str) -> list[tuple[int, int, str]]:
    """Sorting key that counts: run-2 before run-10."""
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in re.split(r"([0-9]+)", path) if part]


def trajectory_names(paths: Iterable[str]) -> dict[str, str]:
    """Path -> name: the file's name without its ending, with as many folders before it as tell equal ones apart.

    Adding a file renames at most those that it shares its name with.
    """
    by_stem: dict[str, list[str]] = {}
    for path in paths:
        by_stem.setdefault(_name(path, n_parts=1), []).append(path)
    names = {}
    for stem, same in by_stem.items():
        depth = max(len(Path(path).parts) for path in same)
        told_apart = ([_name(path, n_parts=n) for path in same] for n in range(2, depth + 1))
        unique = next((found for found in told_apart if len(set(found)) == len(same)), None)
        names |= dict(zip(same, [stem] if len(same) == 1 else unique or [stem] * len(same), strict=True))
    return names


def _name(path: str, *, n_parts: int) -> str:
    """The last parts of a path, joined by hyphens, the ending left out."""
    parts = [part for part in Path(os.path.normpath(path)).parts if part not in (os.sep, os.pardir)]
    parts[-1] = parts[-1][: len(parts[-1]) - len(extension(path))] or parts[-1]
    return "-".join(parts[-n_parts:])
