"""What several files of one import have in common, and what only some of them have."""

from __future__ import annotations

from eventlog._runtime.errors import InputError
from eventlog.ingest.mapping import Mapping
from eventlog.ingest.spool import Spool


def refuse_other_layouts(rows: Spool, mapping: Mapping) -> None:
    """Raise InputError if a file lacks the columns of user and time that others have."""
    for file, columns in rows.columns_of.items():
        for what, names in (
            ("user_id", mapping.columns["user_id"]),
            ("timestamp", mapping.time.column),
        ):
            if not columns & set(names):
                raise InputError(
                    f"{file} has no column {' or '.join(map(repr, names))} for {what}, which "
                    f"other files have; its columns are {', '.join(sorted(columns))}. Give the "
                    "files of one layout, and tables of items and users with --items and "
                    "--users."
                )


def lacking(rows: Spool, mapping: Mapping) -> list[str]:
    """Return a note for each schema column that some of the files have under no name."""
    notes = []
    for what, names in mapping.columns.items():
        without = [file for file, columns in rows.columns_of.items() if not columns & set(names)]
        if 0 < len(without) < len(rows.columns_of):
            more = f" and {len(without) - 1} more files" if len(without) > 1 else ""
            notes.append(
                f"{without[0]}{more} without a column {' or '.join(map(repr, names))} for {what}, "
                "which other files have; [columns] of a mapping may name several"
            )
    return notes
