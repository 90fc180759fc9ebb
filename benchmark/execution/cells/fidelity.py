"""Compare a generated log with the real one, and look for copies of its users."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmark.evaluation.control import hold_out
from benchmark.execution.cells.loading import log_folder
from benchmark.execution.jobs import Job
from benchmark.execution.sampled_log import SEED, SampledLog
from eventlog import EventLog
from eventlog.split import draw_users


def work(job: Job) -> dict[str, Any]:
    """Return how far a generated log is from the real one, and the risk of copies."""
    from generators.evaluation import fidelity

    sampled = SampledLog(log_folder(job.needs[0]), job.spec["learn_users"])
    real = sampled.learnt().before(sampled.split.cut)
    synthetic = EventLog.read(log_folder(job.needs[1]), truth=False)
    rows = fidelity.compare(
        *(_drawn(log, job.spec["users"]) for log in (real, synthetic)), columns=job.spec["columns"]
    )
    return {
        "measures": {
            r.name: {"value": r.value, "floor": r.floor, "limit": r.limit, "verdict": r.verdict}
            for r in rows
        },
        "privacy": _privacy(real, synthetic),
    }


def _drawn(log: EventLog, users: int | None) -> EventLog:
    """Return the log of some users, drawn; all of them for None."""
    if users is None:
        return log
    end = log.span[1] + pd.Timedelta(milliseconds=1)
    return log.only_users(draw_users(log, users, before=end, rng=np.random.default_rng(SEED)))


def _privacy(real: EventLog, synthetic: EventLog) -> dict[str, Any] | None:
    """Return the risk of copies and of membership; None without a control group.

    `caught` says what shows that the generator copies its training log, or is None.
    """
    from generators.evaluation import copying
    from generators.evaluation.align import align_logs
    from generators.evaluation.attacks import suite

    fitted, control = hold_out(real)
    if control is None:
        return None
    audit = copying.examine(*align_logs(fitted, synthetic, control), seed=0)
    return {
        "copies": suite.as_json(audit.copies),
        "membership": suite.as_json(audit.membership),
        "caught": audit.caught,
        "control_users": int(control.events["user_id"].nunique()),
    }
