"""How long Snakemake plans, and how much memory it takes, as the number of trajectories grows.

    python3 benchmarks/dag_scale.py --systems 10 --trajectories 1000 --folds 5 --seeds 3

A copy of the workflow is made in a temporary folder, with systems of empty trajectory files; then the time and the peak
memory of a dry run of everything are measured, in one Snakemake and, with --one-by-one, system after system. Needs
.driver/ (python3 run.py makes it).
"""

import argparse
import re
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("Snakefile", "CITATION.cff", "config", "envs", "resources", "scripts", "workflow")
TEMPLATE = "ala2_implicit"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("systems", 10), ("trajectories", 1000), ("folds", 5), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--one-by-one", action="store_true", help="one Snakemake per system")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = write_workflow(Path(folder), options)
        runs = [[name] for name in names] if options.one_by_one else [names]
        for systems in runs:
            measure(Path(folder), systems)


def write_workflow(folder: Path, options: argparse.Namespace) -> list[str]:
    """The workflow with many systems, whose trajectories are never opened by a dry run."""
    for name in COPIED:
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    system = (ROOT / f"config/systems/{TEMPLATE}.yaml").read_text()
    system = re.sub(r"n_folds: \d+", f"n_folds: {options.folds}", system)
    system = re.sub(r"seeds: \[.*\]", f"seeds: {list(range(options.seeds))}", system)
    names = [f"s{number}" for number in range(options.systems)]
    for name in names:
        data = folder / "data" / name
        data.mkdir(parents=True)
        shutil.copy(ROOT / "resources/structures/alanine_dipeptide.pdb", data / "ala2.pdb")
        for run in range(options.trajectories):
            (data / f"trajectory-{run}.dcd").touch()
        text = system.replace(f"data/{TEMPLATE}/", f"data/{name}/")
        (folder / f"config/systems/{name}.yaml").write_text(text)
    return names


def measure(folder: Path, systems: list[str]) -> None:
    """Print the number of jobs, time and memory of one dry run."""
    driver = [ROOT / ".driver/bin/python", ROOT / "workflow/patched_snakemake.py"]
    command = [*driver, "--dry-run", "--quiet", "rules", "--cores", "1"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [*command, "--config", f"systems=[{','.join(systems)}]"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    n_jobs = int(re.search(r"^total\s+(\d+)", done.stdout, re.MULTILINE)[1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{len(systems)} systems: {n_jobs} jobs, {time.monotonic() - started:.0f} s wall, {cpu:.0f} s CPU, "
        f"{1000 * cpu / n_jobs:.1f} ms per job, peak {after.ru_maxrss / 1024:.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
