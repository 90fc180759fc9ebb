"""The section of one task on one log: its models, what they are made of, and what is claimed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.execution.plan import REAL
from benchmark.report.aggregate import COSTS, FAMILIES, HISTORY, Board, Row, curves
from benchmark.report.markdown import code, number, plain, ranged, short, table
from eventlog._runtime.text import one_line

TITLES = {
    "fit_cpu_s": "fit, CPU s",
    "us_per_query": "µs/query",
    "parameters": "parameters",
    "peak_mb": "memory, MiB",
}


def section(board: Board, costs: bool) -> Iterator[str]:
    """Yield the section of a board; `costs` shows what depends on the machine's speed."""
    yield f"### {plain(board.task.capitalize())} on {code(board.log)}"
    yield ""
    if REAL in board.left_out or not board.facts:
        reason = board.left_out.get(REAL, "its questions could not be prepared")
        yield f"Left out: {plain(reason)}."
        yield ""
        return
    yield from _questions(board)
    shown = [m for m in board.facts["shown"] if m != board.headline]
    columns = _columns(board, shown, costs)
    yield from table(
        [title for title, _ in columns],
        ([cell(row) for _, cell in columns] for row in board.real),
    )
    yield from _claims(board)
    yield from _notes(board)


def _questions(board: Board) -> Iterator[str]:
    facts = board.facts
    base_rate = facts.get("base_rate")  # none where an item is asked for
    rate = f", {base_rate:.2%} positive" if base_rate is not None else ""
    yield (
        f"{facts['train']:,} questions to learn from, {facts['test']:,} to be tested on, "
        f"of {facts['test_users']:,} users{rate}."
    )
    yield ""
    for text in facts.get("suspected", ()):
        yield f"**A leak?** {plain(text)}"
        yield ""


def _columns(board: Board, shown: Sequence[str], costs: bool) -> list[tuple[str, Any]]:
    """Return (title, function of a row) for each column."""
    real = board.real
    columns: list[tuple[str, Any]] = []
    if not board.one_fit:
        columns.append(("tier", lambda row: str(board.tiers.get(row.name, "–"))))
    columns += [
        ("rank" if board.one_fit else "rank [95 %]", lambda row: _rank(board, row)),
        ("model", lambda row: _name(board, row)),
    ]
    if any(row.family for row in real):
        columns.append(("family", lambda row: plain(row.family) or "–"))
    columns.append((f"{plain(board.headline)} [95 %]", lambda row: _value(board, row)))
    if any(curves(row) for row in real):
        columns.append(("validation: start → best (step)", _training))
    columns += [(plain(m), lambda row, m=m: plus_minus(board, row, m)) for m in shown]
    if any(math.isfinite(board.headroom(row)[0]) for row in real):
        columns.append(("headroom [95 %]", lambda row: ranged(*board.headroom(row), share=True)))
    if costs:
        columns += [(TITLES[c], lambda row, c=c: short(row.cost(c))) for c in COSTS]
    columns.append(("cells", lambda row: f"{len(row.records)}/{row.planned}"))
    return columns


def _rank(board: Board, row: Row) -> str:
    if row.flags and not row.reference:
        return "flagged"
    if row.name not in board.ranks:
        return "–"
    found = board.rank_intervals.get(row.name)
    return f"{board.ranks[row.name]:g}" + (f" [{found[0]}, {found[1]}]" if found else "")


def _name(board: Board, row: Row) -> str:
    name = plain(row.title)
    if row.reference:
        return f"*{name}*"
    marks = []
    if row.name == board.facts["trivial"]:
        marks.append("trivial")
    kept = sum(curve["best"] == 0 for curve in curves(row))
    if kept:
        marks.append(
            "kept its start"
            if kept == len(row.records)
            else f"kept its start in {kept} of {len(row.records)} fits"
        )
    return f"{name} ({', '.join(marks)})" if marks else name


def _value(board: Board, row: Row) -> str:
    if not row.records:
        return plain("; ".join(sorted(set(row.problems)))[:160])
    return ranged(row.mean(board.headline), *board.interval(row, board.headline))


def plus_minus(board: Board, row: Row, metric: str) -> str:
    """Return a metric with half the width of its interval, where it has one."""
    low, high = board.interval(row, metric) if row.records else (math.nan, math.nan)
    value = number(row.mean(metric))
    return (
        f"{value} ± {number((high - low) / 2)}"
        if math.isfinite(high - low) and value != "–"
        else value
    )


def _training(row: Row) -> str:
    found = curves(row)
    if not found:
        return "–"
    start = sum(c["values"][0] for c in found) / len(found)
    best = sum(c["values"][c["best"]] for c in found) / len(found)
    steps = sorted(c["steps"][c["best"]] for c in found)
    at = f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,}–{steps[-1]:,}"
    return f"{number(start)} → {number(best)} ({at})"


def _claims(board: Board) -> Iterator[str]:
    """Yield what the table can tell apart, and what it cannot."""
    if len(board.names) > 1 and board.one_fit:
        yield (
            "Each model was fitted once: the table is of this one fit, intervals are over users "
            "only, and there are no tiers."
        )
    if math.isfinite(board.resolvable):
        users = ", even between these fits" if board.one_fit else ""
        yield (
            f"Differences in {plain(board.headline)} below {short(board.resolvable)} cannot be "
            f"told apart here{users} (found in 80 % of the cases at that size)."
        )
    best = {row.family: row for row in reversed(board.ranked) if row.family in FAMILIES}
    if len(best) > 1:
        parts = (
            f"{family} {plain(best[family].title)} {number(best[family].mean(board.headline))}"
            for family in FAMILIES
            if family in best
        )
        yield f"Best of each family: {', '.join(parts)}."
    cuts = board.stability()
    if cuts:
        yield (
            f"Order of the {len(board.by_seed)} models under two disjoint sets of seeds: Kendall "
            f"tau {sum(cuts) / len(cuts):.2f} on average over {len(cuts)} "
            f"way{'s' if len(cuts) > 1 else ''} to cut the seeds in two, {min(cuts):.2f} at the "
            "least."
        )
    yield ""


def _notes(board: Board) -> Iterator[str]:
    """Yield a line for each row that is flagged, each ceiling, and rows with equal answers."""
    notes = []
    for row in board.real:
        if not row.reference:
            notes += [f"- {plain(row.title)} is not ranked: {plain(flag)}" for flag in row.flags]
    for row in board.real:
        provenance = dict.fromkeys(
            one_line(r["provenance"]) for r in row.records if r.get("provenance")
        )
        notes += [f"- *{plain(row.title)}*: {plain(text)}" for text in provenance]
    if any(row.reference for row in board.real) and HISTORY not in board.rows[REAL]:
        notes.append("- There is no ceiling of what the history allows, so no headroom is given.")
    notes += [
        f"- {' and '.join(map(plain, names))}: equal answers, the same order of all questions."
        for names in equal_answers(board)
    ]
    notes += [
        f"- {' and '.join(map(plain, names))} agree in {plain(board.headline)}, though their "
        "answers differ."
        for names in equal_by_chance(board)
    ]
    yield from notes
    if notes:
        yield ""


def equal_answers(board: Board) -> list[list[str]]:
    """Return the rows whose answers order the questions alike in every fit, if records say so."""
    same: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in board.real:
        if answers := _answers(row):
            same[answers].append(row.title)
    return [names for names in same.values() if len(names) > 1]


def equal_by_chance(board: Board) -> list[list[str]]:
    """Return the rows whose headline agrees in all digits that are shown, by other answers."""
    same: dict[str, list[Row]] = defaultdict(list)
    for row in board.real:
        if _answers(row):
            same[number(row.mean(board.headline))].append(row)
    return [
        [row.title for row in rows]
        for rows in same.values()
        if len({_answers(row) for row in rows}) > 1
    ]


def _answers(row: Row) -> tuple[str, ...]:
    """Return the hash of each fit's answers; none where a record lacks it."""
    hashes = tuple(str(r["answers"]) for r in row.records if r.get("answers"))
    return hashes if len(hashes) == len(row.records) else ()
