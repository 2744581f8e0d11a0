"""The most memory that a process has held."""

import re
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_memory_mib() -> float:
    """The most main memory that this process has held so far, in MiB.

    On Linux not by getrusage: there a process also has what its parent held when it was started.
    """
    if STATUS.exists():
        return int(re.search(r"VmHWM:\s+(\d+)", STATUS.read_text())[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, others in KiB.
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
