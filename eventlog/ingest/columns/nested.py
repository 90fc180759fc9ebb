"""Flatten nested columns (structs, lists of structs, key-value lists) to columns named by path.

Paths, as a GA4 export needs them::

    "device.category"               a field of a struct
    "event_params[ga_session_id]"   the value under a key in a list of {key, value}; value may
                                    itself be a struct with one typed field of several filled in
    "items.item_id"                 with explode = "items": a row for each element; a row
                                    without elements stays one row
    "items"                         with explode = "items": an element that is a plain value; one
                                    that is missing is no element

Every field of a struct becomes a column, whether a mapping names it or not. Of lists only the one
that is exploded and the keys that a mapping names are read.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.normalise import normalised
from eventlog.ingest.columns.values import TEXT, plain_text
from eventlog.ingest.reading.json_lines import array_of, table_of

BESIDE = re.compile(r"""(['"])\s+['"]""")  # 'a' 'b', as numpy writes; Python reads one text


def flatten(
    table: pa.Table,
    rows: np.ndarray,
    wanted: Iterable[str],
    explode: str | None,
    separator: str | None = None,
) -> tuple[pa.Table, np.ndarray, set[str]]:
    """Flatten the nested columns of a batch.

    Args:
        table: the batch, normalised.
        rows: (n_rows,) int64 row numbers in the file.
        wanted: paths that the mapping uses.
        explode: a list column to turn into rows, or None.
        separator: between the elements of a list that is written as text.

    Returns:
        The flat table, the row number of each of its rows, and the names of unused lists.

    Raises:
        InputError: the text of a list is not valid JSON.
    """
    if explode in table.column_names:
        lists = _lists(table[explode], str(explode), separator)
        table = table.set_column(table.column_names.index(explode), explode, lists)
    if not any(pa.types.is_nested(kind) for kind in table.schema.types):
        return table, rows, set()
    columns = leaves({name: table[name].combine_chunks() for name in table.column_names})
    lists = {name: c for name, c in columns.items() if pa.types.is_nested(c.type)}
    flat = {name: c for name, c in columns.items() if name not in lists}
    used: dict[str, list[str]] = {}
    for path in sorted(set(wanted)):
        match = re.fullmatch(r"([^\[]+)\[([^\]]+)\]", path)
        if match and match[1] in lists and path not in flat:
            value = _under_key(lists[match[1]], match[2])
            if value is not None:
                flat[path] = value
                used.setdefault(match[1], []).append(match[2])
    left_out = {name for name in lists if name not in used and name != explode}
    left_out |= {f"{name} (but {', '.join(keys)})" for name, keys in used.items()}
    if explode is not None and explode in lists:
        names, values = list(flat), list(flat.values())
        table, rows, inner = _explode(pa.table(values, names), lists[explode], rows, explode)
        return table, rows, left_out | inner
    # A table of lists only has rows too.
    return pa.table(flat) if flat else table.select([]), rows, left_out


def leaves(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Return columns with each struct replaced by its fields, by path; a flat column wins."""
    found = {name: c for name, c in columns.items() if not pa.types.is_struct(c.type)}
    for name, column in columns.items():
        if pa.types.is_struct(column.type):
            fields = [column.type.field(i).name for i in range(column.type.num_fields)]
            parts = dict(zip((f"{name}.{f}" for f in fields), column.flatten(), strict=True))
            found = leaves(parts) | found
    return found


def _under_key(array: pa.ListArray, key: str) -> pa.Array | None:
    """Return the value under a key in each row's list of {key, value}."""
    kind = array.type.value_type
    if not pa.types.is_struct(kind) or kind.get_field_index("key") < 0:
        return None
    entries, parent = pc.list_flatten(array), pc.list_parent_indices(array).to_numpy()
    fields = dict(
        zip([kind.field(i).name for i in range(kind.num_fields)], entries.flatten(), strict=True)
    )
    if "value" not in fields:
        return None
    keys = plain_text(_undictionaried(fields["key"]))
    here = np.flatnonzero(pc.fill_null(pc.equal(keys, key), False).to_numpy(zero_copy_only=False))
    value = fields["value"].take(pa.array(here))
    if pa.types.is_struct(value.type):
        texts = [
            plain_text(_undictionaried(part))
            for part in value.flatten()
            if not pa.types.is_nested(part.type)
        ]
        value = pc.coalesce(*texts).dictionary_encode() if texts else pa.nulls(len(value))
    position = np.full(len(array), -1, dtype=np.int64)
    position[parent[here]] = np.arange(len(here))
    return value.take(pa.array(position, mask=position < 0))


def _undictionaried(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _explode(
    flat: pa.Table, lists: pa.ListArray, rows: np.ndarray, name: str
) -> tuple[pa.Table, np.ndarray, set[str]]:
    """Return a row for each element, the row numbers, and the lists inside elements."""
    parent, elements = pc.list_parent_indices(lists).to_numpy(), pc.list_flatten(lists)
    if not pa.types.is_nested(elements.type):  # a plain value that is missing is no element
        present = elements.is_valid().to_numpy(zero_copy_only=False)
        parent, elements = parent[present], elements.drop_null()
    alone = np.setdiff1d(np.arange(len(lists)), parent)  # rows without elements
    parent = np.append(parent, alone)
    element = np.append(np.arange(len(elements)), np.full(len(alone), -1))
    order = np.argsort(parent, kind="stable")
    parent, element = parent[order], element[order]
    place = pa.array(element, mask=element < 0)
    out = {n: flat[n].take(pa.array(parent)) for n in flat.column_names}
    inner = set()
    for path, values in leaves({name: elements}).items():
        if pa.types.is_nested(values.type):
            inner.add(path)
        elif path not in out:
            out[path] = pa.chunked_array([values.take(place)])
    return pa.table(out), rows[parent], inner


# --- lists that are written in another way --------------------------------------------------------


def _lists(column: pa.ChunkedArray, name: str, separator: str | None) -> pa.ChunkedArray:
    """Return a column of texts or of objects as one of lists, if it can be."""
    kind = column.type
    if kind == TEXT:
        return _split(column, name, separator)
    fields = [kind.field(i) for i in range(kind.num_fields)] if pa.types.is_struct(kind) else []
    if fields and all(pa.types.is_list(field.type) for field in fields):
        return pa.chunked_array([_zipped(column.combine_chunks(), name)])
    return column


def _zipped(array: pa.StructArray, name: str) -> pa.ListArray:
    """Return {"id": [1, 2], "price": [3, 4]} as [{"id": 1, "price": 3}, {"id": 2, "price": 4}]."""
    parts = array.flatten()
    lengths = [pc.fill_null(pc.list_value_length(p), 0).to_numpy() for p in parts]
    wrong = np.flatnonzero((np.stack(lengths) != lengths[0]).any(axis=0))
    if len(wrong):
        raise InputError(
            f"{name} is exploded, but its lists have different lengths, "
            f"{', '.join(str(n[wrong[0]]) for n in lengths)}; make them as long as each other."
        )
    names = [array.type.field(i).name for i in range(array.type.num_fields)]
    elements = pa.StructArray.from_arrays([pc.list_flatten(p) for p in parts], names)
    offsets = np.concatenate([[0], np.cumsum(lengths[0])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), elements)


def _split(column: pa.ChunkedArray, name: str, separator: str | None) -> pa.ChunkedArray:
    """Return a column of lists that are written as text: JSON, or with a separator."""
    chunks = []
    for chunk in column.chunks:
        values = chunk.dictionary
        lists = _json_lists(values, name) if separator is None else _parts(values, separator)
        chunks.append(normalised(lists).take(chunk.indices))
    return pa.chunked_array(chunks)


def _parts(values: pa.Array, separator: str) -> pa.ListArray:
    """Return texts such as "a|b", [a, b] or {a,b} as lists, without quotes around elements."""
    texts = pc.utf8_trim_whitespace(values)
    texts = pc.replace_substring_regex(texts, r"^(?:\[([^\[\]]*)\]|\{([^{}]*)\})$", r"\1\2")
    lists = pc.split_pattern(texts, separator)
    parts = pc.utf8_trim_whitespace(lists.flatten())
    parts = pc.replace_substring_regex(parts, r"""^(?:"(.*)"|'(.*)')$""", r"\1\2")
    parts = pc.if_else(pc.equal(parts, ""), None, parts)  # a|b| has two
    return pa.ListArray.from_arrays(lists.offsets, parts)


def _json_lists(values: pa.Array, name: str) -> pa.Array:
    """Return texts that are lists in JSON, or as Python writes them, as lists."""
    texts = [text.strip() or "null" for text in values.to_pylist()]
    wrong = next((t for t in texts if not t.startswith("[") and t != "null"), None)
    if wrong is not None:
        raise _no_list(wrong, name)
    if not texts:
        return pa.nulls(0, pa.list_(pa.string()))
    lines = "".join('{"x":' + text.replace("\n", " ") + "}\n" for text in texts)
    try:
        return table_of(lines.encode(), name)["x"].combine_chunks()
    except InputError:  # perhaps ['a', 'b']
        return array_of([_python_list(text, name) for text in texts])


def _python_list(text: str, name: str) -> list[Any] | None:
    """Return a list in JSON or as Python writes it. Raises InputError if it is none."""
    try:
        return json.loads(text)  # type: ignore[no-any-return]
    except (ValueError, RecursionError):
        pass
    try:
        if not BESIDE.search(text):
            return json.loads(json.dumps(ast.literal_eval(text)))  # type: ignore[no-any-return]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    raise _no_list(text, name)


def _no_list(text: str, name: str) -> InputError:
    mark = next((mark for mark in ",;|/" if mark in text), " ")
    return InputError(
        f"{name} is exploded, but {text[:40]!r} in it is no list in JSON; if it is a list with a "
        f"separator, add separator = {mark!r} (or another) to [file] of the mapping."
    )
