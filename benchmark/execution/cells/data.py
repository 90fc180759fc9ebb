"""Encode the questions of a task from a source: the log itself, or a generated one."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from benchmark.evaluation import leakage
from benchmark.execution.artifact_store import publish
from benchmark.execution.cells.facts import task_facts
from benchmark.execution.cells.loading import load_task_class, log_folder
from benchmark.execution.jobs import Job
from benchmark.execution.prepared_task import save_task
from benchmark.execution.sampled_log import SampledLog
from eventlog import EventLog
from eventlog.arrays import Queries


def work(job: Job) -> dict[str, Any]:
    """Prepare a task and return what the record says about its parts."""
    task = load_task_class(job.spec)
    sampled = SampledLog(log_folder(job.needs[0]), job.spec["learn_users"])
    split, log = sampled.split, sampled.asked(task)
    learnt = log if sampled.learners is None else log.only_users(sampled.learners)
    generated = len(job.needs) > 1
    source = EventLog.read(log_folder(job.needs[1]), truth=False) if generated else learnt
    data = task.prepare(source, log, split)
    leakage.check(task, data, source, learnt, split)
    publish(job.artifact, lambda temporary: save_task(temporary, data))
    return {
        "train": len(data.train),
        "valid": 0 if data.valid is None else len(data.valid),
        "test": len(data.test),
        "split_by": data.split_by,
        "test_users": len(np.unique(data.test.queries.user)),
        "items": data.encoder.n_items - 2,
        # The real log's own cell looks for leaks; whether a generator copies, its fidelity tells.
        "suspected": [] if generated else leakage.suspect(task, data, source, log, split),
        "questions": _identity(data.test.queries),
        "base_rate": float(np.mean(data.test.target)) if task.kind != "next_item" else None,
        **task_facts(task),
    }


def _identity(queries: Queries) -> str:
    """Return a hash of the questions: the same where two results may be compared in pairs."""
    return hashlib.sha256(
        b"".join(
            np.ascontiguousarray(a).tobytes() for a in (queries.user, queries.end, queries.time)
        )
    ).hexdigest()[:16]
