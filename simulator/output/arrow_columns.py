"""NumPy arrays as Arrow columns: numbers, times, texts, codes, and ids that look random.

The columns are made from buffers: `pyarrow.array` imports pandas to look at what it is given, which
takes a tenth of the time of a small simulation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from simulator.counter_rng import mixed

TIME = pa.timestamp("ms", tz="UTC")
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


def numbers(values: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return (n,) numbers or truth values; null where `missing` (n,) bool."""
    if values.dtype == np.bool_:
        return _array(pa.bool_(), len(values), np.packbits(values, bitorder="little"), missing)
    kind = pa.from_numpy_dtype(values.dtype)
    return _array(kind, len(values), np.ascontiguousarray(values), missing)


def times(ms: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return (n,) instants of ms since 1970, (n,) int64; null where `missing` (n,) bool."""
    return _array(TIME, len(ms), np.ascontiguousarray(ms), missing)


def _array(kind: pa.DataType, n: int, data: np.ndarray, missing: np.ndarray | None) -> pa.Array:
    there = None
    if missing is not None and missing.any():
        there = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, n, [there, pa.py_buffer(data)])


def texts(values: Sequence[str]) -> pa.Array:
    """Return (n,) strings."""
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, encoded), np.int32, len(encoded)), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def table(columns: Mapping[str, pa.Array | np.ndarray]) -> pa.Table:
    """Return a table of columns; arrays of numbers have no nulls."""
    made = [numbers(c) if isinstance(c, np.ndarray) else c for c in columns.values()]
    return pa.table(made, names=list(columns))


def dictionary(codes: np.ndarray, values: pa.Array | Sequence[str]) -> pa.DictionaryArray:
    """Return (n,) dictionary-coded strings; a negative code is a null."""
    codes = codes.astype(np.int32)
    names = values if isinstance(values, pa.Array) else texts(values)
    return pa.DictionaryArray.from_arrays(numbers(codes, codes < 0), names)


def named(codes: np.ndarray, values: Sequence[str]) -> pa.Array:
    """Return (n,) plain strings of codes (n,); a negative code is a null."""
    return dictionary(codes, values).dictionary_decode()


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
