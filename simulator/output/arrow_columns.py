"""Integer codes as Arrow columns: ids that look random, dictionaries, a stable order of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from simulator.counter_rng import mixed

FEW = 8  # rows for each value, at least, of a column that is written by its codes


def stable_order(key: np.ndarray) -> np.ndarray:
    """Return (n,) int64 that sorts nonnegative `key` (n,), stably.

    A radix sort by digits of 16 bits: numpy's stable sort of uint16 is one.
    """
    order = np.argsort((key & 0xFFFF).astype(np.uint16), kind="stable")
    shift = 16
    while (int(key.max(initial=0)) >> shift) > 0:
        digit = ((key[order] >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digit, kind="stable")]
        shift += 16
    return order


def mix(values: np.ndarray, salt: int) -> np.ndarray:
    """Return (n,) uint64: a bijective scramble of nonnegative integers (n,).

    So ids look random and never collide.
    """
    return mixed(values.astype(np.uint64), np.uint64(salt))


def hexes(values: np.ndarray, prefix: str) -> pa.Array:
    """Return (n,) strings: `prefix` and the sixteen hex digits of each uint64."""
    big = np.ascontiguousarray(values, dtype=">u8").view(np.uint8).reshape(-1, 8)
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    out = np.empty((len(values), len(prefix) + 16), dtype=np.uint8)
    out[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    out[:, len(prefix) :: 2] = digits[big >> 4]
    out[:, len(prefix) + 1 :: 2] = digits[big & 15]
    width = out.shape[1]
    offsets = np.arange(len(values) + 1, dtype=np.int32) * width
    return pa.Array.from_buffers(
        pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(out.tobytes())]
    )


def dictionary(codes: np.ndarray, values: pa.Array) -> pa.DictionaryArray:
    """Return (n,) dictionary-coded strings; a negative code is a null."""
    codes = codes.astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), values)


def with_few_values(table: pa.Table) -> list[str]:
    """Return the dictionary-coded columns that have many more rows than values."""
    return [
        name
        for name, column in zip(table.column_names, table.columns, strict=True)
        if pa.types.is_dictionary(column.type)
        and column.num_chunks == 1
        and FEW * len(column.chunk(0).dictionary) < len(column)
    ]


def scrambled(
    codes: np.ndarray, salt: int, prefix: str, at: np.ndarray | None = None
) -> pa.DictionaryArray:
    """Return (n,) ids for integer codes (n,), -1 = null; or (m,) ids of the codes at `at` (m,).

    At place -1 there is no code.

    Equal codes get equal ids, and neither an id nor its place among the ids tells the code.
    """
    there = codes >= 0
    known, inverse = np.unique(codes[there], return_inverse=True)
    key = mix(known, salt)
    order = np.argsort(key)
    place = np.empty(len(known), dtype=np.int32)
    place[order] = np.arange(len(key), dtype=np.int32)
    index = np.full(len(codes) + 1, -1, dtype=np.int32)  # the last is that of place -1
    index[:-1][there] = place[inverse]
    return dictionary(index[:-1] if at is None else index[at], hexes(key[order], prefix))
