"""A DuckDB database with the tables events, users, items and labels."""

from __future__ import annotations

from pathlib import Path

from eventlog._runtime.extras import require
from eventlog.log import TABLES, EventLog, to_arrow

FOLDER = False


def write(log: EventLog, path: Path) -> None:
    """Write the database. Raises InputError if duckdb is not installed."""
    duckdb = require("duckdb", extra="duckdb", purpose="The format duckdb")
    path.unlink(missing_ok=True)  # an empty file is no database
    tables = {"events": log.events, **{name: getattr(log, name) for name in TABLES}}
    with duckdb.connect(str(path)) as database:
        for name, table in tables.items():
            if table is not None:
                database.register("given", to_arrow(table))
                database.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
                database.unregister("given")
