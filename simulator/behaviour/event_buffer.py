"""The tape: where sessions write their rows, and how the rows of a shard become Arrow columns.

A roll is an array of records that grows by doubling; compiled code writes into it, and so does `add`. Rows of a shopper
stand in time on the tape, so a stable sort by user is all the sorting there is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

EVENTS = (
    "view_item", "search", "add_to_cart", "remove_from_cart", "begin_checkout", "add_payment_info", "payment_failed",
    "purchase", "refund", "review", "login", "coupon_offer", "coupon_redeem",
)
VIEW, SEARCH, CART, UNCART, CHECKOUT, PAYMENT, FAILED, PURCHASE, REFUND, REVIEW, LOGIN, OFFER, REDEEM = range(len(EVENTS))

ROW = np.dtype([
    ("time", "f8"), ("card", "i8"), ("session", "i4"), ("item", "i4"), ("order", "i4"), ("query", "i4"),
    ("price", "f4"), ("rating", "f4"), ("discount", "f4"), ("p_choice", "f4"),
    ("quantity", "i4"), ("rank", "i2"), ("coupon", "i2"), ("event", "i1"),
], align=True)
BLANK: dict[str, Any] = {"card": -1, "item": -1, "order": -1, "query": -1, "price": np.nan, "rating": np.nan, "discount": np.nan,
                         "p_choice": np.nan, "rank": -1, "coupon": -1}
SESSION = np.dtype([("device", "i8"), ("user", "i4"), ("ring", "i4"), ("country", "i1"), ("channel", "i1"), ("typology", "i1")], align=True)
ORDER = np.dtype([("time", "f8"), ("first", "i8"), ("lines", "i4"), ("user", "i4"), ("ring", "i4"), ("views", "i4"), ("typology", "i1")],
                 align=True)


class Roll:
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
        """Append `n` records with `columns`, (n,) arrays or one value for all; the rest is blank."""
        self.reserve(n)
        new = self.table[self.n:self.n + n]
        new[:] = self.blank
        for name, values in columns.items():
            new[name] = values
        self.n += n


class Tape(Roll):
    """The rows of a log."""

    def __init__(self) -> None:
        super().__init__(ROW, BLANK)

    def add(self, event: int, **columns: Any) -> None:
        """Append rows of one kind of event: `session` (n,) and any of ROW as (n,) arrays or one value for all."""
        self.extend(len(columns["session"]), event=event, **columns)


def stable_order(key: np.ndarray) -> np.ndarray:
    """(n,) int64 that sorts nonnegative `key` (n,), equals in their order: a radix sort by 16-bit digits, numpy's own for uint16."""
    order = np.argsort((key & 0xFFFF).astype(np.uint16), kind="stable")
    shift = 16
    while (int(key.max(initial=0)) >> shift) > 0:
        digit = ((key[order] >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digit, kind="stable")]
        shift += 16
    return order


def mix(values: np.ndarray, salt: int) -> np.ndarray:
    """(n,) uint64: a bijective scramble of nonnegative integers (splitmix64), so that ids look random and never collide."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(salt) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def hexes(values: np.ndarray, prefix: str) -> pa.Array:
    """(n,) strings: `prefix` and the sixteen hex digits of each uint64."""
    big = np.ascontiguousarray(values, dtype=">u8").view(np.uint8).reshape(-1, 8)
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    out = np.empty((len(values), len(prefix) + 16), dtype=np.uint8)
    out[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    out[:, len(prefix)::2] = digits[big >> 4]
    out[:, len(prefix) + 1::2] = digits[big & 15]
    width = out.shape[1]
    offsets = np.arange(len(values) + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(out.tobytes())])


def dictionary(codes: np.ndarray, values: pa.Array) -> pa.DictionaryArray:
    """(n,) dictionary-coded strings; a negative code is a null."""
    codes = codes.astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), values)


def scrambled(codes: np.ndarray, salt: int, prefix: str, at: np.ndarray | None = None) -> pa.DictionaryArray:
    """(n,) ids for integer codes (-1 = null), or (m,) of those at places `at` (m,).

    Equal codes get equal ids, and neither an id nor its place among the ids tells the code.
    """
    there = codes >= 0
    known, inverse = np.unique(codes[there], return_inverse=True)
    key = mix(known, salt)
    order = np.argsort(key)
    place = np.empty(len(known), dtype=np.int32)
    place[order] = np.arange(len(key), dtype=np.int32)
    index = np.full(len(codes), -1, dtype=np.int32)
    index[there] = place[inverse]
    return dictionary(index if at is None else index[at], hexes(key[order], prefix))
