"""Find numbers that run on from row to row: counters, running sums, numbers of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from generators.structure.finding.evidence import find_presence
from generators.structure.finding.formulas import (
    FEWEST_OF_PROBE,
    FEWEST_ROWS,
    FEWEST_VALUES,
    HOLDS,
    Numbers,
    rate_of,
    scale_down,
)
from generators.structure.relations.forms import tolerance
from generators.structure.relations.formula import (
    Balance,
    Part,
    RunningNumber,
    RunningSum,
    Scope,
    rounded_down,
)
from generators.structure.tables import text_of

MOSTLY = 0.95  # share of the rows of an event; of all rows HOLDS must follow
MOST_OF_PART = 8  # values of a column by which an event adds one constant or another


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
            least = tolerance(value[rows], found.decimals)
            share = (near <= _rounding(numbers, found.of, found.decimals) * least).mean()
            if share >= HOLDS:
                return msgspec.structs.replace(
                    found,
                    exceptions=rate_of(float(1 - share)),
                    present=find_presence(tables, column, group >= 0),
                )
    return None


def _rounding(numbers: Numbers, of: str | None, decimals: int) -> float:
    """Return how many halves of a last digit a sum may be off.

    Rounding adds up where what is added has more decimals than the sum.
    """
    return 2.2 if of is not None and numbers.decimals[of] > decimals else 1.0


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
    tried = [(name, amount, False) for name, amount in amounts]
    if decimals == 0:  # points are often rounded down
        tried += [(n, x, True) for n, x in amounts if n is not None and numbers.decimals[n] > 0]
    for name, amount, down in tried:
        factor = _factors(step, amount, code, known)
        made = factor[code] * amount
        if down:
            scale = scale_down(step[known], amount[known], 0)
            factor = np.full(len(factor), scale or 0.0)
            made = rounded_down(factor[code] * amount)
        least = tolerance(step[known], decimals)
        close = np.abs(made - step)[known] <= _rounding(numbers, name, decimals) * least
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
                down=down,
            )


def find_balance(
    numbers: Numbers,
    probe: Numbers,
    column: str,
    operands: Sequence[str],
    texts: Sequence[str],
    min_users: int,
) -> Balance | None:
    """Return how each event changes `column` within users, None where one does in no known way.

    It is looked for in `probe`, the numbers of a few users, and must hold in all. `operands` are
    the numbers that may be added, `texts` the columns that may decide what is. Events, and values
    of these, that fewer than `min_users` users have add nothing.
    """
    tables, (known, step) = probe.tables, _steps(probe, column)
    if len(known) == 0:
        return None
    parts = dict[str, Part]()
    for name in _names(numbers.tables.event, numbers.tables.user, min_users):
        of = (tables.event[known] == name) & np.isfinite(step)
        part = Part() if not of.any() else _part(probe, step[of], known[of], operands, texts)
        if part is None:
            return None
        if part.by is not None:
            every = text_of(numbers.tables.events[part.by]).to_numpy(dtype=object)
            shared = _names(every, numbers.tables.user, min_users)
            part = Part(by=part.by, steps={k: v for k, v in part.steps.items() if k in shared})
        if part != Part():
            parts[str(name)] = part
    # what one constant changes in all rows is a running sum
    if sum(p.of is not None or p.by is not None for p in parts.values()) == 0:
        return None
    found = Balance(column=column, start=0.0, parts=parts, decimals=numbers.decimals[column])
    known, step = _steps(numbers, column)
    value, made = numbers.values[column][known], found.value(numbers.tables)[known]
    near = np.abs(np.diff(made, prepend=0.0) - step) <= tolerance(value, found.decimals)
    share = near[np.isfinite(step)].mean()
    if share < HOLDS:
        return None
    start = (value - made)[~np.isfinite(step)].round(found.decimals)
    usual = float(np.median(start).round(found.decimals))
    every = np.ones(len(numbers.tables.events), dtype=bool)
    return msgspec.structs.replace(
        found,
        start=usual if (start == usual).mean() >= HOLDS else None,
        least=0.0 if value.min() >= 0 else None,
        exceptions=rate_of(float(1 - share)),
        present=find_presence(numbers.tables, column, every),
    )


def _steps(numbers: Numbers, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (m,) with a number, and the step to each from the user's one before, or NaN.

    What rows without the number add is seen at the next one, where it is an exception.
    """
    known = np.flatnonzero(np.isfinite(numbers.values[column]))
    value, user = numbers.values[column][known], numbers.tables.user[known]
    return known, pd.Series(value).groupby(user).diff().to_numpy()


def _names(values: np.ndarray, user: np.ndarray, min_users: int) -> list[str]:
    """Return those of text values (n,) that enough users have."""
    users = pd.Series(user).groupby(values).nunique()
    return [str(n) for n in users.index[users >= min_users]]


def _part(
    numbers: Numbers,
    step: np.ndarray,
    rows: np.ndarray,
    operands: Sequence[str],
    texts: Sequence[str],
) -> Part | None:
    """Return what explains the steps (m,) of the rows (m,) of an event, None where nothing does."""
    usual, count = np.unique(step, return_counts=True)
    if count.max() >= MOSTLY * len(step):
        return Part(step=float(usual[count.argmax()]))
    if len(rows) < FEWEST_OF_PROBE:
        return None
    for name in operands:
        amount = np.nan_to_num(numbers.values[name][rows])
        if not (amount != 0).any():
            continue
        factor = float(f"{np.median(step[amount != 0] / amount[amount != 0]):.4g}")
        if (np.abs(factor * amount - step) <= tolerance(step, 6)).mean() >= MOSTLY:
            return Part(step=factor, of=name)
    for name in texts:
        text = text_of(numbers.tables.events[name].iloc[rows])
        if not 1 < text.nunique() <= MOST_OF_PART:
            continue
        by = pd.Series(step).groupby(text.to_numpy()).agg(lambda of: of.mode().iloc[0])
        if (text.map(by).fillna(0.0).to_numpy() == step).mean() >= MOSTLY:
            return Part(by=name, steps={str(k): float(v) for k, v in by.items()})
    return None


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
