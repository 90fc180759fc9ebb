"""What changed between two results folders, and whether it is more than noise."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from . import statistics
from .board import Row, boards
from .results import Store


def lines(a: Store, b: Store) -> Iterator[str]:
    """One line per row that stands in both (paired where the test questions are the same), and one per row that stands in one only."""
    rows_a, rows_b = _rows(a), _rows(b)
    found = []
    for name in sorted(rows_a.keys() & rows_b.keys()):
        (one, metric, test_a), (two, _, test_b) = rows_a[name], rows_b[name]
        if not one.complete or not two.complete:
            yield f"{name}: incomplete ({len(one.records)}/{one.planned} against {len(two.records)}/{two.planned} cells)"
            continue
        before, after = one.mean(metric), two.mean(metric)
        first = one.replicates(metric)
        replicates = two.replicates(metric) - (first if test_a == test_b else np.random.default_rng(0).permutation(first))
        found.append((name, metric, before, after, test_a == test_b, statistics.p_value(after - before, replicates)))
    for (name, metric, before, after, same, _), p in zip(found, statistics.holm([f[-1] for f in found]), strict=True):
        if before == after:
            verdict = "the same"
        else:
            verdict = f"changed (p {p:.2g})" if p < 0.05 else f"within noise (p {p:.2g})"
        where = "" if same else ", on other questions"
        yield f"{name}: {metric} {_number(before)} -> {_number(after)} ({after - before:+.4f}), {verdict}{where}"
    for name in sorted(rows_a.keys() - rows_b.keys()):
        yield f"{name}: only in {a.folder}"
    for name in sorted(rows_b.keys() - rows_a.keys()):
        yield f"{name}: only in {b.folder}"


def _rows(store: Store) -> dict[str, tuple[Row, str, str]]:
    """Name -> row, its headline metric, and what identifies the test questions."""
    plan = store.plan()
    digests = {c["label"]["log"]: (store.latest(c["key"]) or {}).get("digest", "") for c in plan["cells"] if c["kind"] == "log"}
    return {
        f"{board.log} {board.task} {row.name}{'' if source == 'real' else f' trained on {source}'}":
            (row, board.headline, f"{digests.get(board.log)} {board.facts['questions']}")
        for board in boards(store, plan["cells"]) if board.facts
        for source, rows in board.rows.items() for row in rows.values()
    }


def _number(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:.4f}"
