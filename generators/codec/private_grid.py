"""The intervals of a numeric column under a budget: a fixed grid, finer where the counts allow it.

Cells are one an octave, of both signs. Those that enough users have are kept. Where `finer` is
asked for, values that many users share are found in them (a price of 9.99), and cells are halved as
long as both halves stand out of the noise; a half that is nearly empty is left out. Where it is not
known how many decimals values have, it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from generators.privacy.queries import PrivateQueries
from generators.privacy.shrinkage import SURE

GRID_CELLS = 48  # per sign, of the fixed grid: magnitudes range from 2^-16 to 2^32
PARTS = 8  # of a cell that is halved until no more is seen
EMPTY = 0.1  # of the other half: a half that is as rare is left out
FINER_WEIGHT = 0.5  # of each of the two questions about values within cells
MOST_COMMON = 0.98  # of an interval: what common values have of it together
DECIMALS_WEIGHT = 0.5  # of the question for the decimals of values
MOST_DECIMALS, USUAL_DECIMALS = 6, 2  # that values have, and have where the noise hides them


@dataclass(frozen=True)
class Grid:
    """Intervals from `low` to `high`, by their values, and what is common inside them."""

    low: np.ndarray  # (k,) float64; the interval of zero ends where it begins
    high: np.ndarray  # (k,) float64
    common: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (m,) float64, ascending
    share: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (m,) of their intervals


def learn_grid(
    queries: PrivateQueries,
    what: str,
    user: np.ndarray,
    values: np.ndarray,
    *,
    per_user: int,
    weight: float,
    whole: bool,
    finer: bool,
) -> Grid:
    """Learn from the `values` (n,) float64 of users (n,), sorted by user.

    Intervals of `whole` numbers end between these, because what is drawn in them is rounded.
    """
    cell = _cell_of(values)
    kept = np.sort(
        queries.popular(f"range of {what}", user, cell, per_user=per_user, weight=weight)[0]
    )
    zero = np.zeros(int((kept == 0).any()))
    edges = _parts(kept[kept != 0], PARTS if finer else 1)
    if whole:
        edges = np.sign(edges) * (np.ceil(np.abs(edges)) - 0.5)
    if not finer or not len(edges):
        return _with_zero(zero, *edges[edges[:, 0] < edges[:, 1]].T)
    distinct, number = np.unique(values, return_inverse=True)
    inside = np.isin(_cell_of(distinct), kept[kept != 0])
    asked = inside[number]
    common = np.sort(
        queries.popular(
            f"common values of {what}",
            user[asked],
            number[asked],
            per_user=per_user,
            weight=FINER_WEIGHT,
        )[0]
    )
    parts = np.clip(np.searchsorted(edges[:, 0], distinct, side="right") - 1, 0, len(edges) - 1)
    parts[common] = len(edges) + np.arange(len(common))
    counts = queries.histogram(
        f"values within cells of {what}",
        user[asked],
        parts[number[asked]],
        len(edges) + len(common),
        per_user=per_user,
        weight=FINER_WEIGHT,
    )
    noise = queries.noise_of(weight=FINER_WEIGHT, per_user=per_user)
    return _halved(zero, edges, counts, distinct[common], noise)


def decimals_of(queries: PrivateQueries, what: str, user: np.ndarray, values: np.ndarray) -> int:
    """Return how many decimals the `values` (n,) of users (n,), sorted by user, have.

    Each user counts once, with the most decimals of their values; the highest number of decimals
    that stands out of the noise is returned.
    """
    found = np.full(len(values), MOST_DECIMALS)
    for decimals in reversed(range(MOST_DECIMALS)):
        found[np.isclose(values, values.round(decimals), rtol=1e-7, atol=1e-9)] = decimals
    first = np.flatnonzero(np.append(True, user[1:] != user[:-1])[: len(user)])
    counts = queries.histogram(
        f"decimals of {what}",
        user[first],
        np.maximum.reduceat(found, first) if len(first) else found,
        MOST_DECIMALS + 1,
        per_user=1,
        weight=DECIMALS_WEIGHT,
    )
    noise = queries.noise_of(weight=DECIMALS_WEIGHT, per_user=1)
    seen = np.flatnonzero(counts > SURE * noise)
    return int(seen[-1]) if len(seen) else USUAL_DECIMALS


def _halved(
    zero: np.ndarray, edges: np.ndarray, counts: np.ndarray, common: np.ndarray, noise: float
) -> Grid:
    """Return the intervals that the `counts` of parts, and then of `common` values, tell apart.

    `edges` (parts, 2) are those of all parts of cells, `zero` is zero itself, if it is kept.
    """
    of = np.clip(np.searchsorted(edges[:, 0], common, side="right") - 1, 0, len(edges) - 1)
    often = counts[len(edges) :]
    total = counts[: len(edges)] + np.bincount(of, often, minlength=len(edges))
    spans = [
        (begin + first, begin + stop)
        for begin in range(0, len(edges), PARTS)
        for first, stop in _told_apart(total[begin : begin + PARTS], noise)
        if edges[begin + first, 0] < edges[begin + stop - 1, 1]
    ]
    if not spans:
        return Grid(zero, zero)
    low = np.array([edges[first, 0] for first, _ in spans])
    high = np.array([edges[stop - 1, 1] for _, stop in spans])
    rows = np.array([total[first:stop].sum() for first, stop in spans])
    place = np.searchsorted(low, common, side="right") - 1
    there = (place >= 0) & (common <= high[place]) & (often > 0)
    share = often[there] / np.maximum(rows[place[there]], 1e-9)
    together = np.bincount(place[there], share, minlength=len(low))
    share /= np.maximum(together / MOST_COMMON, 1.0)[place[there]]
    return _with_zero(zero, low, high, common[there], share)


def _with_zero(zero: np.ndarray, low: np.ndarray, high: np.ndarray, *common: np.ndarray) -> Grid:
    """Return the intervals in their order, that of zero among them if it is kept."""
    order = np.argsort(np.append(low, zero), kind="stable")
    return Grid(np.append(low, zero)[order], np.append(high, zero)[order], *common)


def _told_apart(counts: np.ndarray, noise: float) -> list[tuple[int, int]]:
    """Return the first and one past the last part of each interval of a cell, ascending."""
    size = len(counts)
    half = size // 2
    if half == 0:
        return [(0, size)]
    found = [counts[:half].sum(), counts[half:].sum()]
    seen = [count > SURE * noise * np.sqrt(half) for count in found]
    if not any(seen) or (not all(seen) and min(found) > EMPTY * max(found)):
        return [(0, size)]
    halves = (counts[:half], counts[half:])
    return [
        (k * half + first, k * half + stop)
        for k in (0, 1)
        if seen[k]
        for first, stop in _told_apart(halves[k], noise)
    ]


def _cell_of(values: np.ndarray) -> np.ndarray:
    """Return the cell of the fixed grid: 0 for zero, otherwise +-(1..GRID_CELLS)."""
    magnitude = np.clip(np.floor(np.log2(np.maximum(np.abs(values), 1e-30))) + 17, 1, GRID_CELLS)
    return (np.sign(values) * magnitude).astype(np.int64)


def _parts(cell: np.ndarray, parts: int) -> np.ndarray:
    """Return the edges of the parts of cells, (len(cell) * parts, 2), ascending as the cells do."""
    power = 2.0 ** (np.arange(parts + 1) / parts)
    size = 2.0 ** (np.abs(cell) - 17)
    ends = np.where(cell[:, None] > 0, size[:, None] * power, -size[:, None] * power[::-1])
    return np.stack([ends[:, :-1], ends[:, 1:]], 2).reshape(-1, 2)
