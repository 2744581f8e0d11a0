"""Snakemake that plans one look for new jobs at a time; called like snakemake itself, by run.py.

As long as jobs wait for free cores, Snakemake (9.27, scheduling/job_scheduler.py) looks for jobs to start once a
second, and every job that ends begins another such series of looks: after a thousand jobs it looks a thousand times a
second and keeps a core busy for hours (its issues 2354 and 3804). Here a look that is already planned is not planned
again. Jobs on a cluster, and whoever calls `snakemake`, use it as it is.
"""

import sys
import threading

from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler


def plan_one_look(scheduler: JobScheduler, delay_s: float) -> None:
    """Look for new jobs after the delay, unless that is planned already."""

    def look() -> None:
        scheduler.look_is_planned = False
        scheduler._open_jobs.release()

    if not getattr(scheduler, "look_is_planned", False):
        scheduler.look_is_planned = True
        threading.Timer(delay_s, look).start()


if __name__ == "__main__":
    JobScheduler._schedule_reevalutation = plan_one_look
    sys.exit(main())
