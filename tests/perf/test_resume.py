"""Kill -9 at twenty random moments: every rerun goes on, and the table is that of one whole run.

No finished cell is run again.

Usage::

    python -m pytest tests/perf/test_resume.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fixtures.benchmark_runs import check_resumed, command, go, kill_and_go_on
from fixtures.tiny import tiny_log

from benchmark.execution.results import Store

KILLS = 20


def test_twenty_kills(tmp_path: Path) -> None:
    folder = tiny_log().write(tmp_path / "tiny")
    finished = tmp_path / "finished"
    assert not go(folder, finished).failed
    records = len(Store(finished).records)
    rng = np.random.default_rng(1)
    hit = 0
    for round_ in range(10):
        out = tmp_path / f"killed-{round_}"
        hit += kill_and_go_on(command(folder, out), out, min(5, KILLS - hit), rng, records=records)
        check_resumed(out, finished)
        if hit >= KILLS:
            break
    print(f"{hit} kills in {round_ + 1} runs")
    assert hit >= KILLS
