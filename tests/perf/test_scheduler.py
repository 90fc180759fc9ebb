"""What running cells costs beside their work: seconds a cell, and the speed-up of two workers.

Usage::

    python -m pytest tests/perf/test_scheduler.py -s

The cells sleep, so that the figures are those of the scheduler and not of a busy machine's cores.
"""

from __future__ import annotations

import time
from pathlib import Path

from fixtures.benchmark_runs import QUICK, go
from fixtures.tiny import tiny_log

from benchmark import suite
from benchmark.execution.dispatch import run_cells
from benchmark.execution.outcome import Outcome
from benchmark.execution.plan import plan
from benchmark.execution.results import Store

SEEDS, SLEEP = 10, 1.0
MODEL = f'''"""Sleeps, then answers a constant."""
import time
import numpy as np
from baselines.base import Model

class Sleeper(Model):
    kinds = frozenset({{"binary"}})
    tasks = frozenset({{"churn"}})

    def fit(self, train, valid=None, *, encoder, seed):
        time.sleep({SLEEP})

    def score(self, sequences, queries):
        return np.full(len(queries), 0.5)
'''


def run(folder: Path, out: Path, workers: int) -> Outcome:
    model = folder.parent / "sleeper.py"
    model.write_text(MODEL)
    return go(
        folder,
        out,
        models=[str(model)],
        seeds=SEEDS,
        workers=workers,
        settings=[*QUICK, "tasks=['churn']"],
    )


def test_overhead_per_cell_and_speed_up(tmp_path: Path) -> None:
    folder = tiny_log().write(tmp_path / "tiny")
    run(folder, tmp_path / "warm", 2)  # starts the fork server
    began, cpu = time.perf_counter(), time.process_time()
    one = run(folder, tmp_path / "one", 1)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    two = run(folder, tmp_path / "two", 2)
    overhead = (one.seconds - one.busy) / one.ran
    speed_up = one.seconds / two.seconds
    print(
        f"\n{one.ran} cells, {one.busy:.1f} s in them, {wall:.1f} s in all: {overhead * 1000:.0f} "
        "ms and "
        f"{cpu / one.ran * 1000:.0f} ms of the scheduler's own CPU per cell; two workers are "
        f"{speed_up:.2f} times as fast"
    )
    assert overhead < 0.5
    assert speed_up > 1.5


def test_planning_and_looking_up_costs_milliseconds_per_cell(tmp_path: Path) -> None:
    folder = tiny_log().write(tmp_path / "tiny")
    began = time.process_time()
    cells = plan(suite.load("all", log=folder, seeds=range(20)))
    planned = (time.process_time() - began) / len(cells)
    store = Store(tmp_path / "out")
    for cell in cells:
        store.append({"key": cell.key, "kind": cell.kind, "status": "ok"})
    began = time.process_time()
    outcome = run_cells(cells, store)
    assert outcome.ran == 0
    print(
        f"\n{len(cells)} cells: planned in {planned * 1000:.2f} ms each, found finished in "
        f"{(time.process_time() - began) / len(cells) * 1000:.3f} ms each"
    )
    assert planned < 0.02
