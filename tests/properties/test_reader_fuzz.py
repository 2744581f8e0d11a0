"""Damaged input files: whatever bytes change, a reader gives numbers or one sentence that begins with the file's name.

Each example is read in a process of its own, with little memory and time, because the libraries below are in C.
"""

import json
import multiprocessing
import os
import resource
import shutil
import warnings
from pathlib import Path

import h5py
import mdtraj
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.encoder.checkpoints import read_geom2vec
from geom2msm.encoder.geometries import read_molecules
from geom2msm.encoder.weights import load_encoder
from geom2msm.log_weights import read_log_weights
from geom2msm.named_observables import read_table
from geom2msm.schema import load_encoders, load_system
from geom2msm.store import read_array, read_attributes, write_store
from geom2msm.topology import load_topology, select_atoms
from geom2msm.topology_files import residue_labels
from geom2msm.trajectory_checks import inspect_frames
from geom2msm.weights_files import read_weights, write_weights
from molecules import prmtop_file, psf_file

ROOT = Path(__file__).parents[2]
STRUCTURE = ROOT / "resources/structures/alanine_dipeptide.pdb"
ENCODER = ROOT / "resources/encoders/visnet_l6_h64.safetensors"
N_FRAMES, TIMEOUT_S, MEMORY_BYTES = 5, 60, 1 << 30
WORDS = [
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    bytes(4),
    b"\x80\0\0\0",
    b"9999",
    b"-1",
    b"\n\n",
    b"nan",
]


def trajectory_of(suffix):
    def write(path):
        topology = load_topology(str(STRUCTURE))
        noise = np.random.default_rng(0).normal(scale=0.01, size=(N_FRAMES, topology.n_atoms, 3))
        moved = mdtraj.Trajectory((mdtraj.load(STRUCTURE).xyz + noise).astype(np.float32), topology)
        moved.unitcell_vectors = np.tile(3 * np.eye(3), (N_FRAMES, 1, 1)).astype(np.float32)
        if suffix == "h5":
            with h5py.File(path, "w") as file:
                file.create_dataset("coordinates", data=moved.xyz, chunks=(1, topology.n_atoms, 3), compression="gzip")
                file["time"] = moved.time.astype(np.float32)
            return
        with warnings.catch_warnings(action="ignore"):
            moved.save(str(path))

    return write


def read_trajectory(path):
    topology = load_topology(str(STRUCTURE))
    atoms = select_atoms(topology, "not element H", file=str(STRUCTURE))
    inspect_frames(path, topology, atoms, frame_interval_ps=1.0)


def read_topology(path):
    topology = load_topology(path)
    select_atoms(topology, "not element H", file=path)
    residue_labels(path, topology)


def copy_of(source):
    return lambda path: shutil.copyfile(source, path)


def text(content):
    return lambda path: path.write_text(content)


def write_tokens(path):
    arrays = {"scalars": np.random.default_rng(0).normal(size=(20, 3, 4)), "time_ps": np.arange(20.0)}
    axes = {"scalars": ("frame", "token", "channel"), "time_ps": ("frame",)}
    write_store(str(path), attributes={"names": ["x", "y"]}, arrays=arrays, axes=axes)


def read_tokens(path):
    read_attributes(path)
    for name in ("scalars", "time_ps"):
        read_array(path, name)


def write_spice(path):
    with h5py.File(path, "w") as file:
        molecule = file.create_group("water")
        molecule["smiles"], molecule["conformations"] = [b"[H:1][O:2][H:3]"], np.zeros((4, 3, 3), np.float32)


def write_grid(path):
    sizes = {"names": np.array(["AA_1", "AB_1"]), "n_atoms": np.array([2, 3]), "n_confs": np.array([2, 1])}
    np.savez(path, **sizes, z=np.array([6, 7, 6, 7, 8]), pos=np.zeros((7, 3), np.float32))


def read_system(path):
    load_system(path, encoders={"visnet_l6_h64": {}})


TRAJECTORIES = ("xtc", "trr", "dcd", "nc", "h5", "pdb", "pdb.gz", "cif", "gro", "xyz", "lammpstrj")
ATOMS = [("A", 1, "ALA", name, mass) for name, mass in (("N", 14.007), ("CA", 12.011), ("C", 12.011), ("O", 15.999))]
RESIDUES = [("ALA", [("N", 7), ("CA", 6), ("C", 6), ("O", 8)]), ("GLY", [("N", 7), ("CA", 6)])]
FORMATS = {
    **{f"trajectory.{suffix}": (trajectory_of(suffix), read_trajectory) for suffix in TRAJECTORIES},
    "topology.pdb": (copy_of(STRUCTURE), read_topology),
    "topology.cif": (trajectory_of("cif"), read_topology),
    "topology.gro": (trajectory_of("gro"), read_topology),
    "topology.psf": (text(psf_file(*ATOMS)), read_topology),
    "topology.prmtop": (text(prmtop_file(RESIDUES, numbers=[5, 6], codes=["A", "B"])), read_topology),
    "weights.npy": (
        lambda path: np.save(path, np.arange(7.0)),
        lambda path: read_log_weights(path, n_saved_frames=7, stride=1),
    ),
    "weights.csv": (text("log_weight\n1\n2\n3\n"), lambda path: read_log_weights(path, n_saved_frames=3, stride=1)),
    "observables.csv": (text("a,b\n1,2\n3,4\n"), lambda path: read_table(path, n_saved_frames=2, stride=1)),
    "tokens.zarr.zip": (write_tokens, read_tokens),
    "encoder.safetensors": (copy_of(ENCODER), load_encoder),
    "model.safetensors": (lambda path: write_weights(path, {"a": torch.zeros(3, 4)}, {"kind": "x"}), read_weights),
    "checkpoint.pth": (
        lambda path: torch.save({"representation_model.a": torch.zeros(3)}, path),
        lambda path: read_geom2vec(path, "visnet"),
    ),
    "geometries.hdf5": (write_spice, read_molecules),
    "geometries.npz": (write_grid, read_molecules),
    "system.yaml": (copy_of(ROOT / "config/systems/alanine_dipeptide.yaml"), read_system),
    "encoders.yaml": (copy_of(ROOT / "config/encoders.yaml"), load_encoders),
}

# Where (of a thousand; headers are hit more often), what is done, with which bytes, how many of them.
edits = st.tuples(
    st.one_of(st.integers(0, 40), st.integers(0, 1000)),
    st.sampled_from(["replace", "insert", "delete", "cut", "repeat"]),
    st.one_of(st.sampled_from(WORDS), st.binary(min_size=1, max_size=8)),
    st.sampled_from([1, 4, 40]),
)


def damaged(content, changes):
    """The bytes after some edits."""
    for place, what, new, number in changes:
        start = place * len(content) // 1000
        before, after = content[:start], content[start:]
        content = {
            "replace": before + new + after[len(new) :],
            "insert": before + new + after,
            "delete": before + after[number:],
            "cut": before,
            "repeat": before + content[:number] + after,
        }[what]
    return content


def report(pipe, read, path):
    """Read a file, with little memory and nothing on the screen, and send what came of it."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warnings.simplefilter("ignore")
    try:
        read(path)
        pipe.send("read")
    except ValueError as error:
        sentence = str(error)
        known = sentence.startswith((path, "trajectories.selection")) and "\n" not in sentence
        pipe.send("refused" if known else f"an unclear sentence: {sentence!r}")
    except BaseException as error:
        pipe.send(f"{type(error).__name__}: {error}")


def outcome(read, path):
    """`read`, `refused`, or what went wrong."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=report, args=(theirs, read, str(path)))
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # fork with threads, from 3.12 on
        process.start()
    theirs.close()
    said = ours.recv() if ours.poll(TIMEOUT_S) else "hangs"
    process.kill()
    process.join()
    ours.close()
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_refused_in_one_sentence(folder, name):
    write, read = FORMATS[name]
    path = folder / name
    write(path)
    content = path.read_bytes()
    assert outcome(read, path) == "read"

    @settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "12")))
    @given(st.lists(edits, min_size=1, max_size=4))
    def any_damage(changes):
        path.write_bytes(damaged(content, changes))
        try:
            said = outcome(read, path)
        except EOFError:
            said = "the process died"
        assert said in ("read", "refused"), json.dumps([said, repr(changes)])

    any_damage()
