"""Rows per second of the simulator against bare SimPy timeouts, both on one core in one run.

    python -m pytest tests/perf/test_simulator_speed.py --benchmark-only -s
"""

from __future__ import annotations

import time

import pytest
import simpy

from simulator import entries

PROCESSES, STEPS = 10_000, 10
USERS, DAYS = 10_000, 20


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


def shop(folder) -> float:
    """Rows per CPU second of the default shop, Parquet and truth written."""
    begin = time.process_time()
    path = entries.run("shop", users=USERS, days=DAYS, seed=7, out=folder)
    seconds = time.process_time() - begin
    from eventlog.log import read_manifest

    files = read_manifest(path)["files"]
    return sum(entry["rows"] for name, entry in files.items() if name.startswith("events/")) / seconds


@pytest.mark.benchmark(group="simulator")
def test_rows_per_second_against_bare_simpy(benchmark, tmp_path):
    shop(tmp_path / "warm")  # imports and caches
    rate = max(bare(), bare())
    rows = benchmark.pedantic(lambda: shop(tmp_path / "log"), rounds=3, iterations=1)
    rate = max(rate, bare())
    benchmark.extra_info.update({"rows_per_cpu_s": round(rows), "bare_simpy_per_cpu_s": round(rate), "ratio": round(rows / rate, 3)})
    print(f"\nshop {rows:,.0f} rows/s, bare SimPy {rate:,.0f} events/s, ratio {rows / rate:.2f}")
    assert rows / rate > 0.1
