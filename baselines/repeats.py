"""How often, and since when, the user of a row has had the row's values: its card, its device, ...

This is read off the user's own sequence, and nothing but it. Entities have hashes instead of codes,
so a network cannot tell by itself whether a card is the one of a month ago.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from baselines.last_log import LastLog
from eventlog.arrays import FIRST, Sequences

CODED = ("item", "category")  # categorical columns whose repeats are columns, beside all entities


@dataclass(frozen=True)
class Repeats:
    """How often the user of each row has had the value of a column before."""

    first: np.ndarray  # (n_rows,) bool: the user's first row with this value; False if missing
    earlier: np.ndarray  # (n_rows,) int64: earlier rows of the user with this value
    age: np.ndarray  # (n_rows,) int64 ms since the user's first row with this value


def repeats_of(user: np.ndarray, time: np.ndarray, value: np.ndarray, known: np.ndarray) -> Repeats:
    """Compare each row with the user's earlier rows of the same value, among `known` rows."""
    row = np.flatnonzero(known)
    code, names = pd.factorize(value[row])
    group = user[row] * max(len(names), 1) + code
    order = np.argsort(group, kind="stable")
    begins = np.append(True, np.diff(group[order]) != 0)[: len(order)]
    begin = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    first, earlier, age = (
        np.zeros(len(user), dtype=bool),
        np.zeros(len(user), dtype=np.int64),
        np.zeros(len(user), dtype=np.int64),
    )
    place = row[order]
    first[place] = begins
    earlier[place] = np.arange(len(order)) - begin
    age[place] = time[place] - time[place[begin]]
    return Repeats(first, earlier, age)


_computed = LastLog[dict[str, np.ndarray]]()


def repeat_columns(s: Sequences) -> dict[str, np.ndarray]:
    """Return what a row repeats of its user's earlier rows, (n_rows,) each.

    For the item, the category and each entity: log1p of the minutes since the user first had the
    row's value, and of the number of earlier rows with it; 0 where the value is missing or new.
    Those of the last log are kept, since several parts of a model ask for them.
    """
    return _computed.get(s, lambda: _columns(s))


def _columns(s: Sequences) -> dict[str, np.ndarray]:
    user, columns = s.row_user(), {}
    coded = {name: (s.columns[name], FIRST) for name in CODED if name in s.columns}
    for name, (value, least) in (coded | {name: (ids, 0) for name, ids in s.ids.items()}).items():
        repeats = repeats_of(user, s.time, value, value >= least)
        columns[f"age_{name}"] = np.log1p(repeats.age / 60_000)
        columns[f"earlier_{name}"] = np.log1p(repeats.earlier)
    return columns
