"""Find columns that two others decide together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from generators.structure.finding import evidence

PROBE_ROWS = 2_000
FEWEST_REPEATS = 20  # rows of the probe with keys that were seen before
MOST_CELLS = 2_000  # pairs of keys
ROWS_OF_CELL = 5  # on average, so that chance is not taken for a rule
FEWEST_CELLS = 4


def find_pairs(
    codes: dict[str, np.ndarray],
    user: np.ndarray,
    keys: Sequence[str],
    columns: Sequence[str],
    rng: np.random.Generator,
) -> Iterator[tuple[str, str, str, float]]:
    """Yield (column, key, second key, share of rows that follow), each column once.

    `codes` are those of all keys and columns, (n,), -1 = missing. What one key decides alone is
    left out.
    """
    size = {n: int(c.max(initial=-1)) + 1 for n, c in codes.items()}
    rows = np.sort(rng.permutation(len(user))[:PROBE_ROWS])
    near = {n: codes[n][rows] for n in {*keys, *columns}}
    pairs = [p for p in combinations(keys, 2) if size[p[0]] * size[p[1]] <= MOST_CELLS]
    left = list(columns)
    for a, b in sorted(pairs, key=lambda p: (size[p[0]] * size[p[1]], p)):
        both = both_codes(near[a], near[b], size[b])
        for column in [n for n in left if n not in (a, b)]:
            if not _may_decide(both, near[column]):
                continue
            share = _decides(codes, size, user, a, b, column)
            if share is not None:
                left.remove(column)
                yield column, a, b, share


def both_codes(first: np.ndarray, second: np.ndarray, n_second: int) -> np.ndarray:
    """Return a code for each pair of two codes (n,), -1 where one is missing."""
    return np.where((first < 0) | (second < 0), -1, first * n_second + second)


def _may_decide(key: np.ndarray, value: np.ndarray) -> bool:
    there = (key >= 0) & (value >= 0)
    _, first, group = np.unique(key[there], return_index=True, return_inverse=True)
    repeats = there.sum() - len(first)
    differ = (value[there] != value[there][first][group]).sum()
    return bool(repeats >= FEWEST_REPEATS and differ <= 0.02 * repeats)


def _decides(
    codes: dict[str, np.ndarray],
    size: dict[str, int],
    user: np.ndarray,
    a: str,
    b: str,
    column: str,
) -> float | None:
    """Return the share of the rows that follow from both keys, None where it is no rule."""
    key, value = both_codes(codes[a], codes[b], size[b]), codes[column]
    found = evidence.determined(key, value, user)
    if found is None or not found.holds(FEWEST_CELLS):
        return None
    there = value >= 0
    if (key[there] >= 0).mean() < evidence.DETERMINED:
        return None
    if there.sum() < ROWS_OF_CELL * len(np.unique(key[there])):
        return None
    for single in (codes[a], codes[b]):
        alone = evidence.determined(single, value, user)
        if alone is not None and alone.share >= found.share - 0.1 * (1 - alone.without):
            return None
    return found.share
