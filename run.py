#!/usr/bin/env python3
"""Set geom2msm up and run it. Needs Python 3.11 or later and nothing else.

python3 run.py                      run the default systems; the report is results/report.html
python3 run.py ARGUMENTS            the same set-up, then snakemake with your arguments:
    python3 run.py -n                   say what would be done
    python3 run.py --cores 8 figures    one target, on eight cores
    python3 run.py --report results/report.zip
    python3 run.py --config 'systems=[pentapeptide]'
python3 run.py slurm ARGUMENTS      the same by SLURM jobs, see workflow/profiles/slurm/README.md
python3 run.py test ARGUMENTS       the same set-up, then pytest with your arguments
python3 run.py status               how far each system is, and the last words of what failed
python3 run.py verify               whether all results are as they were written (sha256)

Snakemake goes into .driver/, test tools into .driver-test/, the environments of the
rules into .envs/. With conda on PATH the rules get their packages from conda-forge;
without it the same pins are built from PyPI with uv. Indexes and find-links that pip
or uv are configured with are obeyed. Delete the three folders to start afresh.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older one is told
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"geom2msm needs Python 3.11 or later, this is {found}: run it with a newer python3.")

import argparse
import ast
import contextlib
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SNAKEMAKE = ROOT / "workflow" / "patched_snakemake.py"
DRIVER = ROOT / ".driver"
TESTING = ROOT / ".driver-test"
CLUSTER = ROOT / ".driver-slurm"
ENVIRONMENTS = ROOT / ".envs"
LOCK = ".snakemake/run.lock"
STANDIN = ROOT / "workflow" / "conda_standin"
REQUIREMENTS = ROOT / "requirements"
REPORT = Path("results/report.zip")
PAGE = Path("results/report.html")

# Where packages come from, for workflow/patched_snakemake.py.
PACKAGES = "GEOM2MSM_PACKAGES"

# pip's setting -> uv's variable, and what uv separates several values with
UV_VARIABLES = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
}
SOURCES = {"UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"}


def main(arguments: list[str]) -> int:
    """Make what is missing, then hand over to Snakemake or pytest; returns its exit code."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0
    require_platform()
    os.chdir(ROOT)
    # Without stored bytecode every job that imports torch starts several seconds later.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    make_driver()
    if arguments[:1] == ["test"]:
        return run_tests(arguments[1:])
    if arguments[:1] == ["verify"]:
        return verify(arguments[1:])
    if arguments[:1] == ["status"]:
        return show_status(arguments[1:])
    if arguments[:1] == ["slurm"]:
        make_cluster_driver()
        return run_workflow(arguments[1:], driver=CLUSTER)
    return run_workflow(arguments)


def require_platform() -> None:
    """Stop with one sentence where environments cannot be made."""
    if sys.platform == "win32":
        sys.exit("geom2msm runs on Linux and macOS; on Windows run it inside WSL.")
    if " " in str(ROOT):
        sys.exit(f"{ROOT}: conda environments do not work below a path with a space, move this folder.")
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            "This Python cannot make virtual environments (ensurepip is missing): "
            "on Debian or Ubuntu, 'sudo apt install python3-venv', then try again."
        )


def make_driver() -> None:
    """.driver/: Snakemake and its logger, nothing that a rule could import by mistake."""
    lock = REQUIREMENTS / "driver.lock"
    with under_construction(DRIVER, digest(lock.read_bytes(), sys.version, DRIVER)) as missing:
        if missing:
            say("setting up Snakemake in .driver/ (once)")
            venv.create(DRIVER, clear=True, with_pip=True)
            version = re.search(r"^uv==(\S+)", lock.read_text(), re.MULTILINE)[1]
            call(DRIVER / "bin/python", "-m", "pip", "install", "-qq", f"uv=={version}")
            # Compiled once here: every job starts a Snakemake of its own.
            install(DRIVER, lock, "--require-hashes", "--compile-bytecode")


def make_test_environment() -> None:
    """.driver-test/: test tools and all scientific packages at the versions tested."""
    lock = REQUIREMENTS / "test.lock"
    with under_construction(TESTING, digest(lock.read_bytes(), sys.version, TESTING)) as missing:
        if missing:
            say("setting up the test tools in .driver-test/ (once)")
            make_environment(TESTING)
            install(TESTING, lock)


def make_cluster_driver() -> None:
    """.driver-slurm/: Snakemake with what submits to SLURM, apart from .driver/ because that brings pandas along."""
    lock = REQUIREMENTS / "slurm.lock"
    with under_construction(CLUSTER, digest(lock.read_bytes(), sys.version, CLUSTER)) as missing:
        if missing:
            say("setting up Snakemake for SLURM in .driver-slurm/ (once)")
            make_environment(CLUSTER)
            install(CLUSTER, lock, "--require-hashes", "--compile-bytecode")


def make_environment(folder: Path) -> None:
    """An empty virtual environment in place of whatever an interrupted set-up has left there."""
    shutil.rmtree(folder, ignore_errors=True)
    call(DRIVER / "bin/uv", "venv", "--quiet", "--python", sys.executable, folder)


def install(environment: Path, lock: Path, *options: str) -> None:
    """Put exactly the locked packages into a virtual environment."""
    words = ["pip", "install", "--quiet", *options, "--python", environment / "bin/python", "--requirements", lock]
    call(DRIVER / "bin/uv", *words, environment=with_uv())


@contextlib.contextmanager
def under_construction(folder: Path, stamp: str):
    """Yield whether the folder must be made; it counts as made only when the block ends well.

    A second run.py waits until the first has finished.
    """
    import fcntl

    stamp_file = folder / "stamp"
    ENVIRONMENTS.mkdir(exist_ok=True)
    with open(ENVIRONMENTS / f"{folder.name.lstrip('.')}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not stamp_file.exists() or stamp_file.read_text() != stamp
        yield missing
        if missing:
            stamp_file.write_text(stamp)


def run_workflow(arguments: list[str], *, driver: Path = DRIVER) -> int:
    """Snakemake with conda or its stand-in; after a plain default run, its own report too; says where the page is."""
    environment, envs = deployment(driver)
    command = snakemake_command(arguments, envs, interactive=sys.stderr.isatty(), driver=driver)
    folder = working_folder(arguments)
    page = folder / PAGE
    before, started, logs = modified(page), time.time(), snakemake_logs(folder)
    with at_work(folder):
        code = run(command, environment)
        if code == 0 and is_default_run(arguments) and not is_newest(ROOT / REPORT):
            code = run([*command, "--report", str(REPORT)], environment)
    if code:
        say_last_words(folder, snakemake_logs(folder) - logs, started=started)
    if code == 0 and modified(page) > (0 if is_default_run(arguments) else before):
        shown = page.relative_to(ROOT) if page.is_relative_to(ROOT) else page
        say(f"the report is {shown}: open it in any browser, it needs no other file")
    return code


def working_folder(arguments: list[str]) -> Path:
    """The folder that Snakemake reads and writes in: here, or where --directory says."""
    given, _ = own_options().parse_known_args(arguments)
    return (ROOT / (given.directory or ".")).resolve()


@contextlib.contextmanager
def at_work(folder: Path):
    """Hold a lock that any number of run.py can share, by which each can tell whether another is at work there."""
    import fcntl

    (folder / ".snakemake").mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        # Snakemake inherits it: the lock lasts as long as that is at work, even if run.py alone is killed.
        os.set_inheritable(lock.fileno(), True)
        yield


def snakemake_logs(folder: Path) -> set[Path]:
    """The logs that Snakemake itself has written, one of every run."""
    return set((folder / ".snakemake/log").glob("*.log"))


def say_last_words(folder: Path, logs: set[Path], *, started: float) -> None:
    """For each job that failed since the start, its rule, its log and its last sentence; or why none began."""
    command = package_command("last_words", [repr(started), LOCK, *map(str, sorted(logs))])
    found = subprocess.run(command, env=package_environment(), cwd=folder, stdout=subprocess.PIPE, text=True).stdout
    for line in found.splitlines():
        say(line)


def run_tests(arguments: list[str]) -> int:
    """pytest in the test environment, with the driver's Snakemake on PATH."""
    make_test_environment()
    environment, _ = deployment()
    environment["PATH"] = os.pathsep.join([str(TESTING / "bin"), environment["PATH"]])
    return run([str(TESTING / "bin/python"), "-m", "pytest", *arguments], environment)


def verify(arguments: list[str]) -> int:
    """Read all results again, in the working folder, where the paths of their records begin."""
    parser = argparse.ArgumentParser(prog="run.py verify", allow_abbrev=False)
    parser.add_argument("results", nargs="?", default="results", help="the folder of results")
    parser.add_argument("-d", "--directory", default=".", help="the folder that Snakemake worked in")
    given = parser.parse_args(arguments)
    os.chdir(ROOT / given.directory)
    return run(package_command("verification", [given.results]), package_environment())


def show_status(arguments: list[str]) -> int:
    """Snakemake's own list of files and their states, made into a table."""
    environment, envs = deployment()
    command = snakemake_command([*arguments, "--quiet", "all", "--summary"], envs, interactive=False)
    summary = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if summary.returncode:
        return summary.returncode
    options = {"env": package_environment(), "cwd": working_folder(arguments), "text": True}
    return subprocess.run(package_command("status", []), input=summary.stdout, **options).returncode


def package_command(module: str, arguments: list[str]) -> list[str]:
    """Run a module of the package with the driver's Python."""
    return [str(DRIVER / "bin/python"), "-m", f"geom2msm.{module}", *arguments]


def package_environment() -> dict[str, str]:
    """Our environment variables, and where the package is."""
    return os.environ | {"PYTHONPATH": str(ROOT / "scripts")}


def deployment(driver: Path = DRIVER) -> tuple[dict[str, str], Path]:
    """The variables Snakemake runs with, and the folder for the environments of the rules."""
    path = [str(driver / "bin"), os.environ.get("PATH", os.defpath)]
    if shutil.which("conda"):
        say("using conda: packages come from conda-forge")
        return os.environ | {"PATH": os.pathsep.join(path), PACKAGES: "conda"}, ENVIRONMENTS / "conda"
    mamba = " (mamba was found, but Snakemake needs the conda command)" if shutil.which("mamba") else ""
    say(f"no conda found{mamba}: building the same pins with uv from PyPI")
    path.insert(0, str(STANDIN / "bin"))
    # Snakemake hashes the env file only: new tested versions must make new environments.
    recipe = digest((REQUIREMENTS / "constraints.txt").read_bytes(), (STANDIN / "bin/conda").read_bytes())
    envs = ENVIRONMENTS / f"uv-{recipe[:8]}"
    return with_uv() | {"PATH": os.pathsep.join(path), PACKAGES: envs.name}, envs


def snakemake_command(arguments: list[str], envs: Path, *, interactive: bool, driver: Path = DRIVER) -> list[str]:
    """Defaults first, so that every one of them can be overridden by the user's arguments."""
    given, _ = own_options().parse_known_args(arguments)
    command = [str(driver / "bin/python"), str(SNAKEMAKE), "--sdm", "conda", "--conda-prefix", str(envs)]
    if interactive and not given.logger:
        command += ["--logger", "rich"]
    if not (given.workflow_profile or given.profile):
        command += ["--workflow-profile", f"workflow/profiles/{'slurm' if driver == CLUSTER else 'default'}"]
        if not (given.cores or given.jobs or driver == CLUSTER):
            command += ["--cores", "all"]
    return command + arguments


def own_options() -> argparse.ArgumentParser:
    """The few options of Snakemake that change what run.py adds."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names in (("-c", "--cores"), ("-j", "--jobs"), ("--profile",), ("--workflow-profile",), ("--logger",)):
        parser.add_argument(*names, nargs="?", const="all")
    parser.add_argument("-d", "--directory")
    return parser


def is_default_run(arguments: list[str]) -> bool:
    """Whether everything was asked for: no target and no option but the number of cores."""
    given, rest = own_options().parse_known_args(arguments)
    return not rest and not (given.profile or given.workflow_profile or given.directory)


def modified(file: Path) -> float:
    """When the file was written last; 0 if there is none."""
    return file.stat().st_mtime if file.exists() else 0.0


def is_newest(report: Path) -> bool:
    """Whether nothing that the report shows has changed since it was written."""
    if not report.exists():
        return False
    sources = [path for folder in ("results", "workflow/report") for path in (ROOT / folder).rglob("*")]
    return all(path.stat().st_mtime <= report.stat().st_mtime for path in sources if path.is_file())


def with_uv() -> dict[str, str]:
    """Our environment variables plus those by which uv finds packages where pip finds them."""
    command = [DRIVER / "bin/python", "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    has_nvidia = Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None
    return uv_settings(dict(os.environ), pip_settings(listing), has_nvidia=has_nvidia)


def pip_settings(listing: str) -> dict[str, list[str]]:
    """Settings in the output of `pip config list`; later sections win, as in pip."""
    settings = {}
    for section in ("global", "install", ":env:"):
        for name, value in re.findall(rf"^{section}\.([\w-]+)=(.*)$", listing, re.MULTILINE):
            settings[name] = ast.literal_eval(value).split()
    return settings


def uv_settings(environment: dict[str, str], pip: dict[str, list[str]], *, has_nvidia: bool) -> dict[str, str]:
    """What uv must know; variables that the user set for uv stay as they are."""
    found = {variable: separator.join(pip[name]) for name, (variable, separator) in UV_VARIABLES.items() if name in pip}
    if "UV_INDEX" in found:
        # pip takes the best version of all indexes; uv by default the first index with any.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if not SOURCES & (found.keys() | environment.keys()) and not has_nvidia:
        # PyPI's own torch for Linux is the CUDA build, several GB.
        found["UV_TORCH_BACKEND"] = "cpu"
    return found | environment


def run(command: list[str], environment: dict[str, str]) -> int:
    """Show and run a command; its exit code, or 128 + the signal that ended it, as a shell does."""
    say(shlex.join(os.path.relpath(word, ROOT) if word.startswith(f"{ROOT}/") else word for word in command))
    process = subprocess.Popen(command, env=environment, close_fds=False)
    # Ctrl-C reaches Snakemake from the terminal too: let it finish its cleaning up.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code


def call(*command: object, environment: dict[str, str] | None = None) -> None:
    """Run one step of the set-up; its own message says what went wrong."""
    words = [str(word) for word in command]
    if subprocess.run(words, env=environment).returncode:
        sys.exit(f"The set-up failed at: {shlex.join(words)}")


def digest(*parts: object) -> str:
    """One hash of contents, versions and paths."""
    encoded = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return hashlib.sha256(b"\0".join(encoded)).hexdigest()


def say(message: str) -> None:
    print(f"geom2msm: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
