"""Find numbers that are another number times a rate that one key decides, or two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from generators.structure.finding import evidence
from generators.structure.finding.formulas import EXACT, FEWEST_ROWS, HOLDS, Numbers
from generators.structure.finding.pairs import MOST_CELLS, both_codes
from generators.structure.relations.dependency import Rate, keys_of
from generators.structure.relations.forms import tolerance
from generators.structure.tables import Tables

PROBE_ROWS = 1_000
FEWEST_OTHERS = 20  # rows of the probe whose base is not the largest of their key
LIKELY = 0.8  # share of them that a rate must fit before it is tried on all rows
ROWS_OF_KEY = 5  # on average, so that chance is not taken for a rule
MOST_DECIMALS = 10  # of a rate


@dataclass(frozen=True)
class Found:
    """A rate that fits: the base, the keys, and the share of the rows that follow."""

    of: str
    key: str
    second: str | None
    share: float


def find_rate(
    numbers: Numbers,
    column: str,
    bases: Sequence[str],
    codes: Mapping[str, np.ndarray],
    rng: np.random.Generator,
) -> Found | None:
    """Return of which of `bases`, and by which keys, `column` has a rate; None: there is none.

    `codes` are those of all keys, (n,), -1 = missing; keys with few values come first.
    """
    value, decimals = numbers.values[column], numbers.decimals[column]
    there = np.flatnonzero(np.isfinite(value))
    if len(there) < FEWEST_ROWS:
        return None
    probe = np.sort(rng.permutation(there)[:PROBE_ROWS])
    best = None
    for of in bases:
        base = numbers.values[of]
        if np.isfinite(base[probe]).mean() < HOLDS:
            continue
        order = probe[np.argsort(-np.abs(base[probe]), kind="stable")]
        for key, second, code in _keys(codes):
            if not _may_fit(code[order], value[order], base[order], decimals):
                continue
            share = _share(code[there], value[there], base[there], decimals)
            # a second key must explain most of what the first one leaves
            least = HOLDS if best is None else 1 - (1 - best.share) * (0.5 if second else 1.0)
            if share >= least and (best is None or share > best.share):
                best = Found(of, key, second, share)
            if share >= EXACT and second is None:
                return best
    return best


def _keys(codes: Mapping[str, np.ndarray]) -> Iterator[tuple[str, str | None, np.ndarray]]:
    for key, code in codes.items():
        yield key, None, code
    size = {n: int(c.max(initial=-1)) + 1 for n, c in codes.items()}
    for a, b in combinations(codes, 2):
        if size[a] * size[b] <= MOST_CELLS:
            yield a, b, both_codes(codes[a], codes[b], size[b])


def _may_fit(code: np.ndarray, value: np.ndarray, base: np.ndarray, decimals: int) -> bool:
    """Does the rate of the first row of each key fit the others, whose base is another?

    The rows (n,) are sorted by the size of their base, the largest one first, whose rate rounding
    hides least.
    """
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    largest = base[first][group]
    others = (code >= 0) & (base != largest) & (largest != 0)
    if others.sum() < FEWEST_OTHERS or others.sum() < ROWS_OF_KEY * len(first):
        return False
    made = base[others] * (value[first][group][others] / largest[others])
    close = np.abs(made - value[others]) <= 2 * tolerance(value[others], decimals)
    return bool(close.mean() >= LIKELY)


def _share(code: np.ndarray, value: np.ndarray, base: np.ndarray, decimals: int) -> float:
    """Return the share of the rows (n,) that follow from the rates of their keys."""
    rates = rates_of(code, value, base, decimals)
    if len(np.unique(rates[np.isfinite(rates)])) < 2:
        return 0.0
    made = base * np.append(rates, np.nan)[code]
    return float((np.abs(made - value) <= tolerance(value, decimals)).mean())


def rates_of(code: np.ndarray, value: np.ndarray, base: np.ndarray, decimals: int) -> np.ndarray:
    """Return for each key the shortest number that value / base is, (keys,), NaN = none.

    `code` (n,) are the keys of the rows, -1 = missing; `decimals` are those of `value` (n,).
    """
    keys = int(code.max(initial=-1)) + 1
    kept = (code >= 0) & np.isfinite(value) & np.isfinite(base) & (base != 0)
    code, value, base = code[kept], value[kept], base[kept]
    size = np.abs(base)
    # rounding hides the rate of small numbers
    large = size >= pd.Series(size).groupby(code).transform("median").to_numpy()
    usual = pd.Series((value / base)[large]).groupby(code[large]).median()
    rate: np.ndarray = usual.reindex(np.arange(keys)).to_numpy(dtype=np.float64)
    out, most = rate.copy(), np.full(keys, -1.0)
    rows = np.bincount(code, minlength=keys).clip(1)
    for digits in range(MOST_DECIMALS, -1, -1):
        short = rate.round(digits)
        close = np.abs(base * short[code] - value) <= tolerance(value, decimals)
        hit = np.bincount(code, close, minlength=keys) / rows
        most = np.maximum(most, hit)
        out = np.where(hit >= most - (1 - EXACT), short, out)
    return out


def usual_rates(
    numbers: Numbers, whole: Tables, found: Found, column: str, min_users: int
) -> Rate | None:
    """Return the rates of the keys that at least `min_users` users of `whole` have; None: none."""
    some, decimals = numbers.tables, numbers.decimals[column]
    keys = keys_of(whole, found.key, found.second).astype("category")
    value = whole.numbers(column)
    code = np.where(np.isfinite(value), keys.cat.codes.to_numpy().astype(np.int64), -1)
    rates = rates_of(code, value, whole.numbers(found.of), decimals)
    enough = evidence.users_of(code, whole.user) >= min_users
    known = np.flatnonzero(enough & np.isfinite(rates))
    if not len(known):
        return None
    can = keys_of(some, found.key, found.second).notna().to_numpy()
    return Rate(
        column=column,
        of=found.of,
        key=found.key,
        second=found.second,
        values={str(keys.cat.categories[k]): float(rates[k]) + 0.0 for k in known},
        decimals=decimals,
        exceptions=1 - found.share if found.share < EXACT else 0.0,
        present=evidence.find_presence(some, column, can & np.isfinite(numbers.values[found.of])),
    )
