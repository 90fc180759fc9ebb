"""Import a team's own files as a log folder.

Rows that cannot be events are set aside in rejects.parquet, with row number and reason.

Example::

    summary = import_file("orders.csv", "mylog", mapping=preset("online-retail"))
    print(summary)
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import check_replaceable
from eventlog.ingest.columns.normalise import without_codes
from eventlog.ingest.convert import Converter
from eventlog.ingest.detection.detect import detect
from eventlog.ingest.detection.ids import lists_of_items, rounded, undo_decimals
from eventlog.ingest.detection.marks import currencies, decide
from eventlog.ingest.gather import Gatherer
from eventlog.ingest.layouts import lacking, refuse_other_layouts
from eventlog.ingest.log_source import (
    folder_batches,
    folder_manifest,
    folder_mapping,
    folder_tables,
)
from eventlog.ingest.mapping import FileFormat, Mapping, Names
from eventlog.ingest.mapping_values import check_values
from eventlog.ingest.reading.batches import BATCH_ROWS, read_batches
from eventlog.ingest.reading.databases import database_of
from eventlog.ingest.reading.sources import digest_of, find_files
from eventlog.ingest.reading.streams import RAGGED, Batch, InputFile, NoRowsError
from eventlog.ingest.rejects import REASONS
from eventlog.ingest.spool import Spool
from eventlog.ingest.summary import Summary
from eventlog.ingest.tables import joined, read_table
from eventlog.log import DERIVED, GIVEN, EventLog, LogWriter
from eventlog.log_folder import WRITTEN_BY_FINISH

IN_MEMORY = "the table"  # what sentences call a table that is not a file
PRIVACY = "Events of real users as they were in the file; nothing was done to protect them."


def import_file(
    file: Path | str | Sequence[Path | str] | pa.Table,
    out: Path | str,
    *,
    mapping: Mapping | None = None,
    allow_rejects: Sequence[str] = (),
    currency: str | None = None,
    made_with: str | None = None,
    encoding: str | None = None,
    decimal: Literal[".", ","] | None = None,
    items: Path | str | None = None,
    users: Path | str | None = None,
    sql: str | None = None,
) -> Summary:
    """Read files of events (or a log folder) and write them as the log folder `out`, atomically.

    Args:
        file: the file or log folder to read, or several files of one layout: a list, a folder, a
            pattern, a .zip archive, an address such as s3://bucket/events, "-" for standard input;
            or a database: a file of SQLite or DuckDB, postgresql://...
            An Arrow table is read as if it was a file.
        out: the log folder to write.
        mapping: what the columns mean. None: common column names are recognised, and the summary's
            notes say what was assumed.
        allow_rejects: reasons that are expected, in addition to the mapping's.
        currency: of the prices, for the manifest.
        made_with: name of the mapping, for the manifest.
        encoding: of a text file; overrides the mapping's.
        decimal: the mark before decimals; overrides the mapping's.
        items: a file with a row for each item, which becomes items.parquet.
        users: a file with a row for each user, which becomes users.parquet.
        sql: the query that gives the rows; overrides the mapping's. Of files, DuckDB answers it.

    Raises:
        InputError: a file is broken or lacks a column, or more than 1 % of the rows were set
            aside for unexpected reasons.
    """
    inputs = [file] if isinstance(file, str | Path | pa.Table) else list(file)
    out = Path(out)
    allow_rejects = [allow_rejects] if isinstance(allow_rejects, str) else list(allow_rejects or ())
    _refuse_other_types(mapping, allow_rejects, currency)
    if mapping is not None:
        check_values(mapping, "The mapping")
    check_replaceable(out)
    folder = _log_folder(inputs, out)
    layout = _layout(mapping, encoding=encoding, decimal=decimal, sql=sql)
    with LogWriter(out) as writer:
        with _scratch(writer.folder) as scratch:
            source = _Source.read(inputs, folder, layout, mapping, allow_rejects, scratch)
            meaning, assumed = source.meaning(mapping, layout)
            meaning = _with_settings(meaning, allow_rejects, currency)
            meaning, decided = decide(source.rows, meaning, source.name)
            assumed += decided
            if folder is None:
                meaning, decided = undo_decimals(source.rows, meaning)
                assumed += decided
            if len(source.files) > 1:
                refuse_other_layouts(source.rows, meaning)
            rows = _converted(source, meaning, assumed, Summary(source.name, out), scratch)
            rows.write(writer)
            made, tables = _made(source, rows, made_with)
            made_tables = rows.tables()
            for key, given in (("items", items), ("users", users)):
                if given is not None:
                    table = read_table(given, f"{key[:-1]}_id", meaning, scratch)
                    made_tables[key] = joined(table, made_tables[key])
        derived = {name: table for name, table in made_tables.items() if table is not None}
        own_names = folder is not None and mapping is None
        made = _with_provenance(made, meaning, derived, own_names=own_names)
        summary = rows.summary
        writer.finish(
            **(tables | derived),
            extra={"rejects": rows.rejects()},
            manifest={
                **made,
                "roles": {n: meaning.roles[n] for n in summary.events if n in meaning.roles},
                "currency": meaning.currency,
                "assumed": assumed,
                "rows_read": summary.rows,
                "rejects": {reason: n for reason, (n, _) in sorted(summary.rejects.items())},
            },
        )
    return summary


def _refuse_other_types(mapping: Any, allow_rejects: list[Any], currency: Any) -> None:
    """Raise InputError for arguments of another type, as a notebook may give them."""
    if mapping is not None and not isinstance(mapping, Mapping):
        raise InputError(
            f"mapping is a {type(mapping).__name__}; give a Mapping: eventlog.ingest.mapping has "
            "load(FILE) and preset(NAME)."
        )
    for name, value in (("currency", currency), *(("allow_rejects", r) for r in allow_rejects)):
        if value is not None and not isinstance(value, str):
            raise InputError(f"{name} has {value!r}, which is no text.")


def _converted(
    source: _Source, mapping: Mapping, assumed: list[str], summary: Summary, scratch: Path
) -> Gatherer:
    """Convert all rows, and say in the summary what was assumed and what may surprise."""
    summary.notes += [f"assumed that {text}" for text in assumed]
    if source.empty:
        more = f" and {len(source.empty) - 1:,} more" if len(source.empty) > 1 else ""
        summary.notes.append(f"files without rows: {source.empty[0]}{more}")
    summary.notes += _warnings(source.rows, currencies(source.rows, mapping))
    summary.notes += rounded(source.rows, mapping)
    summary.notes += lists_of_items(source.rows, mapping)
    summary.notes += _not_used(source.rows, mapping)
    if len(source.files) > 1:
        summary.notes += lacking(source.rows, mapping)
    converter = Converter(
        source.name,
        mapping,
        from_log=source.folder is not None,
        several_files=len(source.files) > 1,
        lists=frozenset(source.rows.left_out),
    )
    rows = Gatherer(converter, summary, scratch)
    for piece in map(converter, source.rows.consume()):
        rows.add(piece)
    return rows


def _made(
    source: _Source, rows: Gatherer, made_with: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how the log was made, for the manifest, and the tables of an imported log folder."""
    made: dict[str, Any] = {
        "made_by": "import",
        "source": source.described(),
        "mapping": made_with or ("detected" if source.folder is None else "log folder"),
        "privacy": PRIVACY,
    }
    tables: dict[str, Any] = {}
    if source.folder is not None:
        tables = folder_tables(source.folder, rows.ids())
        rows.summary.labels += len(tables.get("labels", ()))
        before = folder_manifest(source.folder)
        made |= {k: v for k, v in before.items() if k not in WRITTEN_BY_FINISH}
    if rows.converter.ids:
        made["ids"] = sorted(rows.converter.ids)
    return made, tables


@dataclass
class _Source:
    """The rows of an import, and where they are from."""

    name: str
    rows: Spool
    files: list[InputFile]
    folder: Path | None = None  # a log folder
    database: str = ""  # the name of a database
    empty: list[str] = field(default_factory=list)  # files without rows

    @classmethod
    def read(
        cls,
        inputs: list[Any],
        folder: Path | None,
        layout: FileFormat,
        mapping: Mapping | None,
        allow_rejects: Sequence[str],
        scratch: Path,
    ) -> _Source:
        """Read all files. Raises InputError if one is broken."""
        wanted = mapping.sources() if mapping else set()
        rows = Spool(scratch, layout, wanted)
        if inputs and isinstance(inputs[0], pa.Table):
            for batch in _batches(inputs[0]):
                rows.add(batch)
            return cls(IN_MEMORY, rows, [])
        name = ", ".join(map(str, inputs[:3])) + (", ..." if len(inputs) > 3 else "")
        if folder is not None:
            for batch in folder_batches(folder):
                rows.add(batch)
            return cls(name, rows, [], folder)
        database = database_of(inputs, layout.sql)
        if database is not None:
            for batch in database.batches(layout.sql):
                rows.add(batch)
            return cls(database.name, rows, [], database=database.name)
        allowed = (*allow_rejects, *(mapping.allow_rejects if mapping else ()))
        files, empty = find_files(inputs, scratch), []
        for file in files:
            try:
                for batch in read_batches(file, layout, wanted, allow_ragged=RAGGED in allowed):
                    rows.add(batch)
            except NoRowsError:  # as Spark writes for a task that had none
                empty.append(file)
                if len(empty) == len(files):
                    raise
        return cls(name, rows, files, empty=[str(file) for file in empty])

    def meaning(self, mapping: Mapping | None, layout: FileFormat) -> tuple[Mapping, list[str]]:
        """Return what the columns mean, and what was assumed."""
        if mapping is None and self.folder is not None:
            return folder_mapping(self.folder, list(self.rows.kinds)), []
        if mapping is not None:
            return replace(mapping, file=layout), []
        found = detect(self.rows, self.name, layout)
        return found.mapping, found.assumed

    def described(self) -> dict[str, Any]:
        """Return the names of the files and their checksums, for the manifest."""
        if self.folder is not None:
            return {"file": self.folder.name}
        if not self.files:
            return {"file": PurePath(self.database).name if self.database else IN_MEMORY}
        names = [PurePath(file.name).name for file in self.files]
        sums = [digest_of(file) for file in self.files]
        if len(names) == 1:
            return {"file": names[0], "sha256": sums[0]}
        return {"files": [{"file": n, "sha256": s} for n, s in zip(names, sums, strict=True)]}


def _batches(table: pa.Table) -> Iterator[Batch]:
    n = 0
    given = [  # others may repeat a value in their dictionary
        pa.chunked_array(map(without_codes, c.chunks)) if pa.types.is_dictionary(c.type) else c
        for c in table.columns
    ]
    table = pa.table(given, names=table.column_names)
    for chunk in table.to_batches(max_chunksize=BATCH_ROWS):
        rows = np.arange(n + 1, n + chunk.num_rows + 1)
        yield Batch(pa.Table.from_batches([chunk]), rows, file=IN_MEMORY)
        n += chunk.num_rows


def _log_folder(inputs: list[Any], out: Path) -> Path | None:
    """Return the log folder that is to be imported, None if the inputs are files."""
    if len(inputs) != 1 or isinstance(inputs[0], pa.Table) or "://" in str(inputs[0]):
        return None
    folder = Path(inputs[0])
    if folder.is_dir() and os.path.realpath(folder) == os.path.realpath(out):
        raise InputError(f"{folder} cannot be imported onto itself; choose another --out.")
    is_log = (folder / "events").is_dir() and any((folder / "events").glob("part-*.parquet"))
    return folder if is_log or (folder / "manifest.json").is_file() else None


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Yield a folder for temporary files: in the log folder, because /tmp may be small."""
    with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as scratch:
        yield Path(scratch)


def _layout(mapping: Mapping | None, **given: str | None) -> FileFormat:
    layout = mapping.file if mapping else FileFormat()
    return replace(layout, **{k: v for k, v in given.items() if v is not None})


def _with_settings(mapping: Mapping, allow_rejects: Sequence[str], currency: str | None) -> Mapping:
    """Return the mapping with what the call adds. Raises UnknownNameError for a reason."""
    known_reasons = {*REASONS, *(rule.reject for rule in mapping.rules if rule.reject)}
    for reason in allow_rejects:
        if reason not in known_reasons:
            raise UnknownNameError("reason (--allow-rejects)", reason, known_reasons)
    return replace(
        mapping,
        allow_rejects=(*mapping.allow_rejects, *allow_rejects),
        currency=currency or mapping.currency,
    )


def _warnings(rows: Spool, amounts_in: Counter[str]) -> list[str]:
    """Return what a reader of the summary should know beyond what was assumed."""
    notes = []
    notes += [
        f"{name} holds lists of objects; [file] explode = {name!r} in a mapping makes a row of each"
        for name in rows.baskets()
    ]
    if rows.left_out:
        names = ", ".join(sorted(rows.left_out))
        notes.append(
            f"nested columns left out: {names}; [file] explode in a mapping makes a row of each "
            "element of one"
        )
    if len(amounts_in) > 1:
        counts = ", ".join(f"{c}: {n:,}" for c, n in sorted(amounts_in.items()))
        notes.append(
            f"prices are in {len(amounts_in)} currencies ({counts} rows) and were not converted; "
            "convert them, or import one currency at a time"
        )
    return notes


def _not_used(rows: Spool, mapping: Mapping) -> list[str]:
    """Return what of the mapping names only columns that the file lacks, such as a misspelled one.

    Columns without which there is no log are refused elsewhere. A published format, which has a
    source, may have files of several kinds.
    """
    if mapping.source:
        return []
    parts: list[tuple[str, Names]] = [("[[rules]]", rule.column) for rule in mapping.rules]
    parts += [(f"[{t}]", n) for t in ("users", "items") for n in getattr(mapping, t).values()]
    parts += [("drop", (name,)) for name in mapping.drop]
    whole = {name[: m.start()] for name in rows.kinds for m in re.finditer(r"[.\[]", name)}
    known = whole.union(rows.kinds, rows.left_out)
    lost = dict.fromkeys((key, " or ".join(names)) for key, names in parts if not known & {*names})
    return [f"{key} names {name!r}, a column that the file does not have" for key, name in lost]


def _with_provenance(
    made: dict[str, Any], mapping: Mapping, derived: Collection[str], *, own_names: bool
) -> dict[str, Any]:
    """Return `made` with `provenance`, and `event_names` if the list of event names is given.

    Args:
        made: the manifest so far, with the entries of an imported folder.
        mapping: the mapping of the import.
        derived: names of the tables that this import made out of the rows.
        own_names: the events keep the names that they have in the folder.
    """
    tables = ("items", "users", "event")
    before = made.get("provenance") or {}
    found = {name: before.get(name) for name in tables} | dict.fromkeys(derived)
    names = made.pop("event_names", None)
    if not own_names:
        # A column of the file may hold any name, a constant and the rules only their own.
        rules = [rule.event for rule in mapping.rules if rule.event is not None]
        constant = mapping.event.constant
        names = None if constant is None else sorted({constant, *rules})
        found["event"] = DERIVED if names is None else GIVEN
    provenance = {name: GIVEN if found[name] == GIVEN else DERIVED for name in tables}
    return {**made, "provenance": provenance, **({} if names is None else {"event_names": names})}


def imported(file: Path | str | Sequence[Path | str], out: Path | str, **settings: Any) -> EventLog:
    """Import a file as `import_file` does and return the log."""
    import_file(file, out, **settings)
    return EventLog.read(out)
