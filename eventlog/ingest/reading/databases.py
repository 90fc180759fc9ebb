"""Read a table or a query of a database: SQLite, DuckDB, PostgreSQL; or DuckDB over files.

Addresses::

    shop.sqlite, shop.db, shop.duckdb      a file
    postgresql://user@host/database        through ADBC (the extra `postgres`)
    orders.csv products.parquet  --sql Q   files as tables called orders and products; or a folder
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from eventlog._runtime.errors import InputError
from eventlog._runtime.extras import require
from eventlog.ingest.reading.json_lines import array_of
from eventlog.ingest.reading.sources import JSON_SUFFIXES, TEXT_SUFFIXES, is_data
from eventlog.ingest.reading.streams import Batch

ROWS = 100_000  # of a batch
POSTGRES = ("postgresql", "postgres")
FILES = (".sqlite", ".sqlite3", ".db", ".db3", ".duckdb")
SQLITE_TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema NOT IN "
    "('information_schema', 'pg_catalog') ORDER BY table_name"
)
EVENTS = "events"  # the table that is read if there are several and no query is given


@dataclass(frozen=True)
class Database:
    """A database, or files that a query treats as one."""

    name: str  # without a password
    inputs: tuple[str, ...]
    run: Callable[[Database, str], Iterator[pa.RecordBatch | pa.Table]]
    tables: str  # the query for the names of its tables

    def batches(self, sql: str | None) -> Iterator[Batch]:
        """Yield the rows of a query, by default those of its only table or of `events`.

        Raises InputError if the database cannot be opened, the query is wrong or gives no rows.
        """
        query, n = sql or self._whole_table(), 0
        for part in self._rows(query):
            table = pa.Table.from_batches([part]) if isinstance(part, pa.RecordBatch) else part
            yield Batch(table, np.arange(n + 1, n + table.num_rows + 1), file=self.name)
            n += table.num_rows
        if n == 0:
            raise InputError(f"{self.name} has no rows for {query[:200]!r}.")

    def _whole_table(self) -> str:
        found = [row for t in self._rows(self.tables) for row in t.column(0).to_pylist()]
        if len(found) != 1 and EVENTS not in found:
            raise InputError(
                f"{self.name} has the tables {', '.join(found) or 'none'}; say which rows are the "
                'events: --sql "SELECT * FROM ..."'
            )
        name = EVENTS if EVENTS in found else found[0]
        return f'SELECT * FROM "{name}"'

    def _rows(self, sql: str) -> Iterator[pa.RecordBatch | pa.Table]:
        try:
            yield from self.run(self, sql)
        except (sqlite3.Error, pa.ArrowException, OSError) as error:
            raise self._refused(error) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in (
                "duckdb",
                "_duckdb",
                "adbc_driver_manager",
            ):
                raise
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> InputError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        absent = re.search(r"Table with name (\S+) does not exist|no such table: (\S+)", str(error))
        if absent:
            return InputError(
                f"{self.name} has no table {absent[1] or absent[2]!r}, which the query names; give "
                "all files that it needs, as a folder for example, or another query."
            )
        return InputError(f"{self.name} cannot be read: {lines[0] if lines else 'no answer'}.")


def database_of(inputs: Sequence[Any], sql: str | None) -> Database | None:
    """Return the database that the inputs of an import name, None if they are files to read.

    Raises InputError if there is a query and it cannot be asked of the inputs.
    """
    texts = tuple(map(str, inputs))
    scheme = texts[0].partition("://")[0] if "://" in texts[0] else ""
    path = Path(texts[0].partition("://")[2] if scheme in ("sqlite", "duckdb") else texts[0])
    if len(texts) == 1 and scheme in POSTGRES:
        return Database(_without_password(texts[0]), texts, _postgres, TABLES)
    if len(texts) == 1 and (scheme in ("sqlite", "duckdb") or path.suffix.lower() in FILES):
        if not path.is_file():
            raise InputError(f"{path} does not exist.")
        with open(path, "rb") as file:
            is_sqlite = file.read(6) == b"SQLite"
        if is_sqlite:
            return Database(str(path), (str(path),), _sqlite, SQLITE_TABLES)
        return Database(str(path), (str(path),), _duckdb, TABLES)
    if sql is None:
        return None
    files = tuple(file for text in texts for file in _files(text))
    return Database(", ".join(texts), files, _duckdb_over_files, TABLES)


def _files(given: str) -> list[str]:
    """Return the files of a folder; a file, and a pattern that DuckDB reads as one table, alone."""
    if not Path(given).is_dir():
        return [given]
    files = (path for path in sorted(Path(given).iterdir()) if path.is_file())
    return [str(path) for path in files if is_data((path.name,))]


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    host = parts.hostname or ""
    who = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{who}{host}{port}{parts.path}"


def _sqlite(database: Database, sql: str) -> Iterator[pa.Table]:
    uri = Path(os.path.realpath(database.inputs[0])).as_uri()
    with closing(sqlite3.connect(f"{uri}?mode=ro", uri=True)) as connection:
        cursor = connection.execute(sql)
        names = _distinct([column[0] for column in cursor.description or ()], database.name)
        while rows := cursor.fetchmany(ROWS):
            columns = [[_plain(value) for value in column] for column in zip(*rows, strict=True)]
            yield pa.table([array_of(column) for column in columns], names=names)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _distinct(names: list[str], database: str) -> list[str]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{database} gives two columns called {twice!r}; rename one with AS.")
    return names


def _duckdb(database: Database, sql: str) -> Iterator[pa.RecordBatch]:
    duckdb = require("duckdb", extra="duckdb", purpose=f"Reading {database.name}")
    with closing(duckdb.connect(database.inputs[0], read_only=True)) as connection:
        yield from _arrow_rows(connection, sql)


def _duckdb_over_files(database: Database, sql: str) -> Iterator[pa.RecordBatch]:
    """Run a query over files. Values of text files are text, so that no id loses a zero."""
    duckdb = require("duckdb", extra="duckdb", purpose="A query (--sql) over files")
    with closing(duckdb.connect()) as connection:
        for given in database.inputs:
            path = Path(given)
            kind = next((s for s in map(str.lower, path.suffixes[::-1]) if s != ".gz"), "")
            quoted = given.replace("'", "''")
            if kind == ".parquet":
                reader = f"read_parquet('{quoted}')"
            elif kind in JSON_SUFFIXES:
                reader = f"read_json_auto('{quoted}')"
            elif kind in TEXT_SUFFIXES:
                reader = f"read_csv('{quoted}', header=true, all_varchar=true)"
            else:
                raise InputError(f"{path} is no CSV, JSON lines or Parquet file; --sql needs one.")
            name = path.name.partition(".")[0].replace('"', '""')
            connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM {reader}')
        yield from _arrow_rows(connection, sql)


def _arrow_rows(connection: Any, sql: str) -> Iterator[pa.RecordBatch]:
    rows = connection.sql(sql)
    if rows is None:
        raise InputError("--sql is no query: it returns no rows.")
    # The first is its name from DuckDB 1.4 on.
    fetch = getattr(rows, "to_arrow_reader", None) or rows.fetch_record_batch
    yield from fetch(ROWS)


def _postgres(database: Database, sql: str) -> Iterator[pa.RecordBatch]:
    purpose = f"Reading {database.name}"
    dbapi = require("adbc_driver_postgresql.dbapi", extra="postgres", purpose=purpose)
    with closing(dbapi.connect(database.inputs[0])) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        yield from cursor.fetch_record_batch()
