"""Find columns that say how others compare, or in which range a number lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from generators.structure.finding.evidence import (
    digits_of,
    find_presence,
    round_between,
    users_of,
)
from generators.structure.finding.formulas import Numbers
from generators.structure.finding.rows import Numbered
from generators.structure.relations.bands import Bands
from generators.structure.relations.comparison import Comparison
from generators.structure.tables import Tables, codes_of, is_number, text_of

EXACT = 0.999  # share of rows from which on a comparison is taken for a rule
FEWEST_ROWS = 30
FEWEST_OF_BOTH = 8  # rows of the rarer value
MOST_BANDS = 12
VALUES_OF_BAND = 3  # different numbers a band, on average, at least
MOST_DECIMALS = 2  # of a number that has bands: coordinates are no reason for a country


def find_comparison(
    tables: Tables, probe: Tables, column: str, operands: Sequence[str]
) -> Comparison | None:
    """Return the comparison of `operands` that gives `column`, None where there is none."""
    values = tables.events[column]
    names = _two_values(values)
    if names is None:
        return None
    for terms in _candidates(tables, probe, column, operands, names):
        comparison = Comparison(column=column, **terms)
        if not all(_holds(comparison, t) for t in (probe, tables)):
            continue
        there = np.isfinite(comparison.value(tables))
        return Comparison(column=column, present=find_presence(tables, column, there), **terms)
    return None


def _two_values(values: pd.Series) -> list[str | float] | None:
    counts = values.value_counts()
    if (counts > 0).sum() != 2 or counts.sum() < FEWEST_ROWS or counts.iloc[1] < FEWEST_OF_BOTH:
        return None
    numeric = is_number(values)
    return sorted(float(v) if numeric else str(v) for v in counts.index[:2])


def _candidates(
    tables: Tables, probe: Tables, column: str, operands: Sequence[str], names: list[str | float]
) -> Iterator[dict[str, Any]]:
    """Yield the terms of comparisons that hold on a few users, those with a round number first."""
    numeric = [n for n in operands if is_number(tables.events[n])]
    first, found = _is(tables.events[column], names[0]), list[dict[str, Any]]()
    for n in numeric:
        value = tables.numbers(n)
        for low, (yes, no) in ((first == 1, names), (first == 0, names[::-1])):
            there = np.isfinite(value) & np.isfinite(first)
            below, above = value[there & low], value[there & ~low]
            if len(below) and len(above) and below.max() < above.min():
                number = round_between(float(below.max()), float(above.min()))
                found.append({"left": n, "operator": "<", "number": number, "yes": yes, "no": no})
    yield from sorted(found, key=lambda terms: digits_of(terms["number"]))
    for a, b, operator, holds in _pairs(probe, column, operands, names[1]):
        yes, no = (names[1], names[0]) if holds else (names[0], names[1])
        yield {"left": a, "right": b, "operator": operator, "yes": yes, "no": no}


def _pairs(
    probe: Tables, column: str, operands: Sequence[str], name: str | float
) -> Iterator[tuple[str, str, str, bool]]:
    """Yield (left, right, operator, is it `name` where it holds?) that fit on a few users."""
    wanted = _is(probe.events[column], name)
    rows = np.isfinite(wanted)
    numbered = Numbered(probe, operands)
    for numeric, operators in ((True, ("<", "<=", "==")), (False, ("==",))):
        columns = numbered.names(numeric=numeric)
        values = numbered.frame[columns].to_numpy()[rows]
        for k, a in enumerate(columns):
            left = values[:, [k]]
            there = np.isfinite(left) & np.isfinite(values)
            for operator in operators:
                holds = {"<": left < values, "<=": left <= values, "==": left == values}[operator]
                agree = (there & (holds == (wanted[rows] == 1)[:, None])).sum(0)
                share = np.where(
                    there.sum(0) >= FEWEST_OF_BOTH, agree / np.maximum(there.sum(0), 1), 0.5
                )
                for j in np.flatnonzero((share >= EXACT) | (share <= 1 - EXACT)):
                    if j != k and (operator != "==" or a < columns[j]):
                        yield a, columns[j], operator, bool(share[j] > 0.5)


def _is(values: pd.Series, name: str | float) -> np.ndarray:
    """Return 1 where a column has a value, 0 where it has another, NaN where none, (n,)."""
    same = values == name if is_number(values) else values.astype(str) == name
    return np.where(values.notna(), same, np.nan).astype(np.float64)


def _holds(comparison: Comparison, tables: Tables) -> bool:
    wanted, made = _is(tables.events[comparison.column], comparison.yes), comparison.value(tables)
    there = np.isfinite(wanted)
    return not there.any() or bool((made == wanted)[there].mean() >= EXACT)


def find_bands(
    numbers: Numbers, column: str, operands: Sequence[str], min_users: int
) -> Bands | None:
    """Return of which of `operands` ranges decide `column`, None where of none.

    All rows must follow, and each band must be of at least `min_users` users. An edge is a round
    number between the last value of a band and the first of the next one.
    """
    tables = numbers.tables
    events = tables.events[column]
    code = codes_of(events)
    bands = int(code.max(initial=-1)) + 1
    if not 1 < bands <= MOST_BANDS or users_of(code, tables.user).min() < min_users:
        return None
    for name in operands:
        of = numbers.values[name]
        there = np.isfinite(of) & (code >= 0)
        if numbers.decimals[name] > MOST_DECIMALS or there.sum() < FEWEST_ROWS:
            continue
        if not np.isfinite(of[code >= 0]).all() or len(np.unique(code[there])) < bands:
            continue
        low, high = (np.full(bands, end) for end in (np.inf, -np.inf))
        np.minimum.at(low, code[there], of[there])
        np.maximum.at(high, code[there], of[there])
        order = np.argsort(low)
        low, high = low[order], high[order]
        # with a band for nearly each of its values the number would be another name for the column
        few = len(np.unique(of[there])) < VALUES_OF_BAND * bands
        if few or (high[:-1] >= low[1:]).any():
            continue
        kind, first = (float, events) if is_number(events) else (str, text_of(events))
        names = [kind(first.to_numpy()[np.flatnonzero(code == k)[0]]) for k in order]
        return Bands(
            column=column,
            of=name,
            edges=[round_between(a, b) for a, b in zip(high[:-1], low[1:], strict=True)],
            values=names,
            present=find_presence(tables, column, np.isfinite(of)),
        )
    return None
