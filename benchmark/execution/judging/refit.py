"""Fit a model twice with one seed, on a few users, to notice training that is not seeded.

A second whole fit would double the time of every cell. A sample shows the same fault, and costs at
most SHARE of the fit itself, or LEAST_S where that is more; a model that needs longer is not
checked. One that is trained within a budget gets a small one (`model_server.SAMPLE_BUDGET_S`). It
is the last thing that a model's process is asked.
"""

from __future__ import annotations

import time

import numpy as np

from benchmark.execution.judging import blocks
from benchmark.execution.judging.judge import PROBED, SEED, agree
from benchmark.execution.judging.model_process import ModelProcess
from benchmark.task import TaskData
from eventlog._runtime.errors import ShopError

USERS = 200
SHARE, LEAST_S = 0.1, 2.0
FITS_DIFFER = "two fits with one seed differ: something in its training is not seeded"


def fits_differ(model: ModelProcess, data: TaskData, fit_s: float) -> bool:
    """Return whether two fits on the same USERS users answer some questions differently.

    False where the sample cannot be fitted, or not in time: there is then nothing to compare.
    """
    rng = np.random.default_rng(SEED)
    first = next(blocks.windows(data.test, arriving=False)).blocks[0]
    some = np.sort(rng.permutation(first)[:PROBED])
    asked = blocks.cut(data.test.sequences, data.test.queries[some], others=model.reads_others)
    answers: list[np.ndarray] = []
    end = time.monotonic() + max(LEAST_S, SHARE * fit_s)
    try:
        for _ in range(2):
            model.patience_s = max(0.0, end - time.monotonic())
            model.fit(users=USERS)
            answers.append(model.score(*asked))
    except ShopError:
        return False
    return not agree(*answers)
