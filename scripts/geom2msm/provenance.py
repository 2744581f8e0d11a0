"""Where an artefact comes from: digests of sources and inputs, and writing that is complete or absent.

Every file that a job reads or finishes leaves a line in the job's log, with its SHA-256 in the form of sha256sum:
`read <digest>  <path>`, `wrote <digest>  <path>`. `python3 run.py verify` compares them with what is there
(geom2msm/verification.py), and so does `grep -rhoE '[0-9a-f]{64}  .*' results/logs | sha256sum --check --quiet`.
"""

import ast
import fcntl
import hashlib
import logging
import os
import platform
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

SCRIPTS = Path(__file__).parents[1]
PACKAGE = Path(__file__).parent.name
INHERITED = ("system", "trajectory", "frame_interval_ps", "stride", "make_whole", "selection")
REPORTED_PACKAGES = ("numpy", "torch", "torch-geometric", "mdtraj", "deeptime", "openmm", "zarr", "scikit-learn")


def imported_modules(source: Path) -> frozenset[str]:
    """Dotted names of every module that the file imports, anywhere in it."""
    return _imports_in(source.read_text())


# Kept: dozens of rules share most modules, and every job of a cluster reads the workflow twice.
@cache
def _imports_in(text: str) -> frozenset[str]:
    names: set[str] = set()
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


# Not ast.walk: nine nodes in ten lie in expressions, which import nothing.
def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements in a node, those in blocks of others too."""
    for block in ("body", "orelse", "handlers", "finalbody", "cases"):
        for statement in getattr(node, block, ()):
            yield statement
            yield from _statements(statement)


def source_files(script: str) -> list[Path]:
    """The rule's script and the package modules reachable from it."""
    seen: set[Path] = set()
    queue = [SCRIPTS / f"{script}.py"]
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imported_modules(path):
            if name.startswith(f"{PACKAGE}."):
                candidate = SCRIPTS / f"{name.replace('.', '/')}.py"
                queue += [candidate] if candidate.exists() else []
    return sorted(seen)


def compiled_sources(module: Path) -> list[Path]:
    """The C source that a module compiles, which has its name, and the headers beside it."""
    source = module.with_suffix(".c")
    return [source, *source.parent.glob("*.h")] if source.exists() else []


def source_digest(script: str) -> str:
    """Hash of the script and of all package code it uses; a rule's parameter, so that edits rerun it."""
    digest = hashlib.sha256()
    modules = source_files(script)
    for path in sorted({*modules, *(source for module in modules for source in compiled_sources(module))}):
        digest.update(path.relative_to(SCRIPTS).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance(*, inputs: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, object]:
    """What an artefact was made from: input checksums, settings, versions of Python and of the packages present."""
    digests = {name: sha256_file(path) for name, path in inputs.items()}
    for name, path in inputs.items():
        logging.info("read %s  %s", digests[name], path)
    return {
        "inputs": digests,
        "settings": dict(settings),
        "versions": {"python": platform.python_version()} | _versions(),
    }


def inherited(inventory: Mapping) -> dict[str, object]:
    """What every store of a trajectory's frames says of the trajectory."""
    return {key: inventory[key] for key in INHERITED}


def require_inspected(inventory: Mapping, made_from: Mapping, *, name: str) -> None:
    """Refuse a trajectory, the input of this name, whose bytes are not those that its inventory was made of."""
    if made_from["inputs"][name] != inventory["sha256"]:
        raise ValueError(
            f"{inventory['file']}: the file has changed since it was inspected; is it still being written? "
            "Run again once it is complete."
        )


@contextmanager
def unchanged_while_read(path: str) -> Iterator[None]:
    """Refuse a file that another program writes to while it is read here."""
    before = _size_and_time(path)
    yield
    if _size_and_time(path) != before:
        raise ValueError(f"{path}: the file has changed while it was read; run again once it is complete.")


def _size_and_time(path: str) -> tuple[int, int]:
    status = Path(path).stat() if Path(path).exists() else None
    return (status.st_size, status.st_mtime_ns) if status else (0, 0)


def _versions() -> dict[str, str]:
    # Of this environment only: Snakemake appends the packages of its own to `sys.path`, and those differ on a cluster.
    own = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    found = ((name, next(iter(distributions(name=name, path=own)), None)) for name in REPORTED_PACKAGES)
    return {name: package.version for name, package in found if package}


@contextmanager
def replace_when_complete(path: str | Path) -> Iterator[Path]:
    """Yield `<path>.part` to write to and rename it to `path` only if nothing failed."""
    part = Path(f"{path}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(part):
        yield part
        complete(part, path)


@contextmanager
def only_job(path: str | Path) -> Iterator[None]:
    """Refuse to begin what another process is at, which makes `path` and replaces files of its own on the way."""
    lock = Path(f"{path}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(lock):
        try:
            yield
        finally:
            lock.unlink()


def complete(part: Path, path: str | Path) -> None:
    """Give a finished file its name, and write its checksum into the log."""
    digest = sha256_file(part)
    os.replace(part, path)
    logging.info("wrote %s  %s", digest, path)


@contextmanager
def only_writer(part: Path) -> Iterator[None]:
    """Refuse to write a file while another process does; after kill -9 of Snakemake its jobs live on."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{part}: another process is writing this file, perhaps a job that outlived its run; "
                "wait until it has ended, or end it, and run again"
            ) from None
        except OSError as error:
            logging.warning("%s: this file system has no locks (%s); two runs at once are not noticed", part, error)
        yield
