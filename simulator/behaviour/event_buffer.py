"""The tape: where sessions write their rows, and how the rows of a shard become Arrow columns.

A roll is an array of records that grows by doubling; compiled code writes into it, and so does
`add`. Rows of a shopper stand in time on the tape, so a stable sort by user is all the sorting
there is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ROW = np.dtype(
    [
        ("time", "f8"),
        ("card", "i8"),
        ("session", "i4"),
        ("item", "i4"),
        ("order", "i4"),
        ("query", "i4"),
        ("price", "f4"),
        ("rating", "f4"),
        ("discount", "f4"),
        ("p_choice", "f4"),
        ("quantity", "i4"),
        ("rank", "i2"),
        ("coupon", "i2"),
        ("event", "i1"),
    ],
    align=True,
)
BLANK: dict[str, Any] = {
    "card": -1,
    "item": -1,
    "order": -1,
    "query": -1,
    "price": np.nan,
    "rating": np.nan,
    "discount": np.nan,
    "p_choice": np.nan,
    "rank": -1,
    "coupon": -1,
}
SESSION = np.dtype(
    [
        ("device", "i8"),
        ("user", "i4"),
        ("ring", "i4"),
        ("country", "i1"),
        ("channel", "i1"),
        ("typology", "i1"),
    ],
    align=True,
)
ORDER = np.dtype(
    [
        ("time", "f8"),
        ("first", "i8"),
        ("lines", "i4"),
        ("user", "i4"),
        ("ring", "i4"),
        ("views", "i4"),
        ("typology", "i1"),
    ],
    align=True,
)


class RecordBuffer:
    """Records in the order in which they were written: `written` is a view of them."""

    def __init__(self, kind: np.dtype, blank: dict[str, Any] | None = None) -> None:
        self.table = np.zeros(0, dtype=kind)
        self.n = 0
        self.blank = np.zeros((), dtype=kind)
        for name, value in (blank or {}).items():
            self.blank[name] = value

    @property
    def written(self) -> np.ndarray:
        """(n,) records so far."""
        return self.table[: self.n]

    def reserve(self, n: int) -> None:
        """Make room for `n` more records."""
        if self.n + n > len(self.table):
            table = np.empty(max(2 * len(self.table), self.n + n, 1024), dtype=self.table.dtype)
            table[: self.n] = self.written
            self.table = table

    def extend(self, n: int, **columns: Any) -> None:
        """Append `n` records with `columns`, (n,) arrays or one value for all; the rest is
        blank.
        """
        self.reserve(n)
        new = self.table[self.n : self.n + n]
        new[:] = self.blank
        for name, values in columns.items():
            new[name] = values
        self.n += n


class EventBuffer(RecordBuffer):
    """The rows of a log."""

    def __init__(self) -> None:
        super().__init__(ROW, BLANK)

    def add(self, event: int, **columns: Any) -> None:
        """Append rows of one kind of event: `session` (n,) and any of ROW as (n,) arrays or one
        value for all.
        """
        self.extend(len(columns["session"]), event=event, **columns)
