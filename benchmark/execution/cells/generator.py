"""Fit a generator on the users that are learnt from, and sample as many as the log has."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmark.evaluation.control import hold_out
from benchmark.execution.artifact_store import publish
from benchmark.execution.cells.loading import LOG, MODEL, log_folder
from benchmark.execution.jobs import Job
from benchmark.execution.sampled_log import SampledLog
from eventlog.log import digest


def work(job: Job) -> dict[str, Any]:
    """Fit a generator, sample from it, and return sizes and cost of both."""
    import generators

    spec = job.spec
    sampled = SampledLog(log_folder(job.needs[0]), spec["learn_users"])
    known = sampled.learnt().before(sampled.split.cut)
    # As many users are sampled as the log has, those held out included.
    users = int(known.events["user_id"].nunique())
    train, _ = hold_out(known)
    cost: dict[str, Any] = {}

    def write(temporary: Path) -> None:
        cpu = time.process_time()
        generator = generators.fit(
            train,
            model=spec["model"],
            epsilon=spec["epsilon"],
            delta=spec["delta"],
            public=tuple(spec["public"]),
            seed=spec["seed"],
            settings=spec["settings"] or None,
        )
        cost["fit_cpu_s"] = round(time.process_time() - cpu, 3)
        cpu = time.process_time()
        sample = generator.sample(users=users, seed=spec["seed"])
        cost["sample_cpu_s"] = round(time.process_time() - cpu, 3)
        generators.save(generator, temporary / MODEL)
        sample.write(temporary / LOG)
        arrays, _ = generator.state()
        privacy = getattr(generator, "privacy", {}) or {}
        cost.update(
            events=len(sample),
            parameters=int(sum(a.size for a in arrays.values())),
            epsilon=privacy.get("epsilon"),
            delta=privacy.get("delta"),
        )

    folder = publish(job.artifact, write)
    return {
        **cost,
        "users": users,
        "train_users": int(train.events["user_id"].nunique()),
        "train_events": len(train),
        "digest": digest(folder / LOG),
    }
