"""NumPy arrays as Arrow columns: numbers, times, texts, codes, and ids that look random.

The columns are made from buffers: `pyarrow.array` imports pandas to look at what it is given, which
takes a tenth of the time of a small simulation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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
    return _strings(np.arange(len(values) + 1, dtype=np.int32) * out.shape[1], out)


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
    return pa.Array.from_buffers(kind, n, [_validity(missing), pa.py_buffer(data)])


def _strings(
    offsets: np.ndarray, letters: np.ndarray | bytes, missing: np.ndarray | None = None
) -> pa.StringArray:
    """(n,) strings: string i is the bytes of `letters` from `offsets[i]` to `offsets[i + 1]`."""
    buffers = [_validity(missing), pa.py_buffer(offsets), pa.py_buffer(letters)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


def _validity(missing: np.ndarray | None) -> pa.Buffer | None:
    """Arrow's bits of what is not `missing` (n,) bool; None where all is there."""
    if missing is None or not missing.any():
        return None
    return pa.py_buffer(np.packbits(~missing, bitorder="little"))


def texts(values: Sequence[str]) -> pa.Array:
    """Return (n,) strings."""
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, encoded), np.int32, len(encoded)), out=offsets[1:])
    return _strings(offsets, b"".join(encoded))


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
    return decoded(dictionary(codes, values))


def decoded(column: pa.DictionaryArray) -> pa.StringArray:
    """Return (n,) plain strings of a dictionary-coded column, nulls where it has them.

    `dictionary_decode` does the same, and imports `pyarrow.compute`, which takes a hundredth of the
    time of a simulation of 700,000 rows.
    """
    place = slice(column.offset, column.offset + len(column))
    known, data = column.indices.buffers()
    codes = np.frombuffer(data, dtype=column.indices.type.to_pandas_dtype())[place]
    missing = None
    if known is not None:
        bits = np.unpackbits(np.frombuffer(known, dtype=np.uint8), bitorder="little")
        missing = bits[place] == 0
    there = codes if missing is None else codes[~missing]
    begin, letters = _letters(column.dictionary)
    length = np.diff(begin)
    widest = int(length.max(initial=0))
    if (length == widest).all():  # ids
        written = letters[begin[0] : begin[-1]].reshape(len(length), widest).take(there, axis=0)
    else:
        rows = letters.take(np.arange(widest) + begin[:-1, None], mode="clip").take(there, axis=0)
        written = rows[np.arange(widest) < length[there, None]]
    offsets = np.zeros(len(codes) + 1, dtype=np.int32)
    if missing is None:
        np.cumsum(length[there], out=offsets[1:])
    else:
        offsets[1:][~missing] = length[there]
        np.cumsum(offsets, out=offsets)
    return _strings(offsets, written, missing)


def _letters(strings: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """(n + 1,) offsets of n strings, none of them null, and the bytes that they point into."""
    _, begin, letters = strings.buffers()
    if begin is None or letters is None:
        return np.zeros(len(strings) + 1, dtype=np.int32), np.zeros(0, dtype=np.uint8)
    place = slice(strings.offset, strings.offset + len(strings) + 1)
    return np.frombuffer(begin, np.int32)[place], np.frombuffer(letters, np.uint8)


def plain(table: pa.Table, keep: Collection[str] = ()) -> pa.Table:
    """Return `table` with plain strings for its dictionary-coded columns, but for those to `keep`.

    The columns are single chunks, as in a table that was just made.
    """
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pa.types.is_dictionary(column.type) and column.num_chunks == 1 and name not in keep:
            table = table.set_column(place, name, decoded(column.chunk(0)))
    return table


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
