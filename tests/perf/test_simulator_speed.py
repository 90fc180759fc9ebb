"""Rows per second of the simulator beside bare SimPy timeouts, and the gain of a second worker.

Usage::

    python -m pytest tests/perf/test_simulator_speed.py --benchmark-only -s
"""

from __future__ import annotations

import os
import statistics
import time

import pytest
import simpy

from eventlog.log import read_manifest
from simulator import api

PROCESSES, STEPS = 10_000, 10
USERS, DAYS = 10_000, 60
# users of the run with two workers: 22 shards, so that the start of a process is not what is
# measured
MANY = 100_000


def bare() -> float:
    """Events per CPU second of `yield env.timeout(1.0)` with 10,000 processes."""

    def wait(env):
        for _ in range(STEPS):
            yield env.timeout(1.0)

    env = simpy.Environment()
    for _ in range(PROCESSES):
        env.process(wait(env))
    begin = time.process_time()
    env.run()
    return PROCESSES * STEPS / (time.process_time() - begin)


def rows_of(path) -> int:
    """Rows of a log, from its manifest."""
    return sum(
        entry["rows"]
        for name, entry in read_manifest(path)["files"].items()
        if name.startswith("events/")
    )


def shop(folder) -> float:
    """Rows per CPU second of the default shop, Parquet and truth written."""
    begin = time.process_time()
    path = api.run("shop", users=USERS, days=DAYS, seed=7, out=folder)
    return rows_of(path) / (time.process_time() - begin)


def workers(folder, n: int) -> float:
    """Rows per second of the clock with `n` workers."""
    begin = time.perf_counter()
    path = api.run("shop", users=MANY, days=DAYS, seed=7, out=folder, workers=n)
    return rows_of(path) / (time.perf_counter() - begin)


@pytest.mark.benchmark(group="simulator")
def test_rows_per_second_against_bare_simpy(benchmark, tmp_path):
    shop(tmp_path / "warm")  # imports, compiled code
    ratios, names = [], iter("abc")
    benchmark.pedantic(
        lambda: ratios.append((shop(tmp_path / next(names)), bare())), rounds=3, iterations=1
    )
    rows, rate = (statistics.median(r[k] for r in ratios) for k in (0, 1))
    ratio = statistics.median(a / b for a, b in ratios)
    benchmark.extra_info.update(
        {
            "rows_per_cpu_s": round(rows),
            "bare_simpy_per_cpu_s": round(rate),
            "ratio": round(ratio, 3),
        }
    )
    print(f"\nshop {rows:,.0f} rows/s, bare SimPy {rate:,.0f} events/s, ratio {ratio:.2f}")
    assert ratio > 0.5


@pytest.mark.benchmark(group="simulator")
@pytest.mark.skipif(
    (os.cpu_count() or 1) < 2 or os.getloadavg()[0] > 0.7, reason="needs two idle cores"
)
def test_two_workers_against_one(benchmark, tmp_path):
    shop(tmp_path / "warm")
    one = workers(tmp_path / "one", 1)
    two = benchmark.pedantic(lambda: workers(tmp_path / "two", 2), rounds=1, iterations=1)
    benchmark.extra_info.update(
        {
            "rows_per_s_one": round(one),
            "rows_per_s_two": round(two),
            "speed_up": round(two / one, 2),
        }
    )
    print(f"\none worker {one:,.0f} rows/s, two {two:,.0f}, speed-up {two / one:.2f}")
    assert two / one > 1.6
