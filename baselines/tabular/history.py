"""The rows of a log with running totals, from which features are read as differences.

Totals are integers, so a difference of two of them is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from baselines.last_log import LastLog
from baselines.repeats import repeats_of
from baselines.tabular.entity_risk import order_runs
from eventlog.arrays import DAY_MS, FIRST, Sequences
from eventlog.encode import ENTITIES, GAP, Encoder
from eventlog.schema import ROLE_NAMES
from eventlog.sessions import SESSION_GAP_MS

ROLE_ORDER = tuple(sorted(ROLE_NAMES))
MONEY_UNITS = 10_000  # money is summed in this fraction of the currency
NUMBER_UNITS = 2**20
COVERED = ("price", "quantity", GAP)  # by features of money, quantity and time
MOST_MONEY, MOST_QUANTITY = 1e12, 1e9  # of a row; larger values are clipped, so that sums are exact


@dataclass(frozen=True)
class Numbers:
    """A numeric column beyond price and quantity, in 1 / NUMBER_UNITS of its standard deviation."""

    value: np.ndarray  # (n_rows,) int64, 0 if missing
    value_sum: np.ndarray  # (n_rows + 1,) int64
    count_sum: np.ndarray  # (n_rows + 1,) int64: of the values that are not missing
    last: np.ndarray  # (n_rows + 1,) int64: the last row before this one with a value, -1 if none


class History:
    """The running totals of a log.

    Names ending in `_sum` are (n_rows + 1,) int64: the sum over all rows before each one. Names
    ending in `_first` are (n_rows,) int64: the first row of each row's session or order.
    """

    def __init__(self, sequences: Sequences, encoder: Encoder) -> None:
        self.sequences = sequences
        n, time, user = sequences.n_rows, sequences.time, sequences.row_user()
        row = np.arange(n)
        self.low = int(time.min(initial=0))
        self.width = int(time.max(initial=0)) - self.low + 2
        self.key = user * self.width + (time - self.low)  # ascending by user, then by time

        is_first = row == sequences.offsets[user]
        self.gap = np.where(is_first, 0, np.diff(time, prepend=time[:1]))
        self.gap_sum, self.gap_square_sum = _sum(self.gap), _sum((self.gap // 1000) ** 2)
        session = is_first | (self.gap > SESSION_GAP_MS)
        self.session_first = np.maximum.accumulate(np.where(session, row, 0))
        self.session_sum = _sum(session)
        day = time // DAY_MS
        self.day_sum = _sum(is_first | (np.diff(day, prepend=day[:1]) != 0))

        code = pd.Categorical(sequences.role, categories=list(ROLE_ORDER)).codes.astype(np.int64)
        code = np.where(code < 0, ROLE_ORDER.index("other"), code)
        self.role_count = np.zeros((n + 1, len(ROLE_ORDER)), dtype=np.int32)
        self.role_count[row + 1, code] = 1
        np.cumsum(self.role_count, axis=0, out=self.role_count)
        self.role_rows = [np.flatnonzero(code == r) for r in range(len(ROLE_ORDER))]

        bought = code == ROLE_ORDER.index("purchase")
        self.run_first = order_runs(sequences)
        self.order_rows = np.flatnonzero(bought & (self.run_first == row))
        same = np.append(False, user[self.order_rows[1:]] == user[self.order_rows[:-1]])[
            : len(self.order_rows)
        ]
        order_gap = np.zeros(n, dtype=np.int64)
        order_gap[self.order_rows] = np.where(same, np.diff(time[self.order_rows], prepend=0), 0)
        self.order_gap = order_gap
        self.order_gap_sum, self.order_gap_square_sum = (
            _sum(order_gap),
            _sum((order_gap // 1000) ** 2),
        )
        self.order_sum = _sum(bought & (self.run_first == row))

        quantity = _numbers(sequences, "quantity", missing=1.0)
        money = np.rint(
            np.clip(_numbers(sequences, "price", missing=0.0) * quantity, -MOST_MONEY, MOST_MONEY)
            * MONEY_UNITS
        ).astype(np.int64)
        self.money_sum, self.spent_sum = _sum(money), _sum(np.where(bought, money, 0))
        self.quantity_sum = _sum(np.rint(np.clip(quantity, 0, MOST_QUANTITY)).astype(np.int64))

        self.numbers = {name: _numbers_of(sequences, name) for name in number_columns(encoder)}

        item = codes_of(sequences, "item")
        self.repeats = {"item": repeats_of(user, time, item, item >= FIRST)}
        category = codes_of(sequences, "category")
        self.repeats["category"] = repeats_of(user, time, category, category >= FIRST)
        self.bought_items_sum = _sum(repeats_of(user, time, item, (item >= FIRST) & bought).first)
        self.bought_lines_sum = _sum((item >= FIRST) & bought)
        for name in entity_columns(encoder):
            ids = sequences.ids.get(name, np.full(n, -1, dtype=np.int64))
            self.repeats[name] = repeats_of(user, time, ids, ids >= 0)
        self.first_sum = {name: _sum(r.first) for name, r in self.repeats.items()}

    def row_at(self, user: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Return the first row of `user` at or after `time` ms, (n,); see Sequences.rows_before."""
        return np.searchsorted(
            self.key, user * self.width + np.clip(time - self.low, 0, self.width - 1)
        )

    def last_of(self, rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return the last of the ascending `rows` in start..end - 1, (n,), -1 if there is none."""
        place = np.searchsorted(rows, end) - 1
        last = rows[np.maximum(place, 0)] if len(rows) else np.full(len(end), -1)
        return np.where((place >= 0) & (last >= start), last, -1)


_computed = LastLog[History]()


def history_of(sequences: Sequences, encoder: Encoder) -> History:
    """Return the running totals of a log.

    Those of the last log are kept, because `score` is called batch by batch.
    """
    names = (*entity_columns(encoder), *number_columns(encoder))
    return _computed.get(sequences, lambda: History(sequences, encoder), variant=names)


def entity_columns(encoder: Encoder) -> list[str]:
    """Return the columns whose values are entities: devices, cards, high-cardinality columns."""
    return list(dict.fromkeys([*encoder.high_cardinality, *ENTITIES]))


def number_columns(encoder: Encoder) -> list[str]:
    """Return the numeric columns of a log that no feature of its own covers."""
    return [name for name in encoder.scales if name not in COVERED]


def _numbers_of(sequences: Sequences, name: str) -> Numbers:
    n = sequences.n_rows
    known = ~np.isnan(sequences.raw.get(name, np.full(n, np.nan)))
    scaled = sequences.columns.get(name, np.zeros(n))
    value = np.where(known, np.rint(scaled * np.float64(NUMBER_UNITS)), 0).astype(np.int64)
    last = np.maximum.accumulate(np.append(-1, np.where(known, np.arange(n), -1)))
    return Numbers(value, _sum(value), _sum(known), last)


def _sum(values: np.ndarray) -> np.ndarray:
    """Return the running total, (n + 1,) int64.

    It may wrap around; differences are exact nevertheless.
    """
    return np.append(0, np.cumsum(values.astype(np.int64)))


def _numbers(sequences: Sequences, name: str, *, missing: float) -> np.ndarray:
    values = sequences.raw.get(name)
    return (
        np.full(sequences.n_rows, missing) if values is None else np.nan_to_num(values, nan=missing)
    )


def codes_of(sequences: Sequences, name: str) -> np.ndarray:
    """Return the codes of a categorical column, (n_rows,) int64, 0 if the log lacks it."""
    values = sequences.columns.get(name)
    return np.zeros(sequences.n_rows, dtype=np.int64) if values is None else values.astype(np.int64)
