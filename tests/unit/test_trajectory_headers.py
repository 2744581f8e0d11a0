"""Headers of XTC and TRR frames: every word that MDTraj's C code trusts is looked at before."""

import struct

import mdtraj
import numpy as np
import pytest

from geom2msm.trajectory_headers import check_headers
from geom2msm.trajectory_text import CutError

N_FRAMES = 4
# Where in a frame a word stands, and a value that it must not have.
XTC_WORDS = {
    "magic": (0, 1996), "atoms": (4, 0), "atoms again": (52, 23), "smallest": (60, 2**31 - 1),
    "largest": (72, -(2**31)), "row": (84, 73), "row too low": (84, 8), "bytes": (88, -4),
}  # fmt: skip
TRR_WORDS = {
    "magic": (0, 1994), "text": (8, 13), "cell": (32, 35), "pressure": (40, 8), "topology": (44, 4),
    "coordinates": (52, 0), "velocities": (56, 4), "atoms": (64, 0), "more atoms": (64, 23),
}  # fmt: skip


@pytest.fixture(params=["xtc", "trr"])
def suffix(request):
    return request.param


def saved(path, repository, *, n_atoms=22):
    molecule = mdtraj.load(repository / "resources/structures/alanine_dipeptide.pdb").atom_slice(range(n_atoms))
    mdtraj.Trajectory(np.repeat(molecule.xyz, N_FRAMES, axis=0), molecule.topology).save(str(path))
    return path.stat().st_size // N_FRAMES


@pytest.mark.parametrize("n_atoms", [1, 9, 10, 22])
def test_what_mdtraj_writes_passes(tmp_path, repository, suffix, n_atoms):
    path = tmp_path / f"a.{suffix}"
    saved(path, repository, n_atoms=n_atoms)
    check_headers(str(path))


@pytest.mark.parametrize(
    ("suffix", "word"),
    [("xtc", word) for word in XTC_WORDS] + [("trr", word) for word in TRR_WORDS],
    indirect=["suffix"],
)
def test_every_word_that_cannot_be_is_refused_with_its_frame(tmp_path, repository, suffix, word):
    path = tmp_path / f"a.{suffix}"
    n_bytes = saved(path, repository)
    place, value = (XTC_WORDS if suffix == "xtc" else TRR_WORDS)[word]
    content = bytearray(path.read_bytes())
    struct.pack_into(">i", content, 2 * n_bytes + place, value)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="frame 2: "):
        check_headers(str(path))


def test_frames_of_different_molecules_are_refused(tmp_path, repository, suffix):
    one, other = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    saved(one, repository)
    saved(other, repository, n_atoms=21)
    one.write_bytes(one.read_bytes() + other.read_bytes())
    with pytest.raises(ValueError, match="frame 4 has 21 atoms, the first one 22"):
        check_headers(str(one))


@pytest.mark.parametrize("lost", [1, 4, 100])
def test_an_incomplete_last_frame_is_told_from_a_damaged_one(tmp_path, repository, suffix, lost):
    path = tmp_path / f"a.{suffix}"
    n_bytes = saved(path, repository)
    content = path.read_bytes()
    for size in (len(content) - lost, len(content) - n_bytes + lost):
        path.write_bytes(content[:size])
        with pytest.raises(CutError):
            check_headers(str(path))
