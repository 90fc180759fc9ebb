"""Evidence for relations: how well columns agree, counted on rows of a log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from generators.structure.relations.base import Presence
from generators.structure.tables import Tables, codes_of, first_rows, is_number, text_of

ALIKE = 0.998  # share of rows that agree, from which on a number counts as the same
DETERMINED = 0.995  # share of rows that have the one value of their key
COVERED = 0.5  # share of rows whose key several users have
SHARED = 0.9  # share of rows whose value enough users share
SEVERAL = 2  # users of a key that tell a rule from chance
SURE = 0.005  # a share nearer to 0 or 1 than this is taken for it
MOST_DIGITS = 9  # of a number that is looked for between two others
ID_VALUES = 64  # an id has more values than this, and most of them belong to one or two users


@dataclass(frozen=True)
class Agreement:
    """How well the values of a column agree within groups."""

    share: float  # of the rows that have the first value of their group
    groups: int  # with several rows that have a value


def within_groups(tables: Tables, column: str, group: np.ndarray) -> Agreement:
    """Return how many rows have the first value of their group; group -1 does not count."""
    code = codes_of(tables.events[column])
    there = (code >= 0) & (group >= 0)
    code, group = code[there], group[there]
    if len(code) == 0:
        return Agreement(0.0, 0)
    first = pd.Series(code).groupby(group).transform("first").to_numpy()
    again = ~first_rows(group)
    if not again.any():
        return Agreement(0.0, 0)
    return Agreement(float((first == code)[again].mean()), len(np.unique(group[again])))


@dataclass(frozen=True)
class Determined:
    """How well a key determines a column."""

    share: float  # of the rows that have the most frequent value of their key
    covered: float  # share of the rows whose key several users have
    keys: int
    without: float  # share of the rows that have the most frequent value of all

    def holds(self, fewest_keys: int) -> bool:
        """Return whether the key decides the column, and not only because it hardly varies."""
        return (
            self.share >= DETERMINED
            and self.covered >= COVERED
            and self.keys >= fewest_keys
            and self.without <= DETERMINED
        )


def determined(key: np.ndarray, value: np.ndarray, user: np.ndarray) -> Determined | None:
    """Return how well keys (n,) determine values (n,), by rows that have both (codes >= 0)."""
    there = (key >= 0) & (value >= 0)
    key, value, user = key[there], value[there], user[there]
    if len(key) == 0:
        return None
    enough = users_of(key, user) >= SEVERAL
    kept = enough[key]
    if not kept.any():
        return None
    pair, count = np.unique(key[kept] * (value.max() + 1) + value[kept], return_counts=True)
    of = pair // (value.max() + 1)
    most = np.zeros(len(enough), dtype=np.int64)
    np.maximum.at(most, of, count)
    usual = np.bincount(value[kept]).max() / kept.sum()
    return Determined(
        float(most.sum() / kept.sum()), float(kept.mean()), int(enough.sum()), float(usual)
    )


def users_of(code: np.ndarray, user: np.ndarray) -> np.ndarray:
    """Return how many users have each code >= 0 of the rows (n,), (codes,) int64."""
    size = int(user.max(initial=0)) + 1
    pairs = np.unique(code[code >= 0] * size + user[code >= 0])
    return np.bincount(pairs // size, minlength=int(code.max(initial=-1)) + 1)


def usual_values(tables: Tables, key: pd.Series, column: str, min_users: int) -> dict:
    """Return the most frequent value of `column` for each key that at least `min_users` have."""
    keys = text_of(key).astype("category")
    code = keys.cat.codes.to_numpy().astype(np.int64)
    enough = np.flatnonzero(users_of(code, tables.user) >= min_users)
    values = tables.events[column]
    values = values if is_number(values) else text_of(values)
    frame = pd.DataFrame({"k": code, "v": values.to_numpy()})[values.notna().to_numpy()]
    frame = frame[np.isin(frame["k"], enough)]
    mode = frame.value_counts(sort=True).reset_index().drop_duplicates("k").sort_values("k")
    names = keys.cat.categories[mode["k"].to_numpy()]
    kind = float if is_number(values) else str
    return {str(k): kind(v) for k, v in zip(names, mode["v"], strict=True)}


def is_id(code: np.ndarray, user: np.ndarray) -> bool:
    """Are there many values, most of them of one or two users? `code` (n,), -1 = missing."""
    users = users_of(code, user)
    users = users[users > 0]
    return len(users) > ID_VALUES and bool(np.median(users) <= 2)


def quantiles(values: np.ndarray, user: np.ndarray, min_users: int, n: int = 41) -> list[float]:
    """Return quantiles of (m,) numbers, their ends those of the `min_users`-th user."""
    by_user = pd.Series(values).groupby(user)
    top, bottom = np.sort(by_user.max().to_numpy())[::-1], np.sort(by_user.min().to_numpy())
    k = min(min_users, len(top)) - 1
    low, high = float(bottom[k]), float(top[k])
    inside = np.clip(values, min(low, high), max(low, high))
    return [float(q) for q in np.quantile(inside, np.linspace(0, 1, n))]


def find_presence(tables: Tables, column: str, can: np.ndarray) -> Presence:
    """Return which of the rows that `can` (n,) have the column do have it."""
    present = tables.events[column].notna().to_numpy()[can]
    if present.mean() > 1 - SURE:
        return Presence()
    found, code = np.unique(tables.event_code[can], return_inverse=True)
    names = tables.event_names[found]
    share = np.bincount(code, present, minlength=len(names)) / np.bincount(code)
    if ((share < SURE) | (share > 1 - SURE)).all():
        return Presence(events=sorted(names[share > 0.5]))
    return Presence(drawn=True)


def round_between(low: float, high: float) -> float:
    """Return the number with fewest digits above `low` and not above `high`."""
    most = np.floor(np.log10(max(abs(low), abs(high))))
    for digits in range(1, MOST_DIGITS):
        unit = 10.0 ** (most - digits + 1)
        found = float(f"{np.floor(high / unit) * unit:.{MOST_DIGITS}g}")
        if low < found <= high:
            return found
    return high


def digits_of(number: float) -> int:
    """Return how many digits a number has, without zeros at either end."""
    mantissa = f"{abs(number):.15e}".split("e")[0]
    return len(mantissa.replace(".", "").strip("0"))
