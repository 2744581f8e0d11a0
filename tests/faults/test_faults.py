"""Bad trajectories among good ones, a full disk, two runs at once, clocks that jump: nothing wrong is taken for right.

The system consists of trembling copies of alanine dipeptide; kills of every rule are in benchmarks/kills.py.
"""

import os
import re
import shutil
import subprocess
import sys
import time

import mdtraj
import numpy as np
import pytest

from checkouts import checkout, contents, run

pytestmark = pytest.mark.slow
GOOD, BAD = ("a", "b", "c"), ("cut", "empty", "garbage", "other")
SYSTEM = """
trajectories:
  topology: in/top.pdb
  files: in/*.xtc
  frame_interval_ps: 1.0
  temperature_K: 300
encoder: visnet_l6_h64
split: {n_folds: 2, seeds: [0]}
models:
  tica: {kind: tica, feature: torsions, lag_ps: 2.0, dimensions: 1}
msm: {model: tica, baseline: tica, lag_ps: 2.0, scan_lags_ps: [1.0, 2.0], n_macrostates: 2}
"""
TARGETS = [f"results/tiny/features/torsions/{name}.zarr.zip" for name in GOOD]
BAD_TARGETS = [f"results/tiny/features/torsions/{name}.zarr.zip" for name in BAD]


def trembling(repository, *, seed, n_frames=2000, n_atoms=22):
    molecule = mdtraj.load(repository / "resources/structures/alanine_dipeptide.pdb").atom_slice(range(n_atoms))
    noise = np.random.default_rng(seed).normal(scale=0.004, size=(n_frames, n_atoms, 3))
    return mdtraj.Trajectory((molecule.xyz + noise).astype(np.float32), molecule.topology)


@pytest.fixture(scope="module")
def inputs(repository, tmp_path_factory):
    """A folder of good and bad trajectories."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copy(repository / "resources/structures/alanine_dipeptide.pdb", folder / "top.pdb")
    for seed, name in enumerate((*GOOD, "cut")):
        trembling(repository, seed=seed).save(str(folder / f"{name}.xtc"))
    os.truncate(folder / "cut.xtc", int(0.6 * os.path.getsize(folder / "cut.xtc")) + 30)
    (folder / "empty.xtc").touch()
    (folder / "garbage.xtc").write_bytes(np.random.default_rng(0).bytes(50_000))
    trembling(repository, seed=9, n_atoms=21).save(str(folder / "other.xtc"))
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A checkout: making Snakemake's environment takes longer than the tests."""
    return checkout(tmp_path_factory.mktemp("faults") / "geom2msm", system="tiny", text=SYSTEM)


def restart(folder, inputs, *, names):
    """Forget all that was done, and put some of the trajectories into in/, read-only for those who are not root."""
    for name in ("in", "results", ".snakemake"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "in").mkdir()
    for name in ("top.pdb", *(f"{name}.xtc" for name in names)):
        shutil.copy(inputs / name, folder / "in" / name)
    (folder / "in").chmod(0o555)


@pytest.fixture(scope="module")
def undisturbed(shared, inputs):
    """Checksums of a run of the good trajectories."""
    restart(shared, inputs, names=GOOD)
    result = run(shared, "--cores", "1", *TARGETS)
    assert result.returncode == 0, result.stdout + result.stderr
    return contents(shared)


@pytest.fixture
def folder(shared, undisturbed, inputs):
    """The checkout, with the good trajectories and no results."""
    restart(shared, inputs, names=GOOD)
    return shared


def listing(folder):
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_bad_trajectories_are_named_and_the_good_ones_finish(folder, inputs, undisturbed):
    restart(folder, inputs, names=(*GOOD, *BAD))
    before = listing(folder / "in")
    result = run(folder, "--cores", "2", *TARGETS, *BAD_TARGETS)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    for sentence in (
        "in/cut.xtc: the file ends in the middle of a frame (truncated)",
        "in/empty.xtc: the file is empty",
        "in/garbage.xtc: cannot read this file beyond frame 0",
        "in/other.xtc: 21 atoms per frame, but the topology file has 22",
    ):
        assert sentence in said, said
    assert contents(folder) == undisturbed
    assert listing(folder / "in") == before
    status = run(folder, "status")
    assert status.returncode == 1
    assert re.search(r"tiny +\d+/\d+, 4 failed", status.stdout), status.stdout
    assert "inspect_trajectory failed; the end of results/logs/tiny/inspect_trajectory/empty.log:" in status.stdout
    verify = run(folder, "verify")
    assert verify.returncode == 0, verify.stdout
    assert "all match what was recorded" in verify.stdout


def test_a_second_run_in_the_folder_is_refused_and_disturbs_nothing(folder, undisturbed):
    command = [sys.executable, "run.py", "--cores", "1", *TARGETS]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        until = time.monotonic() + 60
        while not list(folder.glob(".snakemake/locks/*")) and time.monotonic() < until:
            time.sleep(0.05)
        second = run(folder, "--cores", "1", *TARGETS)
    assert first.returncode == 0
    assert second.returncode != 0
    assert "lock" in second.stdout + second.stderr
    assert contents(folder) == undisturbed


@pytest.fixture
def small_disk():
    """Mounts a file system of a given size, if the machine lets us."""
    mounted = []

    def mount(folder, size):
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a small file system needs root")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=False)


def test_a_full_disk_is_named_and_with_more_space_the_results_are_the_same(folder, undisturbed, small_disk):
    small_disk(folder / "results", "120k")
    result = run(folder, "--cores", "1", *TARGETS)
    assert result.returncode != 0
    assert "No space left on device" in result.stdout + result.stderr
    # What is there under its final name is whole.
    assert contents(folder).items() < undisturbed.items()
    subprocess.run(["mount", "-o", "remount,size=20m", str(folder / "results")], check=True)
    result = run(folder, "--cores", "1", *TARGETS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert contents(folder) == undisturbed


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_jumps_costs_work_at_most(folder, undisturbed, hours):
    assert run(folder, "--cores", "1", TARGETS[0]).returncode == 0
    for path in (folder / "results").rglob("*"):
        os.utime(path, (time.time() + 3600 * hours,) * 2)
    result = run(folder, "--cores", "1", *TARGETS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert contents(folder) == undisturbed
