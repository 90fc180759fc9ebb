"""Import a table that is in memory: a data frame of pandas or Polars, an Arrow table.

It goes the way of a file, so that columns are recognised, rows checked and mistakes named alike.
Users call `EventLog.from_pandas`, `from_polars` and `from_arrow`.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.values import number_text
from eventlog.ingest.ingest import import_file
from eventlog.ingest.mapping import Mapping
from eventlog.log import EventLog

NOT_OF_ARROW = ("Int128", "UInt128", "Object")  # types of Polars: it hands on pointers of the last
# How notes begin that say what the log shows anyway.
EXPECTED = ("assumed that", "kept in addition", "taken as ids", "no role is known")


def from_pandas(frame: Any, **settings: Any) -> EventLog:
    """Import a pandas data frame; see EventLog.from_pandas."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"from_pandas takes a data frame of pandas, not {_kind(frame)}; others have "
            "from_polars and from_arrow."
        )
    levels = [name for name in frame.index.names if name is not None]
    if levels and not set(levels) & set(frame.columns):  # a user or a time may be the index
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    columns = [_array(frame.iloc[:, k], name) for k, name in enumerate(names)]
    return from_arrow(pa.Table.from_arrays(columns, names=names), **settings)


def from_polars(frame: Any, **settings: Any) -> EventLog:
    """Import a Polars data frame; see EventLog.from_polars."""
    frame = frame.collect() if hasattr(frame, "collect") else frame
    if not hasattr(frame, "to_arrow"):
        raise InputError(f"from_polars takes a data frame of Polars, not {_kind(frame)}.")
    kinds = getattr(frame, "schema", {})
    odd = [name for name, kind in kinds.items() if str(kind) in NOT_OF_ARROW]
    table = frame.drop(odd).to_arrow() if odd else frame.to_arrow()
    for name in odd:
        values = pd.Series(frame[name].to_list(), dtype=object)
        table = table.append_column(name, _array(values, name))
    return from_arrow(table, **settings)


def from_arrow(
    table: Any,
    *,
    mapping: Mapping | None = None,
    allow_rejects: Sequence[str] = (),
    currency: str | None = None,
) -> EventLog:
    """Import an Arrow table; see EventLog.from_arrow."""
    if not isinstance(table, pa.Table):
        try:
            table = pa.table(table)
        except (TypeError, ValueError, OverflowError, pa.ArrowException):
            raise InputError(
                f"from_arrow takes a table of Arrow, not {_kind(table)}; a data frame has "
                "from_pandas or from_polars."
            ) from None
    if table.num_rows == 0:
        raise InputError("The table has no rows; there is nothing to import.")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "log"
        summary = import_file(
            table, out, mapping=mapping, allow_rejects=allow_rejects, currency=currency
        )
        log = EventLog.read(out)
    if summary.rejects:
        reasons = "; ".join(f"{why}: {n:,}" for why, (n, _) in sorted(summary.rejects.items()))
        warnings.warn(f"Rows that are not events were left out ({reasons}).", stacklevel=4)
    for note in summary.notes:
        if not note.startswith(EXPECTED):
            warnings.warn(f"{note[0].upper()}{note[1:]}.", stacklevel=4)
    return log


def _array(values: pd.Series, name: str) -> pa.Array | pa.ChunkedArray:
    """Return a column as Arrow; values of several types become text, as in a file."""
    if isinstance(values.dtype, pd.PeriodDtype):
        values = values.dt.to_timestamp()
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass  # values of several types
    try:
        texts = [None if _missing(value) else _text(value) for value in values]
        return pa.array(texts, pa.string())
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"The column {name!r} has a value that cannot be read: {error}.") from None


def _text(value: Any) -> str | None:
    return number_text(float(value)) if isinstance(value, float | np.floating) else str(value)


def _missing(value: Any) -> bool:
    found = pd.isna(value)
    return isinstance(found, bool) and found


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
