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
from eventlog.log_folder import part_paths, read_arrow, refuse_other_files, refuse_twice


def part_tables(
    path: Path, columns: Sequence[str] | None = None, whole: pa.Schema | None = None
) -> Iterator[tuple[Path, pa.Table]]:
    """Yield the parts of a log, each with the columns and types that the whole log has.

    `columns`: those to read, as far as the log has them; None for all. `whole`: `whole_schema`, if
    it is at hand. Raises InputError if parts do not fit together.
    """
    whole = whole_schema(path) if whole is None else whole
    names = [name for name in whole.names if columns is None or name in columns]
    for part in part_paths(path):
        yield part, _part_table(part, names, whole)  # of which this generator keeps nothing


def _part_table(part: Path, names: list[str], whole: pa.Schema) -> pa.Table:
    table = read_arrow(part, names)
    return pa.table([_as_whole(table, whole.field(name)) for name in names], names=names)


def whole_schema(path: Path) -> pa.Schema:
    """Return the columns of all parts; whole numbers that a row lacks are floats, as in pandas."""
    footers = {part: _footer(part) for part in part_paths(path)}
    schemas = [footer.schema.to_arrow_schema() for footer in footers.values()]
    try:
        whole = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"{path}/events has parts that do not fit together: {error}.") from None
    for i, field in enumerate(whole):
        if pa.types.is_integer(field.type) and (
            any(field.name not in schema.names for schema in schemas)
            or any(_lacks_a_value(part, footers[part], field.name) for part in footers)
        ):
            whole = whole.set(i, field.with_type(pa.float64()))
    return whole


def _footer(part: Path) -> pq.FileMetaData:
    refuse_other_files(part)
    try:
        footer = pq.read_metadata(part)
        names = footer.schema.to_arrow_schema().names
    except (pa.ArrowException, OSError, ValueError):
        read_arrow(part)  # says what is wrong
        raise
    refuse_twice(names, part)
    return footer


def _lacks_a_value(part: Path, footer: pq.FileMetaData, name: str) -> bool:
    """Return whether a row of a part has no value in a column."""
    place = footer.schema.to_arrow_schema().names.index(name)
    known = [footer.row_group(i).column(place).statistics for i in range(footer.num_row_groups)]
    if any(found is None or not found.has_null_count for found in known):
        return bool(read_arrow(part, [name])[name].null_count)
    return any(found.null_count for found in known)


def _as_whole(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    if field.name not in table.column_names:
        empty = pa.nulls(table.num_rows, field.type)
        text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        return pa.chunked_array([empty.dictionary_encode() if text else empty])
    column = table[field.name]
    same = pa.types.is_dictionary(column.type) or column.type == field.type
    return column if same else column.cast(field.type)
