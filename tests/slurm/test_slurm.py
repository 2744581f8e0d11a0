"""The workflow on a real SLURM controller, where everything goes wrong once; about five minutes on two cores.

One run is interrupted by Ctrl-C, its driver is killed, a node dies, a job gets too little memory and another too little
time. In the end its results are those of a run on this machine that nobody disturbed.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from checkouts import copy_repository
from geom2msm.provenance import sha256_file
from slurm_cluster import INSTALL, Cluster, is_installed

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.slurm]
N_FRAMES = 30_000
LONG_JOB = "embed_tokens_wildcards_long"
LONG_TOKENS = "results/long/tokens/visnet_l6_h64/run-0.zarr.zip"
TARGETS = [
    "results/short/msm/vampnet/summary.json",
    "results/short/figures/learning_curves.pdf",
    LONG_TOKENS,
]
COMPARED = ("*.csv", "*.xtc", "*.safetensors", "*.pdf", "*.npz", "*.zarr.zip")
PARTITIONS = """
partitions:
  cpu: {max_runtime: "48h", max_mem_mb: 16000, max_threads: 4}
  gpu: {max_runtime: "48h", max_mem_mb: 16000, max_threads: 4, max_gpu: 1}
"""
LONG_SYSTEM = """
trajectories:
  topology: resources/structures/alanine_dipeptide.pdb
  files: long/run-*.xtc
  frame_interval_ps: 1.0
  temperature_K: 300
encoder: visnet_l6_h64
split: {n_folds: 2, seeds: [0]}
models:
  tica_torsions: {kind: tica, feature: torsions, lag_ps: 2.0, dimensions: 1}
  plane: {kind: tica, feature: torsions, lag_ps: 2.0, dimensions: 2}
msm: {model: tica_torsions, baseline: plane, lag_ps: 2.0, scan_lags_ps: [2.0, 4.0], n_macrostates: 2}
"""
# First attempt, second attempt of the job that gets too little.
TOO_LITTLE, ENOUGH = 150, 2400


def checkout(folder: Path) -> Path:
    """A working folder with the short system and one long trajectory, on GPUs as far as SLURM is told."""
    import mdtraj

    copy_repository(folder)
    (folder / "data").mkdir()
    shutil.copy(ROOT / "tests/end_to_end/short.yaml", folder / "config/systems/short.yaml")
    (folder / "config/systems/long.yaml").write_text(LONG_SYSTEM)
    (folder / "config/config.yaml").write_text("systems: [short, long]\ndevice: cuda\n")
    profile = folder / "workflow/profiles/slurm/profile.yaml"
    text = profile.read_text().replace("status-checks: 20", "status-checks: 1").replace("wait: 60", "wait: 10")
    profile.write_text(text)
    (profile.parent / "partitions.yaml").write_text(PARTITIONS)
    frame = mdtraj.load(str(folder / "resources/structures/alanine_dipeptide.pdb"))
    (folder / "long").mkdir()
    for run in range(2):
        frame[[0] * N_FRAMES].save_xtc(str(folder / f"long/run-{run}.xtc"))
    return folder


def heed_interrupts() -> None:
    """A shell that starts the tests in the background makes them, and what they start, deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Workflow:
    """Snakemake as run.py starts it, in a folder of its own."""

    folder: Path
    environment: dict[str, str]
    command: list[str]

    def start(self, *arguments: str) -> subprocess.Popen:
        with open(self.folder / "driver.log", "ab") as log:
            return subprocess.Popen(
                [*self.command, *arguments, *TARGETS], cwd=self.folder, env=self.environment, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=heed_interrupts,
            )  # fmt: skip

    def create_environments(self) -> None:
        """As on a login node, before anything is submitted."""
        command = [*self.command, "--conda-create-envs-only", *TARGETS]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, capture_output=True)

    def unlock(self) -> None:
        subprocess.run(
            [*self.command, "--unlock"], cwd=self.folder, env=self.environment, check=True, capture_output=True
        )

    @property
    def log(self) -> str:
        return (self.folder / "driver.log").read_text()

    def results(self) -> dict[str, str]:
        base = self.folder / "results"
        return {str(p.relative_to(base)): sha256_file(p) for kind in COMPARED for p in sorted(base.rglob(kind))}


def workflow(folder: Path, cluster: Cluster | None) -> Workflow:
    """With the driver and the environments of this checkout."""
    spec = importlib.util.spec_from_file_location("geom2msm_run", ROOT / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    if cluster is None:
        environment, envs = run.deployment()
        command = run.snakemake_command(["--cores", "2"], envs, interactive=False)
        return Workflow(checkout(folder), environment, command)
    run.make_cluster_driver()
    environment, envs = run.deployment(run.CLUSTER)
    command = run.snakemake_command([], envs, interactive=False, driver=run.CLUSTER)
    path = f"{cluster.root}/bin:{environment['PATH']}"
    return Workflow(checkout(folder), environment | cluster.environment() | {"PATH": path}, command)


def wait_until(ready: Callable[[], object], *, driver: subprocess.Popen | None = None, seconds: float = 600) -> object:
    """What `ready` finds, which comes while the driver runs or never."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, f"not within {seconds} s"
        assert driver is None or driver.poll() is None, f"the driver has ended: {' '.join(driver.args)}"
        time.sleep(0.3)
    return found


@pytest.fixture(scope="module")
def cluster():
    if not is_installed():
        pytest.skip(f"needs SLURM: {INSTALL}")
    if not (ROOT / ".driver/bin/snakemake").exists():
        pytest.skip("no .driver; python3 run.py test makes it")
    # Short, for munge's socket must have a path of less than 108 characters.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        started = Cluster(Path(folder))
        try:
            started.up()
            yield started
        finally:
            started.down()


def of_rule(cluster: Cluster, rule: str, *states: str) -> list[dict[str, str]]:
    """The jobs of a rule, or of the group that it belongs to."""
    return [job for job in cluster.jobs() if rule in job["rule"] and (job["state"] in states or not states)]


@dataclass(frozen=True)
class Story:
    """What happened to the disturbed run."""

    workflow: Workflow
    interrupted: list[dict[str, str]]
    code_of_interrupted: int
    jobs: list[dict[str, str]]
    code: int


@pytest.fixture(scope="module")
def story(cluster, tmp_path_factory):
    disturbed = workflow(tmp_path_factory.mktemp("disturbed") / "geom2msm", cluster)
    disturbed.create_environments()
    interrupted, code_of_interrupted = interrupt(cluster, disturbed)
    kill_driver(cluster, disturbed)
    little = f"check_encoder:mem_mb={TOO_LITTLE}+{ENOUGH - TOO_LITTLE}*(attempt-1)"
    disturbed.unlock()
    driver = disturbed.start("--set-resources", little, "--retries", "2")
    run_out_of_time(cluster, disturbed, driver)
    kill_node(cluster, disturbed, driver)
    code = driver.wait(timeout=1200)
    return Story(disturbed, interrupted, code_of_interrupted, cluster.jobs(), code)


def interrupt(cluster: Cluster, disturbed: Workflow) -> tuple[list[dict[str, str]], int]:
    """Ctrl-C while the first jobs run."""
    driver = disturbed.start()
    wait_until(lambda: of_rule(cluster, "simulate_trajectories", "RUNNING"), driver=driver)
    driver.send_signal(signal.SIGINT)
    code = driver.wait(timeout=90)
    return cluster.jobs(), code


def kill_driver(cluster: Cluster, disturbed: Workflow) -> None:
    """Power off on the login node; the jobs that it left behind are canceled as README.md says."""
    known = {job["id"] for job in cluster.jobs()}
    driver = disturbed.start()
    simulations = "simulate_trajectories"
    wait_until(lambda: [j for j in of_rule(cluster, simulations, "RUNNING") if j["id"] not in known], driver=driver)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    cluster.ask("scancel", "--me")
    wait_until(lambda: not [job for job in cluster.jobs() if job["state"] in ("RUNNING", "COMPLETING", "PENDING")])


def embeds_on(cluster: Cluster, disturbed: Workflow, driver: subprocess.Popen) -> dict[str, str]:
    """The job of the long embedding, which takes a minute, once it has written some chunks more."""
    part = disturbed.folder / f"{LONG_TOKENS}.part"
    before = part.stat().st_size if part.exists() else 0
    wait_until(lambda: part.exists() and part.stat().st_size > before + 4_000_000, driver=driver)
    (job,) = of_rule(cluster, LONG_JOB, "RUNNING")
    return job


def run_out_of_time(cluster: Cluster, disturbed: Workflow, driver: subprocess.Popen) -> None:
    """The time limit passes once some chunks of the long embedding are written."""
    job = embeds_on(cluster, disturbed, driver)
    # SLURM looks at time limits every half a minute, in which the job would get ready.
    cluster.stop_script(job["id"], ".embed_tokens.py")
    cluster.ask("scontrol", "update", f"JobId={job['id']}", "EndTime=now+1")
    wait_until(lambda: of_rule(cluster, LONG_JOB, "TIMEOUT"), driver=driver)


def kill_node(cluster: Cluster, disturbed: Workflow, driver: subprocess.Popen) -> None:
    """The node dies on which the long embedding goes on, and comes back a little later."""
    job = embeds_on(cluster, disturbed, driver)
    cluster.kill_node(job["node"])
    wait_until(lambda: [j for j in cluster.jobs() if j["id"] == job["id"] and j["state"] == "NODE_FAIL"])
    cluster.start_node(job["node"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    local = workflow(tmp_path_factory.mktemp("undisturbed") / "geom2msm", None)
    assert local.start().wait(timeout=1200) == 0, local.log
    return local


def test_after_all_faults_the_run_ends_well(story):
    assert story.code == 0, story.workflow.log[-5000:]
    assert not list((story.workflow.folder / "results").rglob("*.part"))


def test_ctrl_c_cancels_the_jobs(story):
    assert story.code_of_interrupted != 0
    assert {job["state"] for job in story.interrupted} <= {"CANCELLED", "COMPLETED"}
    assert any(job["state"] == "CANCELLED" for job in story.interrupted)


def test_a_job_killed_for_memory_comes_back_with_more(story):
    jobs = [job for job in story.jobs if "check_encoder_wildcards_short" in job["rule"]]
    assert [job["state"] for job in jobs] in (["FAILED", "COMPLETED"], ["OUT_OF_MEMORY", "COMPLETED"])
    assert [job["mem"] for job in jobs] == [f"{TOO_LITTLE}M", f"{ENOUGH}M"]


def test_jobs_of_a_node_that_died_are_done_again(story):
    failed = [job for job in story.jobs if job["state"] == "NODE_FAIL"]
    assert failed
    for job in failed:
        again = [other for other in story.jobs if other["rule"] == job["rule"] and int(other["id"]) > int(job["id"])]
        assert again[-1]["state"] == "COMPLETED"


def test_an_embedding_stopped_by_its_time_limit_and_by_its_node_continues_after_its_last_chunk(story):
    jobs = [job for job in story.jobs if LONG_JOB in job["rule"]]
    assert [job["state"] for job in jobs][-3:] == ["TIMEOUT", "NODE_FAIL", "COMPLETED"]
    log = (story.workflow.folder / "results/logs/long/embed_tokens/visnet_l6_h64/run-0.log").read_text()
    first = next(line for line in log.splitlines() if line.startswith("embedding:"))
    frames = int(first.split("|")[-1].split("/")[0])
    assert 0 < frames < N_FRAMES


def test_jobs_with_a_gpu_go_to_gpu_nodes_and_small_ones_share_a_job(story):
    done = [job for job in story.jobs if job["state"] == "COMPLETED"]
    for job in done:
        uses_gpu = "embed_tokens" in job["rule"] or "train_vampnet" in job["rule"]
        assert (job["partition"] == "gpu") == uses_gpu, job
    assert len([job for job in done if "project_variables" in job["rule"] or "group_project" in job["rule"]]) <= 2


def test_results_are_those_of_an_undisturbed_run(story, undisturbed):
    assert story.workflow.results() == undisturbed.results()
