"""Snakemake without some of its costs and surprises; called like snakemake itself, by run.py.

As long as jobs wait for free cores, Snakemake (9.27, scheduling/job_scheduler.py) looks for jobs to start once a
second, and every job that ends begins another such series of looks: after a thousand jobs it looks a thousand times a
second and keeps a core busy for hours (its issues 2354 and 3804). Here a look that is already planned is not planned
again.

While it plans, Snakemake does for every job what one time would do; with forty thousand jobs that is a minute. Here it
remembers which rule makes a file (it is made to, but remembers only files that no rule makes), the parameters of a
function, and that a rule's script can be read. Python looks for unused objects less often, and not at all at the end.

Snakemake takes the folder of an environment for a part of what is in it, so that all results would be made anew once
the repository or the environments are moved. Here only the environment's file and the source of packages count.

Jobs on a cluster, and whoever calls `snakemake`, use it as it is.
"""

import functools
import gc
import os
import sys
import threading

import snakemake.common
import snakemake.jobs
import snakemake.rules
from snakemake.cli import main
from snakemake.dag import DAG, ScriptProcessor
from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler

# Python's own are 700, 10, 10, but of a plan's millions of objects nearly all stay.
COLLECTION = (100_000, 50, 100)

find_producer = DAG.update
read_script = ScriptProcessor.process_job
software_and_place = PersistenceBase._software_stack_hash
parameters_of = functools.cache(snakemake.common.get_function_params)


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


def read_script_once(processor: ScriptProcessor, job: snakemake.jobs.Job) -> None:
    """Stop where the script of the job's rule cannot be read; no rule here has wildcards in its script's name."""
    read = processor.__dict__.setdefault("rules_read", set())
    if job.rule.name not in read:
        read_script(processor, job)
        read.add(job.rule.name)


def software_of(persistence: PersistenceBase, job: snakemake.jobs.Job) -> str:
    """What says whether a result was made with other packages: the job's environment file, and where they come from."""
    packages = os.environ.get("GEOM2MSM_PACKAGES")
    if packages is None or job.conda_env is None or job.container_img_url:
        return software_and_place(persistence, job)
    return f"{job.conda_env.content_hash} {packages}"


def patch_snakemake() -> None:
    """Put the functions of this file in place of Snakemake's own."""
    JobScheduler._schedule_reevalutation = plan_one_look
    DAG.update = find_producer_once
    ScriptProcessor.process_job = read_script_once
    PersistenceBase._software_stack_hash = software_of
    for module in (snakemake.common, snakemake.jobs, snakemake.rules):
        module.get_function_params = parameters_of


if __name__ == "__main__":
    patch_snakemake()
    gc.set_threshold(*COLLECTION)
    try:
        sys.exit(main())
    finally:
        gc.freeze()
