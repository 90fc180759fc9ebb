"""Find numbers that are computed from other numbers: of their row, or of rows before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, permutations, product
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from generators.structure.finding.evidence import find_presence
from generators.structure.relations.forms import Multiple, tolerance
from generators.structure.relations.formula import (
    Elapsed,
    Formula,
    RunningNumber,
    RunningSum,
    Scope,
    Since,
    divided,
)
from generators.structure.tables import Tables, decimals_of

HOLDS = 0.98  # share of rows from which on a formula is taken for a rule
EXACT = 0.9995  # share from which on no other formula is looked for
PROBE = 64  # rows on which a formula must hold before it is tried on all
FEWEST_ROWS = 30
FEWEST_VALUES = 3  # of a column that is computed
MOST_FACTORS = 8
FEWEST_STEPS = 20  # of a column's last digit in its range, before a line through it is a rule
NEAR = 0.02  # of amounts: what rounding may leave of a sum
FEWEST_OF_PROBE = 10
SINCE: tuple[Since, ...] = ("previous", "session", "user", "epoch")
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
    numbers: Numbers,
    column: str,
    operands: Sequence[str],
    rng: np.random.Generator,
    *,
    ratios: bool = False,
) -> Formula | None:
    """Return the simplest formula of `operands` that gives `column`, None where there is none.

    With `ratios` it is one that divides; any ratio may be a product that is read backwards.
    """
    value, decimals = numbers.values[column], numbers.decimals[column]
    there = np.flatnonzero(np.isfinite(value))
    probe = np.sort(rng.choice(there, min(PROBE, len(there)), replace=False))
    best, best_share = None, HOLDS
    candidates = _ratios if ratios else _candidates
    for terms in candidates(numbers, column, operands, probe):
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


def _at(
    numbers: Numbers, column: str, operands: Sequence[str], probe: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    """Return the values of a column and of operands in some rows, and which operands are usable."""
    columns = {n: numbers.values[n][probe] for n in operands}
    usable = [n for n, v in columns.items() if np.isfinite(v).mean() > HOLDS]
    return numbers.values[column][probe], columns, usable


def _candidates(
    numbers: Numbers, column: str, operands: Sequence[str], probe: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield the terms of formulas, simple ones first; a third operand is solved for."""
    value, columns, usable = _at(numbers, column, operands, probe)
    for a in usable:
        yield {"product": [a]}
        if (scale := _scale(value, columns[a])) is not None:
            yield {"product": [a], "scale": scale}
        if (line := _line(value, columns[a], numbers.decimals[column])) is not None:
            yield {"product": [a], "scale": line[0], "offset": line[1]}
    products = list(combinations_with_replacement(usable, 2))
    for a, b in products:
        yield {"product": [a, b]}
        if a != b and (scale := _scale(value, columns[a] * columns[b])) is not None:
            yield {"product": [a, b], "scale": scale}
    reductions = [
        (n, percent)
        for percent, most in ((False, 1), (True, 100))
        for n in usable
        if np.nanmin(columns[n]) >= 0 and np.nanmax(columns[n]) <= most and numbers.enough(n)
    ]
    added = {n: np.nan_to_num(v) for n, v in columns.items() if np.isfinite(v).any()}
    for terms in [[a] for a in usable] + [[a, b] for a, b in products if a != b]:
        rest = value - np.prod([columns[n] for n in terms], axis=0)
        for plus, minus in _sums(rest, {n: v for n, v in added.items() if n not in terms}):
            yield {"product": terms, "plus": plus, "minus": minus}
        for d, percent in reductions:
            if d not in terms:
                yield {"product": terms, "less": d, "percent": percent}


def _ratios(
    numbers: Numbers, column: str, operands: Sequence[str], probe: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield the terms of formulas that divide one operand by another."""
    value, columns, usable = _at(numbers, column, operands, probe)
    for a, b in permutations(usable, 2):
        ratio = divided(columns[a], columns[b])
        yield {"product": [a], "per": b}
        if (line := _line(value, ratio, numbers.decimals[column])) is not None:
            yield {"product": [a], "per": b, "scale": line[0], "offset": line[1]}


def _scale(value: np.ndarray, base: np.ndarray) -> float | None:
    """Return the constant factor between two columns, None where there is none."""
    there = np.isfinite(value) & np.isfinite(base) & (np.abs(base) > 1)
    if there.sum() < 10:
        return None
    ratio = value[there] / base[there]
    scale = float(f"{np.median(ratio):.4g}")
    return scale if scale not in (0.0, 1.0) and np.ptp(ratio) < 0.1 * abs(scale) else None


def _line(value: np.ndarray, base: np.ndarray, decimals: int) -> tuple[float, float] | None:
    """Return factor and offset of the line through two columns, None where there is none."""
    there = np.isfinite(value) & np.isfinite(base)
    v, b = value[there], base[there]
    # through few steps of rounding many lines lead
    if len(v) < 10 or np.ptp(b) == 0 or np.ptp(v) < FEWEST_STEPS * 10.0**-decimals:
        return None
    if abs(np.corrcoef(v, b)[0, 1]) < 0.9:
        return None
    factor, offset = (float(f"{k:.3g}") for k in np.polyfit(b, v, 1))
    if abs(offset) < 0.5 * 10.0**-decimals:
        offset = 0.0
    if factor == 0:
        return None
    close = np.abs(b * factor + offset - v) <= tolerance(v, decimals)
    return (factor, offset) if close.mean() > HOLDS - 0.05 else None


def _sums(
    rest: np.ndarray, columns: dict[str, np.ndarray]
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield which one or two of `columns`, added or subtracted, come near to `rest`."""

    names = [(n, sign) for sign in (1, -1) for n in columns]
    there = np.flatnonzero(np.isfinite(rest))
    if not names or len(there) < HOLDS * len(rest) - 1:
        return
    signed = np.array([sign * columns[n] for n, sign in names])
    close = np.abs(rest - signed) < NEAR
    for k in np.flatnonzero(close.mean(1) > HOLDS - 0.05):
        yield _plus_and_minus([names[k]])
    # a few rows are enough to rule out nearly all pairs
    few = there[np.argsort(-np.abs(rest[there]), kind="stable")[:6]]
    pairs = np.abs(rest[few] - signed[:, None, few] - signed[None, :, few]) < NEAR
    for i, j in np.argwhere(np.triu(pairs.sum(2) >= len(few) - 1, 1)):
        close = np.abs(rest - signed[i] - signed[j]) < NEAR
        if names[i][0] != names[j][0] and close.mean() > HOLDS - 0.05:
            yield _plus_and_minus([names[i], names[j]])


def _plus_and_minus(terms: list[tuple[str, int]]) -> tuple[list[str], list[str]]:
    return [n for n, sign in terms if sign > 0], [n for n, sign in terms if sign < 0]


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
    if "per" in terms:
        made = divided(made, numbers.values[terms["per"]][rows])
    if "less" in terms:
        made = made * (1 - numbers.values[terms["less"]][rows] / (100 if "percent" in terms else 1))
    for n in terms.get("plus", ()):
        made = made + np.nan_to_num(numbers.values[n][rows])
    for n in terms.get("minus", ()):
        made = made - np.nan_to_num(numbers.values[n][rows])
    made = made + terms.get("offset", 0.0)
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


def find_running_sum(
    numbers: Numbers, probe: Numbers, column: str, operands: Sequence[str]
) -> RunningSum | None:
    """Return what `column` counts or adds up within users, sessions or orders.

    It is looked for in `probe`, the numbers of a few users, and must hold in all.
    """
    tables, value = numbers.tables, numbers.values[column]
    there = np.isfinite(value)
    scopes: tuple[Scope, ...] = ("session", "user", "order")
    for scope, before in product(scopes, (False, True)):
        group = tables.group(scope)
        rows = there & (group >= 0)
        if rows.sum() < FEWEST_ROWS or rows.sum() < HOLDS * there.sum():
            continue
        for found in _sums_of(probe, column, scope, before, operands):
            near = np.abs(found.value(tables) - value)[rows]
            # rounding may add up, as where a sum has more decimals than its column
            share = (near <= 2.2 * tolerance(value[rows], found.decimals)).mean()
            if share >= HOLDS:
                return msgspec.structs.replace(
                    found,
                    exceptions=_rate(float(1 - share)),
                    present=find_presence(tables, column, group >= 0),
                )
    return None


def _sums_of(
    numbers: Numbers, column: str, scope: Scope, before: bool, operands: Sequence[str]
) -> Iterator[RunningSum]:
    """Yield sums by which `column` may move: what each row would add beside what it moves by."""
    tables, value = numbers.tables, numbers.values[column]
    group = tables.group(scope)
    rows = np.flatnonzero(np.isfinite(value) & (group >= 0))
    step = pd.Series(value[rows]).groupby(group[rows]).diff().to_numpy()
    known = np.isfinite(step)
    if known.sum() < FEWEST_OF_PROBE or len(np.unique(value[rows])) < FEWEST_VALUES:
        return
    # the row whose own amount a step shows
    shown = rows if not before else _previous(rows, group)
    event = np.where(shown >= 0, tables.event[shown], "").astype(str)
    names, code = np.unique(event, return_inverse=True)
    decimals = numbers.decimals[column]
    moves = np.ptp(step[known]) > 0
    amounts: list[tuple[str | None, np.ndarray]] = [(None, np.ones(len(rows)))]
    amounts += [
        (n, np.nan_to_num(numbers.values[n][shown])) for n in operands if n != column and moves
    ]
    for name, amount in amounts:
        factor = _factors(step, amount, code, known)
        made = factor[code] * amount
        close = np.abs(made - step)[known] <= 2.2 * tolerance(step[known], decimals)
        if close.mean() < HOLDS or not (factor != 0).any():
            continue
        begun = value[rows][~known] - (0 if before else made[~known])
        usual = float(np.median(begun).round(decimals))
        # rows of other events may have no value; then they cannot be told from those that add none
        some = [str(n) for n, f in zip(names, factor, strict=True) if f != 0 and n]
        main = float(np.median(factor[factor != 0]))
        main = min(factor[factor != 0], key=lambda f: abs(f - main))
        steps = {n: float(f) for n, f in zip(names, factor, strict=True) if f not in (0, main)}
        everywhere = len(some) == len(names[names != ""])
        for events in (None, some) if everywhere else (some,):
            yield RunningSum(
                column=column,
                scope=scope,
                of=name,
                events=events,
                before=before,
                start=usual,
                step=float(main),
                steps={n: f for n, f in steps.items() if n},
                decimals=decimals,
            )


def _factors(
    step: np.ndarray, amount: np.ndarray, code: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """Return for each event (code) the usual ratio of a step to the amount of its row."""
    there = known & (amount != 0)
    ratio = pd.Series(step[there] / amount[there]).groupby(code[there]).median()
    out: np.ndarray = ratio.reindex(np.arange(code.max(initial=-1) + 1)).to_numpy()
    return np.array([float(f"{f:.4g}") for f in np.nan_to_num(out)])


def _previous(rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return for each of `rows` (m,) the one before it in its group, -1 = none."""
    before = pd.Series(rows).groupby(group[rows]).shift()
    return before.fillna(-1).to_numpy().astype(np.int64)


def find_elapsed(
    numbers: Numbers, probe: Numbers, column: str, *, distance: bool
) -> Elapsed | None:
    """Return the beginning since which `column` counts time; a `distance` counts it backwards."""
    decimals = min(numbers.decimals[column], 6)
    for since, unit, d in product(SINCE, UNITS_MS, (-1, decimals)):
        if distance and (since == "epoch" or d < 0 or unit < 1000):
            continue
        elapsed = Elapsed(column=column, since=since, unit_ms=unit, decimals=d, negative=distance)
        if all(_time_share(elapsed, n) > HOLDS for n in (probe, numbers)):
            can = np.isfinite(elapsed.value(numbers.tables))
            return msgspec.structs.replace(
                elapsed,
                exceptions=_rate(1 - _time_share(elapsed, numbers)),
                present=find_presence(numbers.tables, column, can),
            )
    return None


def _time_share(elapsed: Elapsed, numbers: Numbers) -> float:
    value = numbers.values[elapsed.column]
    there = np.isfinite(value)
    if not there.any():
        return 1.0
    near = np.abs(elapsed.value(numbers.tables) - value)[there]
    return float((near <= tolerance(value[there], max(elapsed.decimals, 0))).mean())


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
