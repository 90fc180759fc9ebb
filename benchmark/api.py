"""`benchmark.run`: run a suite from Python and get its results as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.execution.results import Store
from benchmark.execution.runner import run_suite
from benchmark.report import frame, leaderboard
from eventlog._runtime.seeds import check_seed

if TYPE_CHECKING:
    from eventlog import EventLog


class Results(pd.DataFrame):
    """What `run` returns: a row for each model or reference cell, from the folder `folder`."""

    _metadata = ("folder",)
    folder: str

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame  # what is cut from it is a plain frame

    def leaderboard(self) -> pd.DataFrame:
        """Return a row for each model and task, the best first, with intervals, rank and costs.

        `benchmark.report.frame.leaderboard` describes the columns.
        """
        return frame.leaderboard(self.folder)

    def page(self) -> Path:
        """Write the leaderboard's page into the results folder and return its path."""
        folder = Path(self.folder)
        return leaderboard.write(Store(folder), folder).parent / "leaderboard" / "index.html"


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
    track: Sequence[str] = (),
) -> Results:
    """Run a suite, and return a row for each model or reference cell.

    `run(...).leaderboard()` is the table of the models, `run(...).page()` the page with its plots.

    Args:
        suite: the name of a suite, or the path of a TOML file.
        log: replaces the suite's logs; in memory, or a folder.
        tasks, models, generators: replace the suite's; names or paths of files. With tasks or
            models alone no generator is trained.
        seeds: how many (3 means 0, 1 and 2), or which.
        profile: "smoke", "default", "published" or "full".
        engine: "processes", "serial" or "dask"; see `benchmark.execution.engines`.
        workers: cells at a time (default: cores).
        address: the scheduler of a Dask cluster.
        shared: a URL where workers without a common disk keep logs and data.
        out: the results folder; finished cells are found there and not run again.
        settings: further settings, such as "settings.models.lstm.budget=5".
        track: experiment trackers that get each model's result: "mlflow", "tensorboard", "wandb".

    Raises InputError where the suite, the log, a name or a setting is wrong.
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
        track=track,
    )
    results = Results(leaderboard.table(Store(out), outcome.cells))
    results.folder = str(out)
    return results
