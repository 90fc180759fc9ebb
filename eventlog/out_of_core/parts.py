"""Read a log folder part by part, or column by column, as if it was read whole.

A part may lack a column that others have, or hold whole numbers where another has none for some
row. Read whole, both would be one column of one type; here, too, they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError
from eventlog.log_folder import part_paths, read_arrow, refuse_twice


def part_tables(
    path: Path, columns: Sequence[str] | None = None
) -> Iterator[tuple[Path, pa.Table]]:
    """Yield the parts of a log, each with the columns and types that the whole log has.

    `columns`: those to read, as far as the log has them; None for all. Raises InputError if parts
    do not fit together.
    """
    whole = whole_schema(path)
    names = [name for name in whole.names if columns is None or name in columns]
    for part in part_paths(path):
        table = read_arrow(part, names)
        yield part, pa.table([_as_whole(table, whole.field(name)) for name in names], names=names)


def whole_schema(path: Path) -> pa.Schema:
    """Return the columns of all parts; whole numbers that a row lacks are floats, as in pandas."""
    parts = part_paths(path)
    schemas, lacking = [], set()
    for part in parts:
        try:
            meta = pq.read_metadata(part)
        except (pa.ArrowException, OSError, ValueError):
            read_arrow(part)  # says what is wrong
            raise
        schemas.append(meta.schema.to_arrow_schema())
        lacking |= _with_missing(meta)
    refuse_twice(schemas[0].names, parts[0])
    try:
        whole = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"{path}/events has parts that do not fit together: {error}.") from None
    in_some = {name for name in whole.names if any(name not in s.names for s in schemas)}
    for i, field in enumerate(whole):
        if pa.types.is_integer(field.type) and field.name in lacking | in_some:
            whole = whole.set(i, field.with_type(pa.float64()))
    return whole


def _with_missing(meta: pq.FileMetaData) -> set[str]:
    """Return the columns of a file in which a row has no value, or may have none."""
    found = set()
    for group in range(meta.num_row_groups):
        for i in range(meta.num_columns):
            column = meta.row_group(group).column(i)
            known = column.statistics
            if known is None or not known.has_null_count or known.null_count:
                found.add(column.path_in_schema)
    return found


def _as_whole(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        empty = pa.nulls(table.num_rows, field.type)
        text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        return pa.chunked_array([empty.dictionary_encode() if text else empty])
    column = table[field.name]
    same = pa.types.is_dictionary(column.type) or column.type == field.type
    return column if same else column.cast(field.type)
