"""Find numbers that are computed from other numbers: of their row, or of rows before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, permutations, product
from typing import Any

import msgspec
import numpy as np

from generators.structure.finding.evidence import find_presence
from generators.structure.relations.forms import Multiple, tolerance
from generators.structure.relations.formula import (
    Elapsed,
    Formula,
    Since,
    divided,
    rounded_down,
)
from generators.structure.tables import DAY_MS, Tables, decimals_of

HOLDS = 0.98  # share of rows from which on a formula is taken for a rule
EXACT = 0.9995  # share from which on no other formula is looked for
PROBE = 64  # rows on which a formula must hold before it is tried on all
FEWEST_ROWS = 30
FEWEST_VALUES = 3  # of a column that is computed
MOST_FACTORS = 8
FEWEST_STEPS = 20  # of a column's last digit in its range, before a line through it is a rule
MOST_ADDED = 6  # columns of a sum
NEARLY = 1e-6  # of whole numbers: what a factor may leave
NEAR = 0.02  # of amounts: what rounding may leave of a sum
FEWEST_OF_PROBE = 10
FEWEST_SOME = 5  # rows of the probe that have a factor which others lack
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
    formula = Formula(column=column, decimals=decimals, exceptions=rate_of(1 - best_share), **best)
    can = np.isfinite(formula.value(numbers.tables))
    return Formula(
        column=column,
        decimals=decimals,
        exceptions=rate_of(1 - best_share),
        present=find_presence(numbers.tables, column, can),
        **best,
    )


def rate_of(share: float) -> float:
    """Return a share of exceptions, 0 where it is so small that there are none."""
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
        decimals = numbers.decimals[column]
        if (line := _line(value, columns[a], decimals)) is not None:
            yield {"product": [a], "scale": line[0], "offset": line[1]}
        if (scale := scale_down(value, columns[a], decimals)) is not None:
            yield {"product": [a], "scale": scale, "down": True}
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
    yield from _long_sums(value, columns, usable)
    some = [n for n, v in columns.items() if n not in usable and np.isfinite(v).sum() > FEWEST_SOME]
    for terms, n in product([[a] for a in usable] + [list(pair) for pair in products], some):
        if n not in terms:
            yield {"product": terms, "where_known": n}


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


def scale_down(value: np.ndarray, base: np.ndarray, decimals: int) -> float | None:
    """Return the factor whose product with `base`, rounded down, is `value`; None: there is none.

    It is the one with fewest digits.
    """
    there = np.isfinite(value) & np.isfinite(base) & (base > 0) & (value >= 0)
    v, b, unit = value[there], base[there], 10.0**-decimals
    if len(v) < FEWEST_OF_PROBE or len(np.unique(v)) < FEWEST_VALUES:
        return None
    low, high = (v / b).max(), ((v + unit) / b).min()
    if not low < high:
        return None
    for digits in (1, 2, 3):
        scale = float(f"{(low + high) / 2:.{digits}g}")
        if low <= scale < high:
            return scale
    return None


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


def _long_sums(
    value: np.ndarray, columns: dict[str, np.ndarray], usable: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield a sum of several columns and a constant, found greedily.

    The column is added, or subtracted, that leaves least of the variance, as long as it takes most
    of it away or nothing varies any more.
    """
    left, added = value.copy(), dict[str, int]()
    known = {n: np.nan_to_num(v) for n, v in columns.items() if np.isfinite(v).any()}
    while len(added) < MOST_ADDED and np.nanstd(left) > NEAR:
        rest = {
            (n, sign): float(np.nanstd(left - sign * v))
            for n, v in known.items()
            for sign in (1, -1)
            if n not in added
        }
        if not rest:
            return
        name, sign = min(rest, key=lambda k: rest[k])
        if rest[name, sign] >= np.nanstd(left):
            return
        left, added[name] = left - sign * known[name], sign
    plus = [n for n, sign in added.items() if sign > 0]
    first = next((n for n in plus if n in usable), None)
    if first is None or np.nanstd(left) > NEAR or len(added) < 2:
        return
    yield {
        "product": [first],
        "plus": [n for n in plus if n != first],
        "minus": [n for n, sign in added.items() if sign < 0],
        "offset": float(f"{np.nanmedian(left):.6g}") if abs(np.nanmedian(left)) > NEAR / 2 else 0.0,
    }


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
    if "where_known" in terms:
        made = made * np.nan_to_num(numbers.values[terms["where_known"]][rows], nan=1.0)
    if "per" in terms:
        made = divided(made, numbers.values[terms["per"]][rows])
    if "less" in terms:
        made = made * (1 - numbers.values[terms["less"]][rows] / (100 if "percent" in terms else 1))
    for n in terms.get("plus", ()):
        made = made + np.nan_to_num(numbers.values[n][rows])
    for n in terms.get("minus", ()):
        made = made - np.nan_to_num(numbers.values[n][rows])
    made = made + terms.get("offset", 0.0)
    made = rounded_down(made, decimals) if terms.get("down") else made
    wanted = value[rows]
    # a formula that gives no number for a row does not hold for it
    return float((np.abs(made - wanted) <= tolerance(wanted, decimals)).mean())


def find_multiple(numbers: Numbers, column: str, bases: Sequence[str]) -> Multiple | None:
    """Return the base of which `column` is a few multiples, None where there is none."""
    value, decimals = numbers.values[column], numbers.decimals[column]
    for base in bases:
        of = numbers.values[base]
        # rounding hides the factor of small numbers, but for those of whole ones
        whole = decimals + numbers.decimals[base] == 0 and numbers.enough(column)
        least = 0.0 if whole else 10.0 ** (1 - decimals)
        there = np.isfinite(value) & np.isfinite(of) & (np.abs(of) > least)
        if there.sum() < FEWEST_ROWS or there.sum() < HOLDS * np.isfinite(value).sum():
            continue
        v, b = value[there], of[there]
        left = np.ones(len(v), dtype=bool)
        factors: list[float] = []
        large = b >= np.quantile(b, 0.5)
        while left.any() and len(factors) < MOST_FACTORS:
            ratio = (v / b)[left & large] if (left & large).any() else (v / b)[left]
            names, count = np.unique(ratio.round(3), return_counts=True)
            factor = float(names[count.argmax()])
            close = np.abs(v - b * factor) <= (NEARLY if whole else tolerance(v, decimals))
            hit = left & close
            if hit.sum() < max(FEWEST_ROWS, 0.005 * len(v)):
                break
            factors.append(factor)
            left &= ~hit
        # a base that is nearly always 1 says nothing where it is
        values, code = np.unique(b, return_inverse=True)
        unusual = b != values[np.bincount(code).argmax()]
        tells = unusual.sum() >= FEWEST_ROWS and left[unusual].mean() < 1 - HOLDS
        if len(factors) > 1 and left.mean() < 1 - HOLDS and tells:
            return Multiple(
                column=column,
                of=base,
                factors=factors,
                decimals=decimals,
                exceptions=rate_of(float(left.mean())),
            )
    return None


def find_elapsed(
    numbers: Numbers, probe: Numbers, column: str, *, distance: bool
) -> Elapsed | None:
    """Return the beginning since which `column` counts time; a `distance` counts it backwards."""
    decimals = min(numbers.decimals[column], 6)
    # only whole numbers are rounded down
    units = [*((unit, False) for unit in UNITS_MS), (DAY_MS, True)]
    for since, (unit, days), d in product(SINCE, units, (decimals,) if decimals else (-1, 0)):
        if distance and (since == "epoch" or d < 0 or unit < 1000 or days):
            continue
        elapsed = Elapsed(
            column=column,
            since=since,
            unit_ms=unit,
            decimals=d,
            negative=distance,
            calendar=days,
        )
        if all(_time_share(elapsed, n) > HOLDS for n in (probe, numbers)):
            can = np.isfinite(elapsed.value(numbers.tables))
            return msgspec.structs.replace(
                elapsed,
                exceptions=rate_of(1 - _time_share(elapsed, numbers)),
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
