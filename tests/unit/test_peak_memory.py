import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPTS = Path(__file__).parents[2] / "scripts"
PRINTED = "from geom2msm.peak_memory import peak_memory_mib; print(peak_memory_mib())"


def child(code: str) -> float:
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=True).stdout)


def test_a_process_does_not_inherit_what_its_parent_held():
    held = np.ones(30_000_000)  # 229 MiB
    assert 5 < child(PRINTED) < 100
    assert held.all()


def test_memory_that_was_given_back_counts():
    assert child(f"import numpy as np; a = np.ones(30_000_000); del a; {PRINTED}") > 229
