"""The tables as CSV with the metadata that SDV and SDMetrics read.

See https://docs.sdv.dev/sdv/concepts/metadata/metadata-json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.csv as pacsv

from eventlog._runtime.files import write_json
from eventlog.formats._text import times_as_text
from eventlog.log import EventLog, to_arrow
from eventlog.schema import COLUMNS

FOLDER = True
KEYS = {"events": "event_id", "users": "user_id", "items": "item_id"}  # table -> primary key
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def write(log: EventLog, folder: Path, name: str) -> None:
    """Write events.csv, users.csv and items.csv as far as the log has them, and metadata.json."""
    tables = {table: frame for table in KEYS if (frame := getattr(log, table)) is not None}
    for table, frame in tables.items():
        pacsv.write_csv(times_as_text(to_arrow(frame)), folder / f"{table}.csv")
    relations = [_relation(parent, tables) for parent in ("users", "items") if parent in tables]
    metadata = {
        "METADATA_SPEC_VERSION": "V1",
        "tables": {table: _described(table, frame) for table, frame in tables.items()},
        "relationships": [r for r in relations if r is not None],
    }
    write_json(folder / "metadata.json", metadata, sort_keys=False)


def _described(table: str, frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "primary_key": KEYS[table],
        "columns": {str(column): _type(str(column), frame[column]) for column in frame},
    }


def _type(name: str, values: pd.Series) -> dict[str, str]:
    known = COLUMNS.get(name)
    if name == "event_id" or (known is not None and known.kind == "id"):
        return {"sdtype": "id"}
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return {"sdtype": "datetime", "datetime_format": TIME_FORMAT}
    if pd.api.types.is_bool_dtype(values):
        return {"sdtype": "boolean"}
    number = pd.api.types.is_numeric_dtype(values)
    return {"sdtype": "numerical" if number else "categorical"}


def _relation(parent: str, tables: dict[str, pd.DataFrame]) -> dict[str, str] | None:
    """Return how events refer to a table, None if they do not or some of them to nothing."""
    key, events = KEYS[parent], tables["events"]
    if key not in events:
        return None
    present = events[key].dropna().astype(str).unique()
    if not pd.Series(present).isin(tables[parent][key].astype(str)).all():
        return None
    return {
        "parent_table_name": parent,
        "parent_primary_key": key,
        "child_table_name": "events",
        "child_foreign_key": key,
    }
