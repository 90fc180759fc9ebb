"""Score a rung of the ladder of ceilings, with what it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.evaluation import ceilings
from benchmark.execution.artifact_store import fetch
from benchmark.execution.cells.facts import scores, task_facts
from benchmark.execution.cells.loading import load_task_class, log_folder
from benchmark.execution.jobs import Job
from benchmark.execution.prepared_task import load_task
from benchmark.task import NotApplicable
from eventlog import EventLog


def work(job: Job) -> dict[str, Any]:
    """Return the score of a stored ceiling or of an oracle, and where it comes from."""
    task = load_task_class(job.spec)
    data = load_task(fetch(job.needs[1]))
    rung = job.spec["rung"]
    if rung in ceilings.STORED:
        found = ceilings.stored(
            ceilings.path_of(job.spec["stored_in"]),
            task=job.label["task"],
            rung=rung,
            questions=ceilings.identity(task, data),
        )
        known = {"metrics": found.metrics, "replicates": found.replicates, "chance": found.chance}
        return {**known, **task_facts(task), "provenance": found.provenance}
    from simulator.truth import oracles

    tables = True if task.oracle_tables is None else task.oracle_tables
    log = EventLog.read(log_folder(job.needs[0]), truth=tables, columns=task.oracle_columns)
    answer = task.oracle(oracles, log, data.test, task.split(log))
    if answer is None:
        raise NotApplicable(f"{job.label['task']} has no oracle")
    scored = task.judge(np.asarray(answer, dtype=np.float64), data)
    return {**scores(scored), **task_facts(task), "provenance": task.oracle_knows}
