"""Find numbers that are computed from other numbers: of their row, or of rows before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd

from generators.structure.forms import Multiple, tolerance
from generators.structure.formula import Elapsed, Formula, RunningNumber, RunningSum, Scope
from generators.structure.relation import find_presence
from generators.structure.tables import Tables, decimals_of

HOLDS = 0.98  # share of rows from which on a formula is taken for a rule
EXACT = 0.9995  # share from which on no other formula is looked for
PROBE = 64  # rows on which a formula must hold before it is tried on all
FEWEST_ROWS = 30
FEWEST_VALUES = 3  # of a column that is computed
MOST_FACTORS = 8
UNITS_MS = (1, 1000, 60_000, 3_600_000, 86_400_000)


class Numbers:
    """Numeric columns of a log as arrays, with the decimals that each is written with."""

    def __init__(self, tables: Tables, columns: Sequence[str]) -> None:
        self.tables = tables
        self.values = {n: tables.numbers(n) for n in columns}
        self.decimals = {n: decimals_of(v[np.isfinite(v)]) for n, v in self.values.items()}

    def enough(self, column: str) -> bool:
        """Does a column have enough rows and values to tell a rule from chance?"""
        there = self.values[column][np.isfinite(self.values[column])]
        return len(there) >= FEWEST_ROWS and len(np.unique(there[:5000])) >= FEWEST_VALUES


def find_formula(
    numbers: Numbers, column: str, operands: Sequence[str], rng: np.random.Generator
) -> Formula | None:
    """Return the simplest formula of `operands` that gives `column`, None where there is none."""
    value, decimals = numbers.values[column], numbers.decimals[column]
    there = np.flatnonzero(np.isfinite(value))
    probe = np.sort(rng.choice(there, min(PROBE, len(there)), replace=False))
    best, best_share = None, HOLDS
    for terms in _candidates(numbers, column, operands, probe):
        if _share(numbers, value, decimals, terms, probe) < HOLDS - 0.05:
            continue
        share = _share(numbers, value, decimals, terms, there)
        if share > best_share:
            best, best_share = terms, share
        if best_share >= EXACT:
            break
    if best is None:
        return None
    formula = Formula(column=column, decimals=decimals, exceptions=_rate(1 - best_share), **best)
    can = np.isfinite(formula.value(numbers.tables))
    return Formula(
        column=column,
        decimals=decimals,
        exceptions=_rate(1 - best_share),
        present=find_presence(numbers.tables, column, can),
        **best,
    )


def _rate(share: float) -> float:
    return float(share) if share > 1 - EXACT else 0.0


def _candidates(
    numbers: Numbers, column: str, operands: Sequence[str], probe: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield the terms of formulas, simple ones first; a third operand is solved for."""
    value = numbers.values[column][probe]
    columns = {n: numbers.values[n][probe] for n in operands}
    usable = [n for n, v in columns.items() if np.isfinite(v).mean() > HOLDS]
    for a in usable:
        yield {"product": [a]}
        if (scale := _scale(value, columns[a])) is not None:
            yield {"product": [a], "scale": scale}
    products = list(combinations_with_replacement(usable, 2))
    for a, b in products:
        yield {"product": [a, b]}
        if a != b and (scale := _scale(value, columns[a] * columns[b])) is not None:
            yield {"product": [a, b], "scale": scale}
    added = {n: np.nan_to_num(v) for n, v in columns.items() if np.isfinite(v).any()}
    for terms in [[a] for a in usable] + [[a, b] for a, b in products if a != b]:
        rest = value - np.prod([columns[n] for n in terms], axis=0)
        for plus, minus in _sums(rest, {n: v for n, v in added.items() if n not in terms}):
            yield {"product": terms, "plus": plus, "minus": minus}
        for d in [n for n in usable if n not in terms]:
            yield {"product": terms, "less": d}
            yield {"product": terms, "less": d, "percent": True}


def _scale(value: np.ndarray, base: np.ndarray) -> float | None:
    """Return the constant factor between two columns, None where there is none."""
    there = np.isfinite(value) & np.isfinite(base) & (np.abs(base) > 1)
    if there.sum() < 10:
        return None
    ratio = value[there] / base[there]
    scale = float(f"{np.median(ratio):.4g}")
    return scale if scale not in (0.0, 1.0) and np.ptp(ratio) < 0.1 * abs(scale) else None


def _sums(
    rest: np.ndarray, columns: dict[str, np.ndarray]
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield which one or two of `columns`, added or subtracted, come near to `rest`."""

    def near(value: np.ndarray) -> bool:
        return bool((np.abs(rest - value) < 0.02).mean() > HOLDS - 0.05)

    for n, v in columns.items():
        if near(v):
            yield [n], []
        if near(-v):
            yield [], [n]
    for (a, v), (b, w) in combinations(columns.items(), 2):
        for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            if near(s * v + t * w):
                pair = ((a, s), (b, t))
                yield [n for n, k in pair if k > 0], [n for n, k in pair if k < 0]


def _share(
    numbers: Numbers,
    value: np.ndarray,
    decimals: int,
    terms: dict[str, Any],
    rows: np.ndarray,
) -> float:
    """Return the share of `rows` (m,) on which a formula holds."""
    made = np.full(len(rows), terms.get("scale", 1.0))
    for n in terms["product"]:
        made = made * numbers.values[n][rows]
    if "less" in terms:
        made = made * (1 - numbers.values[terms["less"]][rows] / (100 if "percent" in terms else 1))
    for n in terms.get("plus", ()):
        made = made + np.nan_to_num(numbers.values[n][rows])
    for n in terms.get("minus", ()):
        made = made - np.nan_to_num(numbers.values[n][rows])
    wanted = value[rows]
    # a formula that gives no number for a row does not hold for it
    return float((np.abs(made - wanted) <= tolerance(wanted, decimals)).mean())


def find_multiple(numbers: Numbers, column: str, bases: Sequence[str]) -> Multiple | None:
    """Return the base of which `column` is a few multiples, None where there is none."""
    value, decimals = numbers.values[column], numbers.decimals[column]
    for base in bases:
        of = numbers.values[base]
        there = np.isfinite(value) & np.isfinite(of) & (np.abs(of) > 10.0 ** (1 - decimals))
        if there.sum() < FEWEST_ROWS or there.sum() < HOLDS * np.isfinite(value).sum():
            continue
        v, b = value[there], of[there]
        left = np.ones(len(v), dtype=bool)
        factors: list[float] = []
        large = b >= np.quantile(b, 0.5)  # rounding hides the factor of small numbers
        while left.any() and len(factors) < MOST_FACTORS:
            ratio = (v / b)[left & large] if (left & large).any() else (v / b)[left]
            names, count = np.unique(ratio.round(3), return_counts=True)
            factor = float(names[count.argmax()])
            hit = left & (np.abs(v - b * factor) <= tolerance(v, decimals))
            if hit.sum() < max(FEWEST_ROWS, 0.005 * len(v)):
                break
            factors.append(factor)
            left &= ~hit
        if len(factors) > 1 and left.mean() < 1 - HOLDS:
            return Multiple(
                column=column,
                of=base,
                factors=factors,
                decimals=decimals,
                exceptions=_rate(float(left.mean())),
            )
    return None


def find_running_sum(numbers: Numbers, column: str, operands: Sequence[str]) -> RunningSum | None:
    """Return what `column` counts or adds up within users or sessions."""
    tables, value = numbers.tables, numbers.values[column]
    there = np.isfinite(value)
    scopes: tuple[Scope, ...] = ("session", "user")
    for scope in scopes:
        group = tables.group(scope)
        rows = np.flatnonzero(there & (group >= 0))
        if len(rows) < FEWEST_ROWS or len(rows) < HOLDS * there.sum():
            continue
        for before in (False, True):
            found = _sum_of(numbers, column, rows, group, scope, before, operands)
            if found is not None:
                return found
    return None


def _sum_of(
    numbers: Numbers,
    column: str,
    rows: np.ndarray,
    group: np.ndarray,
    scope: Scope,
    before: bool,
    operands: Sequence[str],
) -> RunningSum | None:
    """Try one scope: compare the steps of `column` with what each row would add."""
    tables, value = numbers.tables, numbers.values[column]
    of = pd.Series(value[rows]).groupby(group[rows])
    step = of.diff().to_numpy()
    known = np.isfinite(step)
    if known.sum() < FEWEST_ROWS or (step[known] < 0).mean() > 1 - HOLDS:
        return None
    # the row whose own amount a step shows
    shown = rows if not before else _previous(rows, group)
    event = np.where(shown >= 0, tables.event[shown], "")
    names, code = np.unique(event[known].astype(str), return_inverse=True)
    moves = np.bincount(code, np.abs(step[known]) > 0, minlength=len(names)) / np.bincount(code)
    if not (moves > 0.5).any():
        return None
    events = None if (moves > 0.5).all() else [str(n) for n in names[moves > 0.5]]
    counts = np.ones(len(rows), bool) if events is None else np.isin(event, events)
    decimals = numbers.decimals[column]
    amounts: list[tuple[str | None, np.ndarray, float]] = [
        (None, np.ones(len(rows)), float(np.median(step[known & counts])))
    ]
    amounts += [
        (n, np.nan_to_num(numbers.values[n][shown]), 1.0)
        for n in operands
        if n != column and np.ptp(step[known & counts]) > 0
    ]
    for name, amount, size in amounts:
        made = np.where(counts, amount * size, 0.0)[known]
        close = np.abs(made - step[known]) <= 2.2 * tolerance(step[known], decimals)
        if close.mean() < HOLDS or size == 0 or len(np.unique(value[rows])) < FEWEST_VALUES:
            continue
        first = ~known
        begun = value[rows][first] - (0 if before else np.where(counts, amount * size, 0.0)[first])
        start = float(np.median(begun))
        if (np.abs(begun - start) <= 2.2 * tolerance(begun, decimals)).mean() < HOLDS:
            continue
        can = group >= 0
        return RunningSum(
            column=column,
            scope=scope,
            of=name,
            events=events,
            before=before,
            start=start,
            step=size,
            decimals=decimals,
            exceptions=_rate(float(1 - close.mean())),
            present=find_presence(tables, column, can),
        )
    return None


def _previous(rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return for each of `rows` (m,) the one before it in its group, -1 = none."""
    before = pd.Series(rows).groupby(group[rows]).shift()
    return before.fillna(-1).to_numpy().astype(np.int64)


def find_elapsed(numbers: Numbers, column: str) -> Elapsed | None:
    """Return the beginning since which `column` counts time."""
    tables, value = numbers.tables, numbers.values[column]
    there = np.isfinite(value)
    for since in ("previous", "session", "user", "epoch"):
        for unit in UNITS_MS:
            for decimals in (-1, min(numbers.decimals[column], 6)):
                elapsed = Elapsed(column=column, since=since, unit_ms=unit, decimals=decimals)
                made = elapsed.value(tables)
                near = np.abs(made - value)[there] <= tolerance(value[there], max(decimals, 0))
                if near.mean() > HOLDS:
                    present = find_presence(tables, column, np.isfinite(made))
                    return Elapsed(
                        column=column,
                        since=since,
                        unit_ms=unit,
                        decimals=decimals,
                        exceptions=_rate(float(1 - near.mean())),
                        present=present,
                    )
    return None


def find_running_number(numbers: Numbers, column: str, steps_of: Any) -> RunningNumber | None:
    """Return the numbering of rows that `column` is: distinct whole numbers that rise with time."""
    tables, value = numbers.tables, numbers.values[column]
    if not np.isfinite(value).all() or numbers.decimals[column] > 0 or len(value) < FEWEST_ROWS:
        return None
    order = np.lexsort((value, tables.time))
    step = np.diff(value[order])
    if len(np.unique(value)) < len(value) or (step > 0).mean() < HOLDS:
        return None
    return RunningNumber(
        column=column,
        first=beyond(float(value.max())),
        steps=steps_of(step, tables.user[order[1:]]),
    )


def beyond(highest: float) -> float:
    """Return a round number above `highest`."""
    return float(10.0 ** np.ceil(np.log10(max(highest, 1.0) + 1)))
