"""What the text formats share: times as text, and texts that a spreadsheet would run."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

# What a spreadsheet takes for a formula, and what looks like one that is protected already; a
# negative number is only a number.
FORMULA = r"^'*[=+@\t\r\n-]"
NUMBER = r"^-\d+(?:\.\d+)?$"


def times_as_text(table: pa.Table) -> pa.Table:
    """Return the table with times in ISO 8601 with Z, which the import reads back."""
    columns = [
        pc.strftime(c, format="%Y-%m-%dT%H:%M:%SZ") if pa.types.is_timestamp(c.type) else c
        for c in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def without_formulas(table: pa.Table) -> pa.Table:
    """Return the table with a ' before each text that a spreadsheet would run as a formula.

    It loses nothing: a text that has such a ' already gets a second one, and the import takes one
    away. See https://owasp.org/www-community/attacks/CSV_Injection.
    """
    columns = [_protected(column) for column in table.columns]
    names = _protected(pa.chunked_array([pa.array(table.column_names, pa.string())])).to_pylist()
    return pa.table(columns, names=names)


def _protected(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column
    runs = pc.match_substring_regex(column, FORMULA)
    if not pc.any(runs).as_py():
        return column
    runs = pc.and_(runs, pc.invert(pc.match_substring_regex(column, NUMBER)))
    return pc.if_else(runs, pc.binary_join_element_wise("'", column, ""), column)
