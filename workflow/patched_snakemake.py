"""Snakemake without two of its costs; called like snakemake itself, by run.py.

As long as jobs wait for free cores, Snakemake (9.27, scheduling/job_scheduler.py) looks for jobs to start once a
second, and every job that ends begins another such series of looks: after a thousand jobs it looks a thousand times a
second and keeps a core busy for hours (its issues 2354 and 3804). Here a look that is already planned is not planned
again.

While it plans (dag.py), Snakemake looks for the rule that makes a file anew for every job that reads the file, though
it is made to remember: it only remembers files that no rule makes. Here it remembers the others, too.

Jobs on a cluster, and whoever calls `snakemake`, use it as it is.
"""

import sys
import threading

from snakemake.cli import main
from snakemake.dag import DAG
from snakemake.scheduling.job_scheduler import JobScheduler

find_producer = DAG.update


def plan_one_look(scheduler: JobScheduler, delay_s: float) -> None:
    """Look for new jobs after the delay, unless that is planned already."""

    def look() -> None:
        scheduler.look_is_planned = False
        scheduler._open_jobs.release()

    if not getattr(scheduler, "look_is_planned", False):
        scheduler.look_is_planned = True
        threading.Timer(delay_s, look).start()


async def find_producer_once(dag: DAG, jobs, file=None, *, known_producers=None, **options):
    """The job that makes the file, remembered for the next job that reads it."""
    producer = await find_producer(dag, jobs, file=file, known_producers=known_producers, **options)
    if file is not None and known_producers is not None:
        known_producers[file] = [producer]
    return producer


if __name__ == "__main__":
    JobScheduler._schedule_reevalutation = plan_one_look
    DAG.update = find_producer_once
    sys.exit(main())
