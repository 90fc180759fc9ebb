"""Show the leaderboard of a results folder on a terminal: a table a task, and what they say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmark.execution.plan import REAL
from benchmark.execution.results import Store
from benchmark.report.aggregate import Board, Row
from benchmark.report.generated import Generated, generated
from benchmark.report.markdown import one_line, percent, ranged, short
from eventlog._runtime import terminal

MODELS = 12  # rows of a table that are shown, the best first


def show(store: Store, found: Sequence[Board]) -> None:
    """Print a table for each board and for the generators, then the sentences that matter."""
    cells = store.plan()["cells"]
    found = [b for b in found if b.facts and REAL not in b.left_out]
    for board in found:
        _board(board)
    for log in dict.fromkeys(c["label"]["log"] for c in cells):
        if mine := generated(store, cells, log):
            _generators(log, mine)
    terminal.say(list(sentences(found)))


def _board(board: Board) -> None:
    head = ["rank", "model", f"{one_line(board.headline)} [95 %]", "headroom", "fit, CPU s"]
    best = board.real[:MODELS]
    rows = [
        [
            _rank(board, row),
            one_line(row.title) + (" (trivial)" if row.name == board.facts["trivial"] else ""),
            _value(board, row),
            percent(board.headroom(row)[0]),
            short(row.cost("fit_cpu_s")),
        ]
        for row in best
    ]
    if all(row[3] == "–" for row in rows):
        head, rows = [*head[:3], head[4]], [[*row[:3], row[4]] for row in rows]
    first = [i for i, row in enumerate(best) if board.tiers.get(row.name) == 1]
    terminal.table(f"{board.task} on {one_line(board.log)}", head, rows, first=first)
    if len(board.real) > MODELS:
        terminal.say([f"  and {len(board.real) - MODELS} more on the page\n"])


def _rank(board: Board, row: Row) -> str:
    return f"{board.ranks[row.name]:g}" if row.name in board.ranks else "–"


def _value(board: Board, row: Row) -> str:
    if not row.records:
        return one_line(row.problems[0])[:60] if row.problems else "–"
    return ranged(row.mean(board.headline), *board.interval(row, board.headline))


def _generators(log: str, mine: Sequence[Generated]) -> None:
    rows = []
    for one in mine:
        seed = next(iter(one.made))
        privacy = (one.judged.get(seed) or {}).get("privacy") or {}
        copied, made = privacy.get("copies"), one.made[seed] or {}
        passed, measured = one.passed(seed)
        rows.append(
            [
                "copies" if one.copies else "–" if one.rank is None else f"{one.rank:g}",
                one_line(one.name),
                f"{passed}/{measured}" if measured else "–",
                f"{copied['risk']:.2f}" if copied else "–",
                "none" if made.get("epsilon") is None else f"{made['epsilon']:.3g}",
                short(made.get("fit_cpu_s", math.nan)),
            ]
        )
    head = ["rank", "generator", "fidelity passed", "copies at risk", "epsilon", "fit, CPU s"]
    terminal.table(f"generators on {one_line(log)}", head, rows)


def sentences(found: Sequence[Board]) -> Iterator[str]:
    """Yield what a reader should take from the tables: who is best, how sure, how far from best."""
    for board in found:
        if not board.names:
            continue
        where = f"{board.task} on {one_line(board.log)}"
        best = board.ranked[0]
        far = board.headroom(best)[0]
        reached = f", {percent(far)} of the way to what the history allows" if far == far else ""
        yield f"{where}: {one_line(best.title)} scores highest{reached}. {_sure(board)}"


def _sure(board: Board) -> str:
    """Return how far the first place of a board can be relied on."""
    if board.one_fit:
        return "Each model was fitted once, so this order may change: --seeds 3 tests it."
    tied = [one_line(n) for n in board.names if board.tiers[n] == 1 and n != board.names[0]]
    if tied:
        return f"Not shown to be worse: {', '.join(tied)}."
    if len(board.names) > 1:
        return "It is ahead of every other model by more than chance."
    return "It is the only one."
