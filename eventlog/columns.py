"""The columns of a log and their types: which contradict the schema, and how they fit it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from eventlog.schema import COLUMNS, TIME, Column, Kind


def misfits(
    table: pd.DataFrame, columns: Mapping[str, Column] = COLUMNS
) -> Iterator[tuple[str, str]]:
    """Yield each column of the schema whose type it does not allow: its name, and a sentence part.

    A column without any value fits. `columns` is what the schema says of the table.
    """
    for name, column in columns.items():
        if name not in table:
            continue
        kind = table[name].dtype
        if not _fits(column.kind, kind) and not table[name].isna().all():
            yield name, f"has type {kind}, but the schema says {column.kind}"


def _fits(wanted: Kind, kind: Any) -> bool:
    types = pd.api.types
    if wanted == "time":
        return isinstance(kind, pd.DatetimeTZDtype)
    if wanted in ("id", "categorical"):
        text = isinstance(kind, pd.CategoricalDtype | pd.StringDtype)
        return text or types.is_object_dtype(kind)
    if wanted == "integer":
        return types.is_integer_dtype(kind)
    return bool(types.is_integer_dtype(kind) or types.is_float_dtype(kind))


def to_ms(time: pd.Timestamp) -> int:
    """Return an instant as ms since 1970 UTC, the unit of `Sequences.time` and `Queries.time`."""
    return int(time.value // 1_000_000)  # Timestamp.value is in ns, whatever the unit


def tidy(events: pd.DataFrame) -> pd.DataFrame:
    """Return `events` with the schema's types; unknown text columns become categories.

    Ids and categoricals become categories, times datetime64[ms, UTC], numbers float64;
    a float32 column, as simulated logs have it, stays as it is, since every value is exact in it.
    """
    out = {}
    for name, values in events.items():
        column = COLUMNS.get(str(name))
        kind = column.kind if column else None
        if kind == "time" or (column is None and isinstance(values.dtype, pd.DatetimeTZDtype)):
            out[name] = values.astype(TIME)
        elif kind in ("id", "categorical") or (
            kind is None and (values.dtype == object or isinstance(values.dtype, pd.StringDtype))
        ):
            if not isinstance(values.dtype, pd.CategoricalDtype):
                values = values.astype("string").astype(object).astype("category")
            out[name] = values
        elif kind == "numeric" and values.dtype != "float32":
            out[name] = values.astype("float64")
        else:
            out[name] = values
    return pd.DataFrame(out, index=events.index)


def drop_unused_categories(events: pd.DataFrame) -> pd.DataFrame:
    """Remove the category levels that no row has, so that none leaks through a vocabulary."""
    return events.assign(
        **{
            str(name): _used_categories(values)
            for name, values in events.items()
            if isinstance(values.dtype, pd.CategoricalDtype)
        }
    )


def _used_categories(values: pd.Series) -> pd.Series:
    """Return `values.cat.remove_unused_categories()`, by counting and not by sorting the codes."""
    codes, levels = values.cat.codes.to_numpy(), values.cat.categories
    used = np.bincount(codes[codes >= 0], minlength=len(levels)) > 0
    if used.all():
        return values
    new = np.append(np.cumsum(used) - 1, -1)[codes]  # code -1 (missing) selects the last entry
    kept = pd.Categorical.from_codes(new, levels[used], ordered=values.cat.ordered)
    return pd.Series(kept, index=values.index, name=values.name)
