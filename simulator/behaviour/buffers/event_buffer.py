"""Buffers of records: where sessions write the rows of a log, their sessions and orders.

A buffer is an array of records that grows by doubling. Compiled code writes into it directly, other
code through `add`. The rows of a shopper are written in the order of time, so a stable sort by user
is all the sorting there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

EVENT = np.dtype(
    [
        ("time", "f8"),  # seconds since the first day
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
        ("logged_in", "u1"),  # whether the shop knew whose session it was
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
        ("start", "f8"),  # seconds since the first day
        ("user", "i4"),
        ("ring", "i4"),
        ("engagement", "f4"),  # of the shopper, see shoppers.shopper_dtype
        ("country", "i1"),
        ("channel", "i1"),
        ("typology", "i1"),  # -1 = honest
    ],
    align=True,
)
ORDER = np.dtype(
    [
        ("time", "f8"),
        ("first", "i8"),  # its first line among the rows
        ("lines", "i4"),
        ("user", "i4"),
        ("ring", "i4"),
        ("views", "i4"),
        ("late", "u1"),  # whether it comes after the day promised
        ("typology", "i1"),
    ],
    align=True,
)
# A visit that is due: planned, caused by an earlier one, or an attack.
SCHEDULED_EVENT = np.dtype(
    [
        ("time", "f8"),
        ("scheduled_at", "f8"),  # -inf = before the log
        ("key", "u8"),  # of its draws
        ("user", "i8"),
        # order of a refund or review, number of an attack, item that a visit is for; -1 = nothing
        ("reference", "i8"),
        ("override", "i4"),  # row of the day's overrides, -1 = an honest visit
        ("kind", "i2"),  # checkout.BROWSE, event_codes.REFUND or REVIEW, fraudsters.ATTACK
    ],
    align=True,
)


def concatenated(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the records of one kind in `parts` (n,) each, one part after the other.

    They are copied as bytes; `np.concatenate` copies field by field, which takes ten times as long.
    """
    kind = parts[0].dtype
    return np.concatenate([part.view(f"V{kind.itemsize}") for part in parts]).view(kind)


class RecordBuffer:
    """Records of dtype `kind` in the order in which they were written; `n` says how many.

    `blank`: field -> value of what is not given; 0 otherwise.
    """

    def __init__(self, kind: np.dtype, blank: dict[str, Any] | None = None) -> None:
        self.table = np.zeros(0, dtype=kind)
        self.n = 0
        self.blank = np.zeros((), dtype=kind)
        for name, value in (blank or {}).items():
            self.blank[name] = value

    @property
    def written(self) -> np.ndarray:
        """(n,) the records so far, as a view."""
        return self.table[: self.n]

    def reserve(self, n: int) -> None:
        """Make room for `n` more records."""
        if self.n + n > len(self.table):
            table = np.empty(max(2 * len(self.table), self.n + n, 1024), dtype=self.table.dtype)
            table[: self.n] = self.written
            self.table = table

    def extend(self, n: int, **columns: Any) -> None:
        """Append `n` records with `columns`, (n,) arrays or one value for all."""
        self.reserve(n)
        new = self.table[self.n : self.n + n]
        new[:] = self.blank
        for name, values in columns.items():
            new[name] = values
        self.n += n


class EventBuffer(RecordBuffer):
    """The rows of a log."""

    def __init__(self) -> None:
        super().__init__(EVENT, BLANK)

    def add(self, event: int, **columns: Any) -> None:
        """Append n rows of one kind of event, of who is logged in.

        `columns`: `session` (n,), and other fields of EVENT as (n,) arrays or one value for all.
        """
        self.extend(len(columns["session"]), event=event, logged_in=1, **columns)
