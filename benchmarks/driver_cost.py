"""Processor time of Snakemake itself while jobs wait for cores: as it is, and as run.py calls it.

    python3 benchmarks/driver_cost.py --jobs 300 --seconds 3 --cores 6

Jobs that only sleep, in a temporary folder; both orders, one after the other. Needs .driver/ (python3 run.py makes it).
"""

import argparse
import resource
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DRIVERS = {
    "snakemake": [ROOT / ".driver/bin/snakemake"],
    "run.py's": [ROOT / ".driver/bin/python", ROOT / "workflow/patched_snakemake.py"],
}
SNAKEFILE = """
rule all:
    input: expand("out/{{i}}", i=range({jobs}))
rule one:
    output: "out/{{i}}"
    shell: "sleep {seconds}; touch {{output}}"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--cores", type=int, default=6)
    options = parser.parse_args()
    for name in [*DRIVERS, *reversed(DRIVERS)]:
        cpu, wall = measure(DRIVERS[name], options)
        print(f"{name:10} {options.jobs} jobs: {cpu:.1f} s of CPU in {wall:.0f} s", flush=True)


def measure(driver: list[Path], options: argparse.Namespace) -> tuple[float, float]:
    """Processor and wall time of one run of all jobs."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Snakefile").write_text(SNAKEFILE.format(jobs=options.jobs, seconds=options.seconds))
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [*driver, "--cores", str(options.cores), "--scheduler", "greedy", "--quiet", "all"]
        subprocess.run(command, cwd=folder, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started


if __name__ == "__main__":
    main()
