"""Bad trajectories among good ones, a full disk, two runs at once, clocks that jump, a slow file system.

Nothing wrong is taken for right.
The system consists of trembling copies of alanine dipeptide; kills of every rule are in benchmarks/kills.py.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from checkouts import TINY_SYSTEM, checkout, contents, run
from molecules import trembling

pytestmark = pytest.mark.slow
GOOD, BAD = ("a", "b", "c"), ("cut", "empty", "garbage", "other")
TARGETS = [f"results/tiny/features/torsions/{name}.zarr.zip" for name in GOOD]
BAD_TARGETS = [f"results/tiny/features/torsions/{name}.zarr.zip" for name in BAD]


@pytest.fixture(scope="module")
def inputs(repository, tmp_path_factory):
    """A folder of good and bad trajectories."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copy(repository / "resources/structures/alanine_dipeptide.pdb", folder / "top.pdb")
    for seed, name in enumerate((*GOOD, "cut")):
        trembling(seed=seed).save(str(folder / f"{name}.xtc"))
    os.truncate(folder / "cut.xtc", int(0.6 * os.path.getsize(folder / "cut.xtc")) + 30)
    (folder / "empty.xtc").touch()
    (folder / "garbage.xtc").write_bytes(np.random.default_rng(0).bytes(50_000))
    trembling(seed=9, n_atoms=21).save(str(folder / "other.xtc"))
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A checkout: making Snakemake's environment takes longer than the tests."""
    return checkout(tmp_path_factory.mktemp("faults") / "geom2msm", system="tiny", text=TINY_SYSTEM)


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
    last_words = [line for line in result.stderr.splitlines() if line.startswith("geom2msm: inspect_trajectory failed")]
    assert last_words == result.stderr.splitlines()[-4:], said
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
    assert "another run is going on in this folder" in second.stderr.splitlines()[-1]
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


PROBE = "import os, sys; print(os.path.exists(sys.argv[1]))"
# How long files of others are not seen, and a wait that is too short for it.
HIDDEN_S, TOO_SHORT_S = 3, 1


@pytest.fixture
def slow_results(folder, tmp_path, monkeypatch):
    """Makes results/ of the checkout a folder like those on network file systems, for all that is started from here."""
    compiler = shutil.which("cc")
    libc, version = platform.libc_ver()
    if compiler is None or libc != "glibc" or version < "2.33":
        pytest.skip("needs a C compiler (cc) and glibc 2.33 or later")
    library = tmp_path / "slow_files.so"
    source = Path(__file__).with_name("slow_files.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)
    results = folder.resolve() / "results"
    results.mkdir()
    for name, value in (("SLOW_FOLDER", results), ("SLOW_MS", 5), ("HIDDEN_MS", 1000 * HIDDEN_S)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    (results / "probe").touch()
    probe = subprocess.run([sys.executable, "-c", PROBE, str(results / "probe")], capture_output=True, text=True)
    assert probe.stdout == "False\n", probe.stderr
    (results / "probe").unlink()


@pytest.mark.usefixtures("slow_results")
def test_on_a_slow_file_system_a_run_waits_as_the_profile_says_or_fails(folder, repository, undisturbed):
    result = run(folder, "--cores", "2", "--latency-wait", str(TOO_SHORT_S), *TARGETS)
    assert result.returncode != 0
    assert f"Missing files after {TOO_SHORT_S} seconds" in result.stdout + result.stderr
    assert contents(folder).items() <= undisturbed.items()
    profile = (repository / "workflow/profiles/slurm/profile.yaml").read_text()
    wait_s = re.search(r"^latency-wait: (\d+)", profile, re.MULTILINE)[1]
    result = run(folder, "--cores", "2", "--latency-wait", wait_s, *TARGETS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Missing files after {wait_s} seconds" not in result.stdout + result.stderr
    assert contents(folder) == undisturbed
