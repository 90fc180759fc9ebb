"""Bring columns of any reader to the few types that the conversion knows.

Text is dictionary-coded, whole numbers are int64, others float64, durations are seconds, lists are
plain lists. Whole numbers that no float holds become text, since they would lose digits beside a
missing value.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.ingest.columns.values import TEXT, WIDEST, plain_text

# What writers of Parquet put between a list and its elements: items.list[].element.
LIST_FIELDS = ("list", "bag", "array")
# What MongoDB writes around a value: {"$oid": "65a..."}.
WRAPPERS = frozenset(
    f"${name}" for name in ("oid", "date", "numberInt", "numberLong", "numberDouble",
                            "numberDecimal", "uuid", "symbol")
)  # fmt: skip
ELEMENT_FIELDS = ("element", "item", "array_element", "array")


def normalised(array: pa.Array) -> pa.Array:
    """Return a column in a type that the conversion knows; nested ones part by part."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return normalised(array.storage)
    if pa.types.is_run_end_encoded(kind):
        return normalised(pc.run_end_decode(array))
    if pa.types.is_fixed_size_binary(kind):  # such as a UUID: bytes that are no text
        codes = array.dictionary_encode()
        texts = pa.array([value.hex() for value in codes.dictionary.to_pylist()], pa.string())
        return pa.DictionaryArray.from_arrays(codes.indices.cast(pa.int32()), texts)
    if pa.types.is_dictionary(kind):
        return array if kind == TEXT else _decoded(array)
    if _is_text(kind):
        text = array if pa.types.is_string(kind) else array.cast(pa.string())
        return text.dictionary_encode()
    if pa.types.is_integer(kind):
        return _whole(array)
    if pa.types.is_floating(kind):
        return array if kind == pa.float64() else _narrow(array)
    if pa.types.is_decimal(kind):
        return _decimal(array)
    if pa.types.is_duration(kind):
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        return pc.divide(array.cast(pa.int64()).cast(pa.float64()), per_second)
    if pa.types.is_struct(kind):
        return _struct(array)
    if is_list(kind) or pa.types.is_map(kind):
        return _list(array)
    return array


def without_codes(array: pa.DictionaryArray) -> pa.Array:
    """Return the values of a column of codes; of an extension type, as pandas.cut has, storage."""
    values = array.dictionary
    return (values.storage if isinstance(values, pa.ExtensionArray) else values).take(array.indices)


def is_list(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's kinds of lists."""
    checks = (
        "is_list",
        "is_large_list",
        "is_fixed_size_list",
        "is_list_view",
        "is_large_list_view",
    )
    return any(getattr(pa.types, check)(kind) for check in checks if hasattr(pa.types, check))


def conform(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a flat column as `kind`, which `merged` gave for its type and others."""
    if column.type == kind:
        return column
    if pa.types.is_null(column.type):
        empty = pa.array([], pa.string()).dictionary_encode() if kind == TEXT else None
        return pa.chunked_array(
            [empty.take(pa.nulls(len(column), pa.int32()))]
            if empty is not None
            else [pa.nulls(len(column), kind)]
        )
    if kind == TEXT:
        return pa.chunked_array([plain_text(c).dictionary_encode() for c in column.chunks], TEXT)
    return column.cast(kind)


def merged(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type that holds the values of both: text where they differ in kind."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    numbers = [pa.types.is_integer(k) or pa.types.is_floating(k) for k in (one, other)]
    if all(numbers):
        return pa.float64()
    both_times = pa.types.is_timestamp(one) and pa.types.is_timestamp(other)
    if both_times and one.tz == other.tz:
        units = ("s", "ms", "us", "ns")
        return pa.timestamp(max(one.unit, other.unit, key=units.index), one.tz)
    return TEXT


def _is_text(kind: pa.DataType) -> bool:
    view = hasattr(pa.types, "is_string_view") and pa.types.is_string_view(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or view


def _decoded(array: pa.DictionaryArray) -> pa.Array:
    """Return a dictionary of another type; codes of text stay codes."""
    if not _is_text(array.type.value_type):
        return normalised(without_codes(array))
    values = array.dictionary.cast(pa.string())
    return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), values)


def _whole(array: pa.Array) -> pa.Array:
    ends = pc.min_max(array)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is not None and (low <= -WIDEST or high >= WIDEST):
        return array.cast(pa.string()).dictionary_encode()
    return array if array.type == pa.int64() else array.cast(pa.int64())


def _narrow(array: pa.Array) -> pa.Array:
    """Return a float16 or float32 as the float64 of its digits: 9.99, not 9.989999771."""
    distinct = array.cast(pa.float32()).dictionary_encode()
    numbers = distinct.dictionary.cast(pa.string()).cast(pa.float64())
    return numbers.take(distinct.indices)


def _decimal(array: pa.Array) -> pa.Array:
    """Return decimals as numbers, or as text where a float would not hold their digits."""
    if array.type.precision > 15:
        text = array.cast(pa.string())
        text = pc.replace_substring_regex(text, r"(\.\d*?)0+$", r"\1")
        return pc.replace_substring_regex(text, r"\.$", "").dictionary_encode()
    return array.cast(pa.string()).cast(pa.float64())  # the direct way is not exact


def _struct(array: pa.StructArray) -> pa.Array:
    kind = array.type
    if kind.num_fields == 0:
        return pa.nulls(len(array))
    if kind.num_fields == 1 and kind.field(0).name in LIST_FIELDS and is_list(kind.field(0).type):
        inner = kind.field(0).type.value_type
        alone = pa.types.is_struct(inner) and inner.num_fields == 1
        if alone and inner.field(0).name in ELEMENT_FIELDS:
            return _list(array.flatten()[0], inside=True)
    if kind.num_fields == 1 and kind.field(0).name in WRAPPERS:
        return normalised(array.flatten()[0])
    parts = [normalised(part) for part in array.flatten()]
    names = [kind.field(i).name for i in range(kind.num_fields)]
    return pa.StructArray.from_arrays(parts, names, mask=array.is_null())


def _list(array: pa.Array, *, inside: bool = False) -> pa.ListArray:
    """Return any list or map as a list of normalised values; `inside`: of its only field."""
    if pa.types.is_map(array.type):
        key, item = pa.field("key", array.type.key_type), pa.field("value", array.type.item_type)
        array = array.cast(pa.list_(pa.struct([key, item])))
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    values = array.flatten()
    if inside:
        values = values.flatten()[0]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), normalised(values), mask=array.is_null())
