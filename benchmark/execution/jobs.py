"""Run a cell: what is sent to a worker, and what comes back whatever happens there.

What each kind of cell does is in `benchmark.execution.cells`, a file per kind; a job runs in a
process of its own, which imports what is heavy when it needs it.
"""

from __future__ import annotations

import os
import time
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from benchmark.execution.plan import CELLS
from benchmark.execution.seeding import seed_everything
from benchmark.task import NotApplicable
from eventlog._runtime.errors import ShopError
from eventlog._runtime.system import peak_memory


@dataclass(frozen=True)
class Job:
    """A cell with the locations of its artefacts, as it is sent to a worker: plain data."""

    kind: str
    key: str
    spec: dict[str, Any]
    needs: tuple[str, ...]  # locations of the artefacts it needs, in the order of Cell.needs
    artifact: str  # location of its own
    limit_s: float
    label: dict[str, Any] = field(default_factory=dict)
    name: str = ""  # for the console
    hidden: tuple[str, ...] = ()  # folders that no model may read: results, artefacts, logs


def execute(job: Job) -> dict[str, Any]:
    """Do the work and return what the record says about it.

    `status` is "ok", "left out" or "error", the last two with the reason as `error`. Every
    exception of the work is caught; only SystemExit and its like pass.
    """
    began, cpu = time.perf_counter(), _cpu_seconds()
    seed_everything(job.spec.get("seed", 0))
    try:
        found = {"status": "ok", **import_module(f"{CELLS}.{job.kind}").work(job)}
    except NotApplicable as reason:
        found = {"status": "left out", "error": str(reason)}
    except ShopError as error:
        found = {"status": "error", "error": str(error)}
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; the others go on
        found = {
            "status": "error",
            "error": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(limit=-6),
        }
    return {
        "peak_mb": peak_memory(),
        **found,
        "wall_s": round(time.perf_counter() - began, 3),
        "cpu_s": round(_cpu_seconds() - cpu, 3),
    }


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])
