"""Find what looks like a leak and may have an innocent reason; it is shown beside the results.

A single column that gives the answer or the next item away, a mean of the answers that includes
later ones, rows on both sides of the cut, and people under two ids.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmark.evaluation.leakage.answers import encoded_answers, revealing_columns
from benchmark.evaluation.leakage.copies import copies
from benchmark.evaluation.leakage.next_items import telling_columns
from benchmark.task import Task, TaskData
from eventlog import EventLog
from eventlog.split import TimeSplit

SEED = 19


def suspect(
    task: Task, data: TaskData, source: EventLog, log: EventLog, split: TimeSplit
) -> list[str]:
    """Return a sentence for each thing that looks like a leak and need not be one.

    Args:
        task, data: the task, and what it made of the two logs.
        source: the log that is learnt from, up to the cut; all users of `log`, some or others.
        log: the real log with all users that are asked about.
        split: the cut.
    """
    same = source is log
    log = log.grouped()
    source = log if same else source.grouped()
    return [*copies(source, log, split), *_columns(task, data, source)]


def _columns(task: Task, data: TaskData, source: EventLog) -> Iterator[str]:
    rng = np.random.default_rng(SEED)
    if task.kind == "next_item":
        yield from telling_columns(data.train, data.encoder, source, rng=rng)
        return
    told = list(revealing_columns(data.train, source, rng=rng))
    yield from told
    if not told:
        parts = (data.train, data.valid, data.test)
        yield from encoded_answers([part for part in parts if part is not None], rng=rng)
