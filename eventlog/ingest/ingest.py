"""Import a team's own file as a log folder.

Rows that cannot be events are set aside in rejects.parquet, with row number and reason.

Example::

    summary = import_file("orders.csv", "mylog", mapping=preset("online-retail"))
    print(summary)
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import check_replaceable, sha256
from eventlog.ingest.convert import Converter
from eventlog.ingest.detect import detect
from eventlog.ingest.gather import Gatherer, Summary
from eventlog.ingest.log_source import (
    folder_batches,
    folder_manifest,
    folder_mapping,
    folder_tables,
)
from eventlog.ingest.mapping import Mapping
from eventlog.ingest.readers import read_batches
from eventlog.ingest.rejects import REASONS
from eventlog.ingest.streams import RAGGED, Batch
from eventlog.log import DERIVED, GIVEN, EventLog, LogWriter
from eventlog.log_folder import WRITTEN_BY_FINISH

PRIVACY = "Events of real users as they were in the file; nothing was done to protect them."


def import_file(
    file: Path | str,
    out: Path | str,
    *,
    mapping: Mapping | None = None,
    allow_rejects: Sequence[str] = (),
    currency: str | None = None,
    made_with: str | None = None,
    encoding: str | None = None,
) -> Summary:
    """Read a file (or a log folder) and write it as the log folder `out`, atomically.

    Args:
        file: the file or log folder to read.
        out: the log folder to write.
        mapping: what the columns mean. None: common column names are recognised, and the summary's
            notes say what was assumed.
        allow_rejects: reasons that are expected, in addition to the mapping's.
        currency: of the prices, for the manifest.
        made_with: name of the mapping, for the manifest.
        encoding: of a text file; overrides the mapping's.

    Raises:
        InputError: the file is broken or lacks a column, or more than 1 % of its rows were set
            aside for unexpected reasons.
    """
    file, out = Path(file), Path(out)
    check_replaceable(out)
    remapped = mapping is not None
    if file.is_dir():
        if file.resolve() == out.resolve():
            raise InputError(f"{file} cannot be imported onto itself; choose another --out.")
        source: Iterator[Batch] = folder_batches(file)
        batch = next(source)
        mapping = mapping or folder_mapping(file, batch.table)
        assumed: list[str] = []
    else:
        given = mapping or Mapping()
        if encoding is not None:
            given = replace(given, file=replace(given.file, encoding=encoding))
        source = read_batches(
            file,
            given.file,
            given.sources(),
            allow_ragged=RAGGED in (*allow_rejects, *given.allow_rejects),
        )
        batch = next(source)
        mapping, assumed = (given, []) if mapping else detect(batch, str(file))
    known_reasons = {*REASONS, *(rule.reject for rule in mapping.rules if rule.reject)}
    for reason in allow_rejects:
        if reason not in known_reasons:
            raise UnknownNameError("reason (--allow-rejects)", reason, known_reasons)
    mapping = replace(
        mapping,
        allow_rejects=(*mapping.allow_rejects, *allow_rejects),
        currency=currency or mapping.currency,
    )
    summary = Summary(file=str(file), out=out, notes=[f"assumed that {text}" for text in assumed])
    converter = Converter(file, mapping, keep_event_id=file.is_dir())
    with LogWriter(out) as writer:
        # in the log folder, because /tmp may be small
        with tempfile.TemporaryDirectory(prefix=".import-", dir=writer.folder) as spill:
            rows = Gatherer(converter, summary, Path(spill))
            for piece in map(converter, itertools.chain([batch], source)):
                rows.add(piece)
            rows.write(writer)
        made = {
            "made_by": "import",
            "source": {"file": file.name, **({} if file.is_dir() else {"sha256": sha256(file)})},
            "mapping": made_with or ("detected" if assumed or not file.is_dir() else "log folder"),
            "privacy": PRIVACY,
        }
        tables: dict[str, Any] = {}
        if file.is_dir():
            tables = folder_tables(file, rows.ids())
            summary.labels += len(tables.get("labels", ()))
            made |= {k: v for k, v in folder_manifest(file).items() if k not in WRITTEN_BY_FINISH}
        names = {name: mapping.roles[name] for name in summary.events if name in mapping.roles}
        made_tables = {name: table for name, table in rows.tables().items() if table is not None}
        tables |= made_tables
        own_names = file.is_dir() and not remapped
        if converter.ids:
            made["ids"] = sorted(converter.ids)
        made = _with_provenance(made, mapping, made_tables, own_names=own_names)
        writer.finish(
            **tables,
            extra={"rejects": rows.rejects()},
            manifest={
                **made,
                "roles": names,
                "currency": mapping.currency,
                "assumed": assumed,
                "rows_read": summary.rows,
                "rejects": {reason: n for reason, (n, _) in sorted(summary.rejects.items())},
            },
        )
    return summary


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


def imported(file: Path | str, out: Path | str, **settings: Any) -> EventLog:
    """Import a file as `import_file` does and return the log."""
    import_file(file, out, **settings)
    return EventLog.read(out)
