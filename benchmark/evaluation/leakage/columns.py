"""What a question's known rows say in each column: where a leak can lie.

Beside the columns of the log there are parts of its timestamps (milliseconds, their last digit,
seconds, their parity) and the last digit of its amounts, in which an answer may be hidden.

Example::

    window = Window(sequences, queries)
    for column in columns_of(sequences):
        window.values(column)  # (n, LAST), the last known row first
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eventlog.arrays import MISSING, Queries, Sequences
from eventlog.encode import GAP, source_column

LAST = 16  # rows before a question that are looked at
DAY_FRACTIONS = (  # parts of a timestamp in ms: name, divisor, modulus
    ("the milliseconds of the timestamp", 1, 1000),
    ("the last digit of the timestamp's milliseconds", 1, 10),
    ("the seconds of the timestamp", 1000, 60),
    ("the parity of the timestamp's seconds", 1000, 2),
)


@dataclass(frozen=True)
class Column:
    """A value per row of a log."""

    name: str  # as sentences call it
    values: np.ndarray  # (n_rows,) int64 codes, or float64
    coded: bool  # codes without an order, negative where missing; otherwise numbers
    source: str  # the column of the log that it is made of
    own: bool = True  # the log's own column, not a part of a timestamp or of an amount
    hashed: bool = False  # codes are hashes of texts


class Window:
    """The last rows before each question."""

    def __init__(self, sequences: Sequences, queries: Queries) -> None:
        row = queries.end[:, None] - 1 - np.arange(LAST)  # (n, LAST)
        self.known = row >= sequences.offsets[queries.user][:, None]
        self.row = np.where(self.known, row, 0)

    def values(self, column: Column) -> np.ndarray:
        """Return (n, LAST) values, the last known row first; -1 or NaN where there is none."""
        none = -1 if column.coded else np.nan
        return np.where(self.known, column.values[self.row], none)


def columns_of(sequences: Sequences, *, ids: bool = False) -> Iterator[Column]:
    """Yield the columns of a log and what is made of them; with `ids` the entity ids as well.

    Flags of new values are not among them: they follow from the user's earlier rows.
    """
    for name, values in sequences.columns.items():
        if np.issubdtype(values.dtype, np.integer):
            codes = values.astype(np.int64)
            # A missing value is a value of its own: it may give the answer away.
            yield Column(f"the column {source_column(name)}", codes, coded=True, source=name)
    for name, values in sequences.raw.items():
        called = source_column(name)
        yield Column(f"the column {called}", values, coded=False, source=name, own=name != GAP)
        if name != GAP:
            size = np.abs(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))
            whole = bool((size == np.floor(size)).all())
            last = size % 10 if whole else np.round(size * 100) % 10
            digit = np.where(np.isfinite(values), last, -1).astype(np.int64)
            what = f"the last digit of {called}{'' if whole else ' (two decimals)'}"
            yield Column(what, digit, coded=True, source=name, own=False)
    for name, values in sequences.ids.items():
        if name in sequences.columns:
            continue
        if ids:
            yield Column(
                f"the column {source_column(name)}", values, coded=True, source=name, hashed=True
            )
        else:
            there = (values >= 0).astype(np.int64)
            yield Column(f"whether {source_column(name)} is given", there, coded=True, source=name)
    for name, divisor, modulus in DAY_FRACTIONS:
        part = sequences.time // divisor % modulus
        yield Column(name, part, coded=True, source="timestamp", own=False)


def last_given(values: np.ndarray, *, coded: bool) -> np.ndarray:
    """Return (n,) the last value that is not missing, of (n, LAST) values; -1 or NaN if none is."""
    given = values > MISSING if coded else np.isfinite(values)
    first = given.argmax(axis=1)
    none = -1 if coded else np.nan
    return np.where(given.any(axis=1), values[np.arange(len(values)), first], none)
