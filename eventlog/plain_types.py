"""The plain types of a log's columns: text, true or false, numbers, times in UTC.

The Parquet files of a log folder may come from any program, and Arrow has some forty types. What is
read from a folder, and what is written to one, has these few, so that no other code meets decimals,
unsigned numbers, dates, or the index that pandas keeps beside a table.
"""

from __future__ import annotations

import pyarrow as pa

from eventlog._runtime.errors import InputError
from eventlog.schema import Column, Kind

CODED = pa.dictionary(pa.int32(), pa.string())  # how texts are held
TIME = pa.timestamp("ms", tz="UTC")
# What a column of the schema is where no row has a value.
OF_KIND: dict[Kind, pa.DataType] = {
    "id": CODED,
    "categorical": CODED,
    "numeric": pa.float64(),
    "integer": pa.int64(),
    "time": TIME,
}


def plain(table: pa.Table, columns: dict[str, Column], where: str) -> pa.Table:
    """Return a table with columns of plain types only, and without metadata.

    Texts are dictionary-coded. Decimals are floats, dates and times without a zone are in UTC;
    but what the schema calls a time stays as it is, since a zone must not be guessed there.

    Args:
        table: a table of a log, or one that is to become one.
        columns: what the schema says of its columns. One without any value gets the type of it.
        where: what to call the table in a sentence.

    Raises:
        InputError: a column holds lists, objects, bytes, durations or the like, or whole numbers
            beyond 64 bits.
    """
    arrays = []
    for name, array in zip(table.column_names, table.columns, strict=True):
        known = columns.get(name)
        if known is not None and array.null_count == len(array):
            arrays.append(_nothing(len(array), OF_KIND[known.kind]))
            continue
        try:
            arrays.append(plain_column(array, None if known is None else known.kind))
        except InputError as error:
            raise InputError(f"{where}: the column {name!r} {error}; import it again.") from None
    return pa.table(arrays, names=table.column_names)


def plain_column(column: pa.ChunkedArray, known: Kind | None = None) -> pa.ChunkedArray:
    """Return a column in its plain type, text dictionary-coded.

    `known` is its kind in the schema. Raises InputError if it has none, with the second half of a
    sentence.
    """
    if pa.types.is_dictionary(column.type) and is_text(column.type.value_type):
        return pa.chunked_array([_coded(chunk) for chunk in column.chunks], CODED)
    if holds_text(column.type):
        return as_text(column).dictionary_encode()
    try:
        found = _plain(column, known)
    except pa.ArrowInvalid as error:
        raise _unreadable(error) from None
    if found is None:
        raise InputError(
            f"holds {column.type}, but a log has texts, numbers, true or false, and times"
        )
    return found


def holds_text(kind: pa.DataType) -> bool:
    """Return whether a column is text in a log: text, categories of anything, or no value."""
    return is_text(kind) or pa.types.is_dictionary(kind) or pa.types.is_null(kind)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column that `holds_text` as strings; raises as `plain_column`."""
    if column.type == pa.string():
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _unreadable(error) from None


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's three kinds of text."""
    return (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _unreadable(error: Exception) -> InputError:
    return InputError(f"has a value that cannot be read ({error})")


def _nothing(n: int, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column (n,) without any value."""
    nulls = pa.nulls(n, pa.string()).dictionary_encode() if kind == CODED else pa.nulls(n, kind)
    return pa.chunked_array([nulls])


def _plain(column: pa.ChunkedArray, known: Kind | None) -> pa.ChunkedArray | None:
    """Return a column that holds no text in its plain type, None if it has none."""
    kind, types = column.type, pa.types
    plain_already = (pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), TIME)
    if kind in plain_already:
        return column
    if types.is_integer(kind):  # products of narrow numbers overflow
        narrow = known == "numeric" or types.is_unsigned_integer(kind)
        return column.cast(pa.int64()) if narrow else column
    if types.is_floating(kind):
        return column.cast(pa.float32())
    if types.is_decimal(kind):
        return column.cast(pa.string()).cast(pa.float64())  # the direct way is not exact
    if types.is_timestamp(kind) or types.is_date(kind):
        if known == "time" and not (types.is_timestamp(kind) and kind.tz):
            return column
        exact = types.is_timestamp(kind) and kind.unit == "s"  # of others digits are cut off
        return column.cast(TIME, safe=exact)
    return None


def _coded(array: pa.DictionaryArray) -> pa.DictionaryArray:
    if array.type == CODED:
        return array
    return pa.DictionaryArray.from_arrays(
        array.indices.cast(pa.int32()), array.dictionary.cast(pa.string())
    )
