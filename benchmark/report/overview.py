"""What holds over several tables: mean headroom, whether order matters, simulated and real logs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmark.evaluation import orders, statistics
from benchmark.evaluation.statistics import Comparison, Fits
from benchmark.execution.plan import REAL
from benchmark.execution.results import unpack
from benchmark.report.aggregate import SEED, Board, Row
from benchmark.report.markdown import number, plain, ranged, table

MIN_TABLES = 5  # over which a mean headroom is shown
SHUFFLED = (
    "The best sequence row of each task, asked again with the rows of each user's history in a "
    "random order (times stay sorted, so the model reads the same events in another order). The "
    "share lost is counted from the score of a constant. This shuffles at test time only: a model "
    "that was trained on shuffled histories might lose less (Klenitskiy et al., arXiv 2408.12008; "
    "EBES, arXiv 2410.03399)."
)


def lines(boards: Sequence[Board]) -> Iterator[str]:
    """Yield the sections over all tables; each only where it has something to say."""
    ready = [b for b in boards if b.facts and b.ranked]
    yield from _mean_headroom(ready)
    yield from _order_matters(ready)
    yield from _simulated_and_real(ready)


def mean_headroom(boards: Sequence[Board]) -> dict[str, tuple[float, float, float, int]]:
    """Return model -> mean headroom over the tables it entered, its interval, and their number.

    Only models with MIN_TABLES tables, the highest mean first. The interval is over users and fits;
    it says nothing of other tables.
    """
    drawn: dict[str, list[np.ndarray]] = {}
    value: dict[str, list[float]] = {}
    for board in boards:
        for row in board.ranked:
            found = board.headroom(row)[0]
            if math.isfinite(found):
                value.setdefault(row.name, []).append(found)
                drawn.setdefault(row.name, []).append(board.headroom_draws(row))
    out = {}
    for name, values in value.items():
        if len(values) >= MIN_TABLES:
            b = min(len(d) for d in drawn[name])
            mean = np.mean([d[:b] for d in drawn[name]], axis=0)
            out[name] = (float(np.mean(values)), *statistics.interval(mean), len(values))
    return dict(sorted(out.items(), key=lambda pair: (-pair[1][0], pair[0])))


def _mean_headroom(boards: Sequence[Board]) -> Iterator[str]:
    found = mean_headroom(boards)
    if not found:
        return
    yield "## Over all tables"
    yield ""
    yield (
        f"Mean headroom of the models that entered at least {MIN_TABLES} tables with a ceiling. "
        "Models that entered other tables are not compared by it."
    )
    yield ""
    yield from table(
        ["model", "mean headroom [95 %]", "tables"],
        (
            [plain(name), ranged(value, low, high, share=True), str(tables)]
            for name, (value, low, high, tables) in found.items()
        ),
    )


def best_shuffled(board: Board) -> Row | None:
    """Return the best sequence row that was asked with shuffled histories, or None."""
    return next(
        (
            row
            for row in board.ranked
            if row.family == "sequence" and all(r.get("shuffled") for r in row.records)
        ),
        None,
    )


def lost(board: Board, row: Row) -> tuple[float, float, float]:
    """Return the share of a row's score above chance that shuffling costs, and its interval.

    NaN where the score is not above chance.
    """
    fits = [_lost_of_fit(r, board.headline) for r in row.records]
    values = np.array([value for value, _ in fits])
    if not np.isfinite(values).all():
        return math.nan, math.nan, math.nan
    found = Comparison(
        {row.name: Fits(values, np.stack([drawn for _, drawn in fits]))},
        np.random.default_rng(SEED),
    )
    return float(values.mean()), *found.interval(row.name)


def _lost_of_fit(record: dict[str, Any], metric: str) -> tuple[float, np.ndarray]:
    found, chance = record["shuffled"], float(record["chance"])
    true, shuffled = found["true"][metric], found["metrics"][metric]
    if true is None or shuffled is None or not true > chance:
        return math.nan, np.array([math.nan])
    before = unpack(found["true_replicates"][metric])
    after = unpack(found["replicates"][metric])
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.where(before > chance, (before - after) / (before - chance), np.nan)
    return (true - shuffled) / (true - chance), drawn


def _order_matters(boards: Sequence[Board]) -> Iterator[str]:
    found = [(board, row) for board in boards if (row := best_shuffled(board)) is not None]
    if not found:
        return
    yield "## Does order matter?"
    yield ""
    yield SHUFFLED
    yield ""
    yield from table(
        ["task", "log", "model", "measure", "true order", "shuffled", "lost [95 %]", ""],
        (_shuffled_row(board, row) for board, row in found),
    )


def _shuffled_row(board: Board, row: Row) -> list[str]:
    share, low, high = lost(board, row)
    verdict = (
        "not above chance"
        if not math.isfinite(share)
        else "order matters"
        if low > 0
        else "**loses nothing that shows**"
    )
    true, shuffled = (
        float(np.mean([r["shuffled"][part][board.headline] or math.nan for r in row.records]))
        for part in ("true", "metrics")
    )
    return [
        plain(board.task),
        plain(board.log),
        plain(row.title),
        plain(board.headline),
        number(true),
        number(shuffled),
        ranged(share, low, high, share=True),
        verdict,
    ]


def _simulated_and_real(boards: Sequence[Board]) -> Iterator[str]:
    rows = []
    for one in (b for b in boards if b.simulated):
        for two in (b for b in boards if not b.simulated and b.task == one.task):
            names = [n for n in one.names if n in two.values]
            found = orders.agreement(one.compared(REAL), two.compared(REAL), names)
            if found is not None:
                rows.append(
                    [
                        plain(one.task),
                        plain(one.log),
                        plain(two.log),
                        f"{found.tau:.2f} [{found.low:.2f}, {found.high:.2f}]",
                        str(found.models),
                    ]
                )
    if not rows:
        return
    yield "## Does the simulated shop put the models in the same order as real logs?"
    yield ""
    yield (
        "Kendall's tau between the orders of the models that both tables rank: 1 is the same "
        "order, 0 none in common, −1 the reverse. The interval holds for the true orders; where "
        "it is wide, the models are too close on one of the logs to say."
    )
    yield ""
    yield from table(["task", "simulated", "real", "Kendall tau [95 %]", "models"], rows)
