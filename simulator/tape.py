"""The tape: where bursts write their rows, and how the rows of a shard become Arrow tables.

Rows come in chunks, one chunk per kind of event and step of a burst; a chunk carries only the columns that its kind
of event has. At the end the columns are laid out flat and sorted by user and time (stable, so that rows of one
instant keep the order in which they happened).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

EVENTS = (
    "view_item", "search", "add_to_cart", "remove_from_cart", "begin_checkout", "add_payment_info", "payment_failed",
    "purchase", "refund", "review", "login",
)
VIEW, SEARCH, CART, UNCART, CHECKOUT, PAYMENT, FAILED, PURCHASE, REFUND, REVIEW, LOGIN = range(len(EVENTS))

# name -> (type, value where a chunk does not say)
COLUMNS: dict[str, tuple[Any, Any]] = {
    "session": (np.int32, -1), "time": (np.float64, 0.0), "item": (np.int32, -1), "price": (np.float32, np.nan),
    "quantity": (np.int32, 0), "rating": (np.float32, np.nan), "discount": (np.float32, np.nan), "order": (np.int32, -1),
    "query": (np.int32, -1), "card": (np.int64, -1), "p_choice": (np.float32, np.nan), "rank": (np.int32, -1),
}


class Tape:
    """Chunks of rows in the order in which they were written."""

    def __init__(self) -> None:
        self.chunks: list[tuple[int, int, dict[str, Any]]] = []

    def add(self, event: int, **columns: Any) -> None:
        """Append rows of one kind of event: `session` (n,) and any of COLUMNS as (n,) arrays or one value for all."""
        n = len(columns["session"])
        if n:
            self.chunks.append((event, n, columns))

    def columns(self) -> dict[str, np.ndarray]:
        """All rows as flat arrays, in the order in which they were written."""
        sizes = [n for _, n, _ in self.chunks]
        total = sum(sizes)
        flat = {name: np.full(total, default, dtype=kind) for name, (kind, default) in COLUMNS.items()}
        flat["event"] = np.repeat(np.array([e for e, _, _ in self.chunks], dtype=np.int8), sizes)
        start = 0
        for _, n, columns in self.chunks:
            for name, values in columns.items():
                flat[name][start:start + n] = values
            start += n
        return flat


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


def scrambled(codes: np.ndarray, salt: int, prefix: str) -> pa.DictionaryArray:
    """(n,) ids for integer codes (-1 = null): equal codes get equal ids, and neither an id nor its place among the ids tells the code."""
    known, index = np.unique(codes, return_inverse=True)
    missing = int(len(known) > 0 and known[0] < 0)
    key = mix(known[missing:], salt)
    order = np.argsort(key)
    place = np.empty(len(known), dtype=np.int32)
    place[:missing], place[missing:][order] = -1, np.arange(len(key))
    return dictionary(place[index], hexes(key[order], prefix))
