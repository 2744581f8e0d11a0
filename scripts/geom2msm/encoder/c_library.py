"""C sources compiled for the processor at hand and loaded into this process."""

import ctypes
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

COMPILERS = ("cc", "gcc", "clang")
# No flag lets the compiler reorder sums: results must not depend on how it does that.
FLAGS = ("-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")


def find_compiler() -> list[str]:
    """The command of a C compiler: `$CC`, which may carry options, or the first of cc, gcc and clang."""
    named = shlex.split(os.environ.get("CC", ""))
    if named and shutil.which(named[0]) is None:
        raise ValueError(f"no C compiler: $CC names {named[0]!r}, which is not a command here; correct or unset it")
    found = [[name] for name in COMPILERS if shutil.which(name)]
    if not named and not found:
        raise ValueError("no C compiler: none of cc, gcc and clang is a command here; install one or set $CC")
    return named or found[0]


def require_cpp_compiler() -> None:
    """Refuse machines without the C++ compiler that torch.compile needs."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise ValueError(f"torch.compile needs a C++ compiler, but {compiler} is not on PATH; install it or set $CXX")


def native_flags() -> list[str]:
    """The option by which a compiler uses all instructions of this machine's processor."""
    return ["-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"]


def load_c_library(
    source: Path, *, definitions: Mapping[str, int], machine_flags: Sequence[str] | None = None
) -> ctypes.CDLL:
    """Compile a C file with preprocessor definitions and load it; nothing stays behind on disk.

    `machine_flags` replaces the option that compiles for this machine's processor.
    """
    machine = native_flags() if machine_flags is None else list(machine_flags)
    with tempfile.TemporaryDirectory(prefix="geom2msm_") as folder:
        library = Path(folder) / "library.so"
        defined = [f"-D{name}={value}" for name, value in definitions.items()]
        command = [*find_compiler(), *FLAGS, *machine, *defined, str(source), "-o", str(library), "-lm"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            lines = [*result.stderr.splitlines(), f"exit status {result.returncode}"]
            reason = next((line for line in lines if "error" in line), lines[0])
            raise ValueError(f"{source.name} could not be compiled by {shlex.join(command[:-4])}: {reason}")
        try:
            return ctypes.CDLL(str(library))
        except OSError as error:
            raise ValueError(f"{source.name} was compiled but could not be loaded: {error}") from error
