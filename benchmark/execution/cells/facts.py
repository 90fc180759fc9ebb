"""Put scores and facts of a task into the form of a record."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.execution.results import pack
from benchmark.task import Scored, Task


def scores(scored: Scored) -> dict[str, Any]:
    """Return the metrics and replicates of scored answers."""
    return {
        "metrics": {n: finite(v) for n, v in scored.metrics.items()},
        "replicates": {n: pack(r) for n, r in scored.replicates.items()},
        "chance": scored.chance,
    }


def task_facts(task: Task) -> dict[str, Any]:
    """Return which metrics of a task are shown, and its trivial model."""
    return {"headline": task.headline, "shown": list(task.shown), "trivial": task.trivial}


def finite(value: float) -> float | None:
    """Return the value, and None where it is infinite or NaN."""
    return float(value) if np.isfinite(value) else None
