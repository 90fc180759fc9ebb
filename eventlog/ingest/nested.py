"""Flatten nested columns (structs, lists of structs, key-value lists) to columns named by path.

Paths, as a GA4 export needs them::

    "device.category"               a field of a struct
    "event_params[ga_session_id]"   the value under a key in a list of {key, value}; value may
                                    itself be a struct with one typed field of several filled in
    "items.item_id"                 with explode = "items": a row for each element; a row
                                    without elements stays one row
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def flatten(
    table: pa.Table, rows: np.ndarray, wanted: Iterable[str], explode: str | None
) -> tuple[pa.Table, np.ndarray, set[str]]:
    """Flatten the nested columns of a batch.

    Args:
        table: the batch.
        rows: (n_rows,) int64 row numbers in the file.
        wanted: paths that the mapping uses.
        explode: a list column to turn into rows, or None.

    Returns:
        The flat table, the row number of each of its rows, and the names of unused nested columns.
    """
    nested = {name for name in table.column_names if pa.types.is_nested(table[name].type)}
    if not nested:
        return table, rows, set()
    columns = {name: table[name] for name in table.column_names if name not in nested}
    used: set[str] = set()
    wanted = set(wanted)
    for path in sorted(wanted):
        root = re.split(r"[.\[]", path)[0]
        if root in nested and root != explode and path not in columns:
            value = (
                _under_key(table[root], path)
                if "[" in path
                else _field(table[root], path.split(".")[1:])
            )
            if value is not None:
                columns[path] = value
                used.add(root)
    flat = pa.table(columns)
    if explode is not None and explode in nested and pa.types.is_list(table[explode].type):
        used.add(explode)
        flat, rows = _explode(flat, table[explode].combine_chunks(), rows, explode, wanted)
    return flat, rows, nested - used


def _field(column: pa.ChunkedArray, path: list[str]) -> pa.ChunkedArray | None:
    for name in path:
        if not pa.types.is_struct(column.type) or column.type.get_field_index(name) < 0:
            return None
        column = pc.struct_field(column, name)
    return None if pa.types.is_nested(column.type) else column


def _under_key(column: pa.ChunkedArray, path: str) -> pa.Array | None:
    """Return the value under a key in each row's list of {key, value}."""
    match = re.fullmatch(r"[^\[]+\[([^\]]+)\]", path)
    array = column.combine_chunks()
    if (
        match is None
        or not pa.types.is_list(array.type)
        or not pa.types.is_struct(array.type.value_type)
    ):
        return None
    entries, parent = pc.list_flatten(array), pc.list_parent_indices(array).to_numpy()
    if array.type.value_type.get_field_index("key") < 0:
        return None
    here = np.flatnonzero(
        pc.fill_null(pc.equal(pc.struct_field(entries, "key"), match[1]), False).to_numpy(
            zero_copy_only=False
        )
    )
    value = pc.struct_field(entries, "value").take(pa.array(here))
    if pa.types.is_struct(value.type):
        texts = [
            pc.cast(pc.struct_field(value, i), pa.string())
            for i in range(value.type.num_fields)
            if not pa.types.is_nested(value.type.field(i).type)
        ]
        value = pc.coalesce(*texts)
    position = np.full(len(array), -1, dtype=np.int64)
    position[parent[here]] = np.arange(len(here))
    return value.take(pa.array(position, mask=position < 0))


def _explode(
    flat: pa.Table, lists: pa.ListArray, rows: np.ndarray, name: str, wanted: set[str]
) -> tuple[pa.Table, np.ndarray]:
    parent = pc.list_parent_indices(lists).to_numpy()
    alone = np.setdiff1d(np.arange(len(lists)), parent)  # rows without elements
    parent = np.append(parent, alone)
    element = np.append(np.arange(len(parent) - len(alone)), np.full(len(alone), -1))
    order = np.argsort(parent, kind="stable")
    parent, element = parent[order], element[order]
    values = pc.list_flatten(lists)
    flat = flat.take(pa.array(parent))
    if pa.types.is_struct(values.type):
        for i in range(values.type.num_fields):
            path = f"{name}.{values.type.field(i).name}"
            if path in wanted:
                flat = flat.append_column(
                    path, pc.struct_field(values, i).take(pa.array(element, mask=element < 0))
                )
    return flat, rows[parent]
