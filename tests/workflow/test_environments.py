"""Each env file is readable by conda, covered by the tested versions, and complete for its script."""

import importlib.util
import re
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from geom2msm.provenance import imported_modules, source_files

ROOT = Path(__file__).resolve().parents[2]
ENV_FILES = sorted((ROOT / "envs").rglob("*.yaml"))
CUDA_FILES = sorted((ROOT / "envs/cuda").glob("*.yaml"))
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))
LOCKS = sorted(path for path in (ROOT / "requirements").iterdir())
# import name -> conda-forge's name, where they differ
PACKAGES = {
    "matplotlib": "matplotlib-base",
    "sklearn": "scikit-learn",
    "torch": "pytorch",
    "torch_geometric": "pytorch_geometric",
    "yaml": "pyyaml",
}


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


def dependencies(path: Path) -> list[str]:
    return yaml.safe_load(path.read_text())["dependencies"]


def pinned(path: Path) -> dict[str, str]:
    """Package -> exact version in a lock file."""
    lines = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


@pytest.fixture(scope="module")
def standin():
    loader = SourceFileLoader("conda_standin", str(ROOT / "workflow/conda_standin/bin/conda"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("conda_standin", loader))
    loader.exec_module(module)
    return module


@named(ENV_FILES)
def test_env_file_asks_conda_forge_only_and_has_no_pip_section(path):
    content = yaml.safe_load(path.read_text())
    assert content.keys() == {"channels", "dependencies"}
    assert content["channels"] == ["conda-forge", "nodefaults"]
    assert all(isinstance(dependency, str) for dependency in content["dependencies"])


@named(ENV_FILES)
def test_every_dependency_is_conda_syntax_with_a_version(path):
    rattler = pytest.importorskip("rattler", reason="py-rattler is missing: use 'python3 run.py test'")
    for dependency in dependencies(path):
        spec = rattler.MatchSpec(dependency, strict=True)
        assert spec.version is not None, f"{path.name}: {dependency} has no version"


@named(ENV_FILES)
def test_the_stand_in_reads_what_conda_reads(path, standin):
    assert standin.dependencies(path.read_text()) == dependencies(path)


@named(ENV_FILES)
def test_the_versions_tested_satisfy_the_pins(path, standin):
    tested = pinned(ROOT / "requirements/constraints.txt") | {"python": "3.11.0"}
    for dependency in dependencies(path):
        name, versions = standin.requirement(dependency)
        if name in standin.OF_THE_SYSTEM:
            continue
        version = tested[canonicalize_name(name)]
        assert SpecifierSet(versions).contains(version), f"{path.name}: {dependency} excludes the tested {version}"


def test_the_tests_run_with_the_versions_that_users_get():
    constraints = pinned(ROOT / "requirements/constraints.txt")
    assert constraints.items() <= pinned(ROOT / "requirements/test.lock").items()


@pytest.mark.parametrize("name", ["driver", "slurm", "constraints", "test"])
def test_the_lock_answers_its_requirements(name):
    lock = next((ROOT / "requirements").glob(f"{name}.[lt]*"))
    versions = pinned(lock)
    for line in (ROOT / f"requirements/{name}.in").read_text().splitlines():
        if line and not line.startswith(("#", "-")):
            requirement = Requirement(line)
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), line


@named(LOCKS)
def test_no_lock_names_a_host_or_a_folder(path):
    text = path.read_text()
    assert not re.findall(r"https?:|file:|--(?:extra-)?index-url|--find-links|\s/\w+", text)
    assert not [version for version in pinned(path).values() if "+" in version]


def test_the_driver_lock_has_hashes_and_nothing_scientific():
    lock = ROOT / "requirements/driver.lock"
    assert lock.read_text().count(" \\\n    --hash=sha256:") >= len(pinned(lock))
    assert not pinned(lock).keys() & {"numpy", "pandas", "scipy", "torch"}


def test_the_lock_for_slurm_adds_to_the_driver_and_changes_nothing():
    driver, slurm = (pinned(ROOT / f"requirements/{name}.lock") for name in ("driver", "slurm"))
    assert driver.items() <= slurm.items()
    assert (ROOT / "requirements/slurm.lock").read_text().count(" \\\n    --hash=sha256:") >= len(slurm)


@named(CUDA_FILES)
def test_a_variant_with_cuda_differs_in_torch_only(path):
    plain, cuda = set(dependencies(ROOT / "envs" / path.name)), set(dependencies(path))
    (torch,) = plain - cuda
    assert {spec.split()[0] for spec in cuda - plain} == {"pytorch-gpu", "cuda-version"}
    assert torch.replace("pytorch ", "pytorch-gpu ") in cuda


def test_rules_that_ask_for_a_gpu_have_a_variant_with_cuda():
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    named = set(re.findall(r'with_cuda\("../../envs/(\w+)\.yaml"\)', rules))
    assert named == {path.stem for path in CUDA_FILES}
    assert rules.count("gpu=gpus()") == len(named)


def missing_packages(modules: set[str], declared: set[str]) -> set[str]:
    """Packages behind third-party imports that an env file does not declare."""
    top_level = {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"geom2msm", "snakemake"}
    return {PACKAGES.get(name, name) for name in top_level} - declared


def test_a_missing_package_would_be_noticed():
    assert missing_packages({"os", "torch.nn", "zarr", "geom2msm.store"}, {"pytorch"}) == {"zarr"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_env_file_declares_what_its_script_imports(script):
    env = ROOT / "envs" / ("figures.yaml" if script.startswith("figure_") else f"{script}.yaml")
    assert env.exists(), f"scripts/{script}.py has no {env.relative_to(ROOT)}"
    declared = {re.match(r"[\w.-]+", dependency)[0] for dependency in dependencies(env)}
    modules = {name for path in source_files(script) for name in imported_modules(path)}
    missing = missing_packages(modules, declared)
    assert not missing, f"{env.relative_to(ROOT)} lacks {missing}"


def test_every_env_file_belongs_to_a_script():
    figures = {"figures"} if any(script.startswith("figure_") for script in SCRIPTS) else set()
    unused = {path.stem for path in ENV_FILES} - set(SCRIPTS) - figures
    assert not unused, f"no script uses {unused}"
