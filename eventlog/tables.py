"""The tables of a log beside its events: read users, items, labels and truth, and check them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.columns import misfits
from eventlog.log_folder import TABLES, read_frame
from eventlog.schema import TABLE_COLUMNS

UNIQUE = ("users", "items")  # have one row for each id


def read_tables(path: Path) -> dict[str, pd.DataFrame]:
    """Return the users, items and labels of a log folder, as far as it has them.

    Raises InputError if a file is damaged, or if `faults` finds something.
    """
    found = {}
    for name in TABLES:
        file = path / f"{name}.parquet"
        if file.exists():
            found[name] = _read(file, name)
    return found


def read_truth(path: Path, names: Collection[str] | None = None) -> dict[str, pd.DataFrame]:
    """Return the truth tables of a log folder, or those called `names`; raises as `read_tables`."""
    files = sorted((path / "truth").glob("*.parquet"))
    return {f.stem: _read(f, "truth") for f in files if names is None or f.stem in names}


def faults(table: pd.DataFrame, name: str) -> Iterator[tuple[str, np.ndarray | None, str]]:
    """Yield what is wrong with a table: the column, the rows (n,) bool or None, a sentence part.

    `name` is one of TABLES, or "truth".
    """
    columns = TABLE_COLUMNS[name]
    required = [column.name for column in columns.values() if column.required]
    has = ", ".join(map(str, table.columns)) or "none"
    wrong = dict(misfits(table, columns))
    for column in required:
        if column not in table:
            yield column, None, f"the column is required; the columns are {has}"
    for column, text in wrong.items():
        yield column, None, text
    for column in required:
        if column not in table or column in wrong:
            continue
        yield column, table[column].isna().to_numpy(), "has no value"
        if name in UNIQUE:
            yield column, table[column].duplicated().to_numpy(), "occurs twice"


def _read(file: Path, name: str) -> pd.DataFrame:
    table = read_frame(file)
    for column, rows, text in faults(table, name):
        if rows is None:
            raise InputError(f"{file}, column {column}: {text}.")
        if rows.any():
            raise InputError(f"{file}, column {column}, row {int(np.argmax(rows)):,}: {text}.")
    return table
