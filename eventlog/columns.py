"""The types of the columns of a log: which of them contradict the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from eventlog.schema import COLUMNS


def misfits(events: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield each column of the schema whose type it does not allow: its name, and a sentence part.

    A column without any value fits.
    """
    for name, column in COLUMNS.items():
        if name not in events:
            continue
        kind = events[name].dtype
        if not _fits(column.kind, column.required, kind) and not events[name].isna().all():
            yield name, f"has type {kind}, but the schema says {column.kind}"


def _fits(wanted: str, required: bool, kind: Any) -> bool:
    types = pd.api.types
    if wanted == "time":
        return isinstance(kind, pd.DatetimeTZDtype)
    if wanted in ("id", "categorical"):
        text = isinstance(kind, pd.CategoricalDtype | pd.StringDtype)
        return text or types.is_object_dtype(kind)
    number = types.is_numeric_dtype(kind) and not types.is_complex_dtype(kind)
    return types.is_integer_dtype(kind) if required else bool(number)
