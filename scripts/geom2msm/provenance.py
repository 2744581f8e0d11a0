"""Where an artefact comes from: digests of sources and inputs, and writing that is complete or absent."""

import ast
import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SCRIPTS = Path(__file__).parents[1]
PACKAGE = Path(__file__).parent.name
REPORTED_PACKAGES = ("numpy", "torch", "torch-geometric", "mdtraj", "deeptime", "openmm", "zarr", "scikit-learn")


def imported_modules(source: Path) -> set[str]:
    """Dotted names of every module that the file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


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
            candidate = SCRIPTS.joinpath(*name.split(".")).with_suffix(".py")
            if name.startswith(f"{PACKAGE}.") and candidate.exists():
                queue.append(candidate)
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
    return {
        "inputs": {name: sha256_file(path) for name, path in inputs.items()},
        "settings": dict(settings),
        "versions": {"python": platform.python_version()} | _versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in REPORTED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def replace_when_complete(path: str | Path) -> Iterator[Path]:
    """Yield `<path>.part` to write to and rename it to `path` only if nothing failed."""
    part = Path(f"{path}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    yield part
    os.replace(part, path)
