"""Simulate a scenario, and describe a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.execution.artifact_store import publish
from benchmark.execution.cells.loading import LOG
from benchmark.execution.jobs import Job
from benchmark.task import ASKED_COLUMNS, NotApplicable, Task
from eventlog import EventLog
from eventlog._runtime.errors import WorkError
from eventlog.log import digest


def work(job: Job) -> dict[str, Any]:
    """Simulate a scenario and return what the record says about its log."""
    from simulator import run

    spec = job.spec

    def write(temporary: Path) -> None:
        run(
            spec["scenario"],
            users=spec["users"],
            days=spec["days"],
            seed=spec["seed"],
            out=temporary / LOG,
            workers=1,
            settings=spec["settings"] or None,
        )

    return describe_log(publish(job.artifact, write) / LOG)


def describe_log(folder: Path) -> dict[str, Any]:
    """Return what a record says about a log.

    Raises InputError where the log cannot be split in time or has fewer than two users.
    """
    log = EventLog.read(folder, truth=False, verify=True, columns=ASKED_COLUMNS)
    if not log.manifest.get("files"):
        raise WorkError(f"{folder} has no manifest of files")
    split = Task.split(log)
    users = int(log.events["user_id"].nunique())
    if users < 2:
        raise NotApplicable(
            f"{folder} has {users} user; models are compared over users, so at least two are "
            "needed."
        )
    roles = log.role()
    return {
        "digest": digest(folder),
        "events": len(log),
        "users": users,
        "first": str(log.span[0]),
        "last": str(log.span[1]),
        "cut": str(split.cut),
        "purchases": int((roles == "purchase").sum()),
        "items": int(log.events["item_id"].nunique()) if "item_id" in log.events else 0,
        "truth": (folder / "truth").is_dir(),
    }
