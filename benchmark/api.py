"""`benchmark.run`: a suite in, a table of its results out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.execution.results import Store
from benchmark.execution.runner import run_suite
from benchmark.report import leaderboard
from eventlog._runtime.seeds import check_seed

if TYPE_CHECKING:
    import pandas as pd

    from eventlog import EventLog


def run(
    suite: str = "all",
    *,
    log: EventLog | str | Path | None = None,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    generators: Sequence[str] | None = None,
    profile: str = "default",
    engine: str = "processes",
    workers: int | None = None,
    address: str | None = None,
    shared: str | None = None,
    out: str | Path = "results",
    settings: Sequence[str] = (),
) -> pd.DataFrame:
    """Run a suite and return a row per model cell; `log` replaces the suite's logs, in memory or a
    folder.

    Raises InputError where the suite, the log or a name is wrong.
    """
    if seeds is not None and not isinstance(seeds, int):
        seeds = [check_seed(seed, "a seed") for seed in seeds]
    outcome = run_suite(
        suite,
        log=log,
        tasks=tasks,
        models=models,
        seeds=seeds,
        generators=generators,
        profile=profile,
        engine_name=engine,
        workers=workers,
        address=address,
        shared=shared,
        out=out,
        settings=settings,
    )
    return leaderboard.table(Store(out), outcome.cells)
