"""The leaderboard as data: a row for each model, task, log and source of the training data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.execution.plan import REAL
from benchmark.execution.results import Store
from benchmark.report.aggregate import COSTS, Board, Row, boards

if TYPE_CHECKING:
    import pandas as pd


def leaderboard(results: str | Path | Store) -> pd.DataFrame:
    """Return the leaderboard of a results folder, the best of each task first.

    Columns: `log`, `task`, `source` ("real", or the generator whose log the model learnt from),
    `model`, `family`, `tier`, `rank` with `rank_low` and `rank_high`, `metric`, its `value` with a
    95 % interval `low` to `high`, `headroom` with `headroom_low` and `headroom_high`, the costs
    `fit_cpu_s`, `us_per_query`, `parameters` and `peak_mb`, and how many of the `planned` cells
    are ok (`cells`). What is not known is NaN.
    """
    import pandas as pd

    store = results if isinstance(results, Store) else Store(results)
    return pd.DataFrame(rows(boards(store, store.plan()["cells"])))


def write(found: Sequence[Board], folder: Path) -> None:
    """Write leaderboard.csv, .json and .parquet into `folder`."""
    import pandas as pd

    from eventlog._runtime.files import new_file

    table = pd.DataFrame(rows(found))
    with new_file(folder / "leaderboard.csv") as path:
        table.to_csv(path, index=False)
    with new_file(folder / "leaderboard.json") as path:
        table.to_json(path, orient="records", indent=1)
    with new_file(folder / "leaderboard.parquet") as path:
        table.to_parquet(path, index=False)


def rows(found: Sequence[Board]) -> list[dict[str, Any]]:
    """Return the rows of the leaderboard as plain data."""
    return [row for board in found if board.facts for row in _rows(board)]


def _rows(board: Board) -> Iterator[dict[str, Any]]:
    for row in board.real:
        yield _row(board, row, REAL)
    for source in board.sources:
        for row in board.rows[source].values():
            yield _row(board, row, source)


def _row(board: Board, row: Row, source: str) -> dict[str, Any]:
    low, high = board.interval(row, board.headline, source)
    real = source == REAL
    headroom = board.headroom(row) if real else (math.nan, math.nan, math.nan)
    ranks = board.rank_intervals.get(row.name, (math.nan, math.nan)) if real else (math.nan,) * 2
    return {
        "log": board.log,
        "task": board.task,
        "source": source,
        "model": row.title,
        "family": "ceiling" if row.reference else row.family or "unknown",
        "tier": board.tiers.get(row.name, math.nan) if real else math.nan,
        "rank": board.ranks.get(row.name, math.nan) if real else math.nan,
        "rank_low": ranks[0],
        "rank_high": ranks[1],
        "metric": board.headline,
        "value": row.mean(board.headline),
        "low": low,
        "high": high,
        "headroom": headroom[0],
        "headroom_low": headroom[1],
        "headroom_high": headroom[2],
        **{name: row.cost(name) for name in COSTS},
        "cells": len(row.records),
        "planned": row.planned,
    }
