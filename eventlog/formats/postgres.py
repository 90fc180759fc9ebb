"""A folder that `psql DATABASE -f load.sql`, run inside it, loads into PostgreSQL.

The tables are events, users, items and labels, in a schema that is named like the folder.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from eventlog.formats._text import times_as_text
from eventlog.log import TABLES, EventLog, to_arrow

FOLDER = True
KEYS = {"events": "event_id", "users": "user_id", "items": "item_id"}  # table -> primary key


def write(log: EventLog, folder: Path, name: str) -> None:
    """Write load.sql and a CSV file for each table; missing values are empty, texts are quoted."""
    lines = ["BEGIN;", f"CREATE SCHEMA {_quoted(name)};"]
    for table in ("events", *TABLES):
        frame = getattr(log, table)
        if frame is None:
            continue
        arrow = to_arrow(frame)
        where = f"{_quoted(name)}.{table}"
        columns = [f"  {_quoted(f.name)} {_type(f.type)}" for f in arrow.schema]
        if table in KEYS:
            columns.append(f"  PRIMARY KEY ({_quoted(KEYS[table])})")
        lines += [f"CREATE TABLE {where} (", ",\n".join(columns), ");"]
        lines.append(f"\\copy {where} FROM '{table}.csv' WITH (FORMAT csv, HEADER true)")
        pacsv.write_csv(times_as_text(arrow), folder / f"{table}.csv")
    lines.append("COMMIT;")
    (folder / "load.sql").write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _type(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_timestamp(kind):
        return "timestamptz"
    if types.is_date(kind):
        return "date"
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind):
        return "bigint"
    return "double precision" if types.is_floating(kind) else "text"
