"""A SLURM cluster in one folder: munged, slurmctld and several slurmd on this machine, with made-up GPUs.

Needs Debian's packages (INSTALL), but none of their services: every daemon has its own socket, port, log and spool
below the folder and runs as the calling user. No cgroups, no systemd; started and stopped within seconds.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

INSTALL = "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "sacct", "scancel", "scontrol", "sinfo", "squeue")
READY_SECONDS = 60


def is_installed() -> bool:
    return all(shutil.which(command, path=SYSTEM_PATH) for command in (*DAEMONS, *CLIENTS))


@dataclass
class Cluster:
    """Nodes of the partition `cpu`; the last two have a made-up GPU each and are the partition `gpu`, too."""

    root: Path
    nodes: int = 3
    cpus: int = 4
    mem_mb: int = 16000
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"node{number}" for number in range(1, self.nodes + 1)]

    def environment(self) -> dict[str, str]:
        """The variables with which SLURM's commands, and Snakemake, find this cluster."""
        known = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        path = f"{self.root}/bin:{known.get('PATH', '')}:{SYSTEM_PATH}"
        return known | {"SLURM_CONF": str(self.root / "slurm.conf"), "PATH": path}

    def up(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o755)  # munged refuses sockets below folders that a group may write to
        self._configure()
        self._wrap_clients()
        key = self.root / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        (self.root / "state").mkdir()
        folder = self.root
        self._start(
            "munged", "munged", "--foreground", f"--socket={folder}/munge.sock", f"--key-file={key}", "--force",
            f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munged.log",
        )  # fmt: skip
        self._wait_until("munged", lambda: (folder / "munge.sock").exists())
        self._start("slurmctld", "slurmctld", "-D")
        self._wait_until("slurmctld", lambda: "UP" in self.ask("scontrol", "ping"))
        for name in self.names:
            self.start_node(name)
        self._wait_until("nodes", lambda: self.ask("sinfo", "-hNp", "cpu", "-o", "%T").split() == ["idle"] * self.nodes)

    def start_node(self, name: str) -> None:
        self._start(name, "slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """What a power cut does: the daemon and everything that it started are gone at once."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()
        started = processes_with(f"SLURMD_NODENAME={name}", f"SLURM_CONF={self.root}/slurm.conf")
        for process in [*keepers(started), *started]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def stop_script(self, job: str, name: str) -> None:
        """Let a job hang, as one does whose file system does not answer."""
        for process in processes_with(f"SLURM_JOB_ID={job}", f"SLURM_CONF={self.root}/slurm.conf"):
            if name in command_of(process):
                os.kill(process, signal.SIGSTOP)

    def down(self) -> None:
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def ask(self, *command: str) -> str:
        return subprocess.run(command, env=self.environment(), text=True, capture_output=True, check=False).stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that the controller remembers, oldest first."""
        keys = {"id": "%i", "state": "%T", "partition": "%P", "node": "%N", "mem": "%m", "limit": "%l", "rule": "%k"}
        listing = self.ask("squeue", "--states=all", "-h", "-o", "|".join(keys.values()))
        jobs = [dict(zip(keys, line.split("|"), strict=True)) for line in listing.splitlines()]
        return sorted(jobs, key=lambda job: int(job["id"].split("_")[0]))

    def _start(self, name: str, *command: str) -> None:
        with open(self.root / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment(), cwd=self.root,
                start_new_session=True,
            )  # fmt: skip

    def _wait_until(self, what: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + READY_SECONDS
        while not ready():
            if time.monotonic() > end:
                raise TimeoutError(f"{what} not ready after {READY_SECONDS} s, see {self.root}/*.log")
            time.sleep(0.1)

    def _configure(self) -> None:
        folder, user, host = self.root, getpass.getuser(), socket.gethostname().split(".")[0]
        controller, *ports = free_ports(1 + self.nodes)
        options = {
            "ClusterName": "lab", "SlurmctldHost": f"{host}(127.0.0.1)", "SlurmctldPort": controller,
            "SlurmUser": user, "SlurmdUser": user,
            "AuthType": "auth/munge", "CredType": "cred/munge", "AuthInfo": f"socket={folder}/munge.sock",
            "StateSaveLocation": f"{folder}/state", "SlurmdSpoolDir": f"{folder}/spool-%n",
            "SlurmctldPidFile": f"{folder}/slurmctld.pid", "SlurmdPidFile": f"{folder}/slurmd-%n.pid",
            "SlurmctldLogFile": f"{folder}/slurmctld.log", "SlurmdLogFile": f"{folder}/slurmd-%n.log",
            "MailProg": "/bin/true", "MpiDefault": "none", "SwitchType": "switch/none",
            # No cgroups, no affinity: works in containers. Memory limits are held by looking every second.
            "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/linux", "JobAcctGatherFrequency": 1,
            "JobAcctGatherParams": "OverMemoryKill",
            # Several slurmd on one host, which may claim more cores and memory than it has.
            "SlurmdParameters": "config_overrides",
            "SelectType": "select/cons_tres", "SelectTypeParameters": "CR_Core_Memory",
            "SchedulerType": "sched/backfill",
            "SchedulerParameters": "sched_interval=1,batch_sched_delay=0,bf_interval=1",
            "SlurmdTimeout": 10, "ReturnToService": 2, "KillWait": 2, "InactiveLimit": 0, "Waittime": 0,
            "MinJobAge": 3600, "DefMemPerCPU": 100, "GroupUpdateForce": 0, "GresTypes": "gpu",
            "AccountingStorageType": "accounting_storage/none",
        }  # fmt: skip
        lines = [f"{name}={value}" for name, value in options.items()]
        lines += [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} "
            f"RealMemory={self.mem_mb} State=UNKNOWN" + (" Gres=gpu:1" if name in self.names[-2:] else "")
            for name, port in zip(self.names, ports, strict=True)
        ]
        lines += [
            f"PartitionName=cpu Nodes={','.join(self.names)} Default=YES MaxTime=2-0 State=UP",
            f"PartitionName=gpu Nodes={','.join(self.names[-2:])} MaxTime=2-0 State=UP",
        ]
        (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        # Any character device will do: without cgroups nothing opens or fences it.
        gpus = [f"NodeName={name} Name=gpu File=/dev/null Flags=nvidia_gpu_env" for name in self.names[-2:]]
        (folder / "gres.conf").write_text("\n".join(["AutoDetect=off", *gpus]) + "\n")

    def _wrap_clients(self) -> None:
        """Client commands that carry SLURM_CONF with them, because Snakemake's jobs drop that variable."""
        folder = self.root / "bin"
        folder.mkdir()
        for name in CLIENTS:
            wrapper = folder / name
            command = shutil.which(name, path=SYSTEM_PATH)
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.root}/slurm.conf exec {command} "$@"\n')
            wrapper.chmod(0o755)


def free_ports(count: int) -> list[int]:
    """Distinct free TCP ports, all held until every one is chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def processes_with(*variables: str) -> list[int]:
    """Identifiers of all processes that were started with these environment variables, given as NAME=value."""
    marks, found = {variable.encode() for variable in variables}, []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and marks <= set((folder / "environ").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return found


def command_of(process: int) -> str:
    """The command line of a process; empty once it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    return ""


def keepers(processes: list[int]) -> set[int]:
    """The slurmstepd of jobs, which would report that their jobs died."""
    parents = set()
    for process in processes:
        with contextlib.suppress(OSError):
            parents.add(int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]))
    return {parent for parent in parents if command_of(parent).startswith("slurmstepd")}
