"""torchmd-net as a reference, from a folder of its own that is filled when it is first needed."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from geom2msm.encoder.neighbors import NeighborTable
from geom2msm.units import ANGSTROM_PER_NM

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "torchmd_net.lock"
PROGRAM = ROOT / "tests" / "reference" / "torchmd_net_outputs.py"


def packages(uv: Path) -> Path:
    """The folder with torchmd-net; skips where it cannot be filled (a download of 4 MB)."""
    folder = ROOT / ".driver-test" / f"torchmd_net-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]}"
    if not (folder / "complete").exists():
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
        done = subprocess.run([*command, "--target", folder, "-r", LOCK], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"torchmd-net cannot be installed here: {done.stderr.strip()[-300:]}")
        (folder / "complete").touch()
    return folder


def job(kind: str, network: nn.Module, numbers: torch.Tensor, positions_nm: torch.Tensor, table: NeighborTable) -> dict:
    """What `torchmd_net_outputs.py` needs to run torchmd-net's network with the weights and edges of ours."""
    config = network.config
    options = {
        "hidden_channels": config.hidden_channels,
        "num_layers": config.n_layers,
        "num_rbf": config.n_radial,
        "cutoff_upper": config.cutoff_nm * ANGSTROM_PER_NM,
        "max_z": config.max_atomic_number,
    }
    if kind == "torchmd_et":
        options["num_heads"] = config.n_heads
    center = torch.arange(len(table.indices))[:, None].expand_as(table.indices)
    state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    head = {name.removeprefix("denoiser."): state.pop(name) for name in list(state) if name.startswith("denoiser.")}
    return {
        "kind": kind,
        "options": options,
        "dtype": positions_nm.dtype,
        "weights": state,
        "head": head,
        "atomic_numbers": numbers,
        "positions_angstrom": positions_nm * ANGSTROM_PER_NM,
        "edge_index": torch.stack([table.indices[table.mask], center[table.mask]]),
    }


def reference_outputs(jobs: list[dict], *, uv: Path, folder: Path) -> list[list[torch.Tensor]]:
    """Scalars, vectors and displacements of every job, from torchmd-net in a process of its own."""
    torch.save(jobs, folder / "jobs.pt")
    environment = os.environ | {"PYTHONPATH": str(packages(uv))}
    command = [sys.executable, PROGRAM, folder / "jobs.pt", folder / "results.pt"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "results.pt", weights_only=True)
