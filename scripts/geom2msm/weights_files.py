"""Files of trained models: tensors, and in the header everything needed to use them again."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def write_weights(path: Path, tensors: dict[str, Tensor], description: dict) -> None:
    """Save tensors and, as JSON in the header, everything needed to use them again."""
    save_file(tensors, str(path), metadata={"geom2msm": json.dumps(description, sort_keys=True)})


def read_weights(path: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors and description of a weights file written by `write_weights`."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return tensors, json.loads(file.metadata()["geom2msm"])
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: no complete weights file of geom2msm ({error}); delete it, it is made anew."
        ) from error
