"""Gather the converted batches of an import and write them as the parts of a log.

Up to SPILL_VALUES values are held in memory. More are kept in files, divided by user, and each
partition is then sorted on its own, so that memory holds a few batches or one part. The same file
gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.own_columns import typed_text
from eventlog.ingest.columns.values import joined
from eventlog.ingest.convert import Converted, Converter
from eventlog.ingest.partitions import Partitions
from eventlog.ingest.sorting import SortedRows, grouped_by_user
from eventlog.ingest.summary import Summary
from eventlog.log_folder import LogWriter
from eventlog.schema import COLUMNS, roles_of
from eventlog.sessions import session_column

SPILL_VALUES = 50_000_000  # rows times columns; 10 million rows of 5 columns take 1.4 GiB
ROWS_PER_PART = 2_000_000
# A file is refused if a larger share of its rows is set aside for reasons that the mapping does
# not expect.
MOST_REJECTS = 0.01


class Gatherer:
    """Gathers converted batches, in memory or in temporary files, and writes them as parts."""

    def __init__(self, converter: Converter, summary: Summary, spill: Path) -> None:
        self.converter, self.mapping, self.summary = converter, converter.mapping, summary
        self.batches: list[pa.Table] = []
        self.in_memory = 0  # rows
        self.spilled = Partitions(spill)
        self.reject_tables: list[pa.Table] = []
        self.attributes: dict[str, list[pd.DataFrame]] = {"users": [], "items": []}
        self.label_tables: list[pd.DataFrame] = []
        self.id_pairs: list[np.ndarray] = []
        self.own_columns: dict[str, str] = {}  # in addition to the schema -> type

    def add(self, piece: Converted) -> None:
        """Add one batch."""
        self.summary.rows += piece.n_rows
        for reason, (n, first) in piece.reasons.items():
            before, row = self.summary.rejects.get(reason, (0, first))
            self.summary.rejects[reason] = (before + n, row)
        self.summary.examples = piece.examples | self.summary.examples
        self.reject_tables.append(piece.rejects)
        for key, frame in (("users", piece.users), ("items", piece.items)):
            if frame is not None:
                self.attributes[key].append(_counted(frame))
        self.batches.append(piece.events)
        self.in_memory += piece.events.num_rows
        values = self.in_memory * piece.events.num_columns
        if values > SPILL_VALUES or (self.spilled and self.in_memory > ROWS_PER_PART):
            self._spill()

    def _spill(self) -> None:
        waiting, self.batches, self.in_memory = self.batches[::-1], [], 0
        while waiting:  # some at once, of which each is forgotten then
            some = [waiting.pop()]
            while waiting and sum(t.num_rows for t in some) < ROWS_PER_PART:
                some.append(waiting.pop())
            self.spilled.add(pa.concat_tables(some, promote_options="permissive"))

    def write(self, writer: LogWriter) -> None:
        """Write the parts. Raises InputError if too many rows were set aside or none is left."""
        self._refuse_bad_file()
        if not self.spilled:
            table = pa.concat_tables(self.batches, promote_options="permissive")
            self.batches = []
            self._write_rows(writer, table)
            return
        if self.batches:
            self._spill()
        waiting: list[pa.Table] = []
        for tables in self.spilled:
            waiting += tables
            if sum(t.num_rows for t in waiting) >= ROWS_PER_PART:
                self._write_rows(writer, pa.concat_tables(waiting, promote_options="permissive"))
                waiting = []
        if waiting:
            self._write_rows(writer, pa.concat_tables(waiting, promote_options="permissive"))

    def _refuse_bad_file(self) -> None:
        summary = self.summary
        unexpected = {
            r: n for r, n in summary.rejects.items() if r not in self.mapping.allow_rejects
        }
        n = sum(count for count, _ in unexpected.values())
        kept = summary.rows - sum(count for count, _ in summary.rejects.values())
        worst = sorted(unexpected.items(), key=lambda entry: -entry[1][0])
        reasons = "; ".join(
            f"{reason}: {count:,}, first in row {row:,}{summary.example(reason)}"
            for reason, (count, row) in worst
        )
        if n > MOST_REJECTS * summary.rows:
            raise InputError(
                f"{summary.file} has {n:,} of {summary.rows:,} rows that are not events "
                f"({reasons}); "
                f"{_remedy(worst[0][0])}, or name the reasons in --allow-rejects."
            )
        if kept == 0:
            raise InputError(
                f"{summary.file} has no row that is an event ({summary.rows:,} were set aside); "
                "check the mapping."
            )

    def _write_rows(self, writer: LogWriter, table: pa.Table) -> None:
        """Sort rows, complete their columns and write them as parts."""
        rows = grouped_by_user(self._typed(table))
        columns = rows.columns
        if "session_id" not in columns:
            gap = self.mapping.session_gap_minutes
            columns["session_id"] = session_column(
                rows.names, rows.user, rows.time, gap_minutes=gap
            )
        event_id = np.arange(self.summary.kept, self.summary.kept + len(rows.user), dtype=np.int64)
        self.summary.kept += len(event_id)
        if "_event_id" in columns:
            self.id_pairs.append(np.stack([columns["_event_id"].to_numpy(), event_id]))
        for i, label in enumerate(self.mapping.labels):
            self._keep_labels(label.kind, event_id, columns[f"_label{i}"], columns[f"_known{i}"])
        own = [name for name in columns if name not in COLUMNS and not name.startswith("_")]
        self.own_columns |= {name: _kind(columns[name].type) for name in own}
        self._count(columns["event"], rows)
        columns["event_id"] = pa.array(event_id)
        names = [*(name for name in COLUMNS if name in columns), *own]
        events = pa.table([columns.pop(name) for name in names], names=names)
        for start, stop in rows.parts(ROWS_PER_PART):
            writer.write_part(events.slice(start, stop - start))

    def _typed(self, table: pa.Table) -> dict[str, pa.Array]:
        """Return all columns, those beyond the schema in the type of all their values."""
        own = self.converter.own
        columns = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            array = joined(column)
            array = own.typed(name, array) if name in own.seen else array
            if pa.types.is_floating(array.type):
                array = pc.if_else(pc.is_nan(array), None, array)
            columns[name] = array
        return columns

    def _keep_labels(
        self, kind: str, event_id: np.ndarray, value: pa.Array, known_at: pa.Array
    ) -> None:
        has = value.is_valid().to_numpy(zero_copy_only=False)
        times = known_at.cast(pa.int64()).fill_null(0).to_numpy()[has]
        self.label_tables.append(
            pd.DataFrame(
                {
                    "event_id": event_id[has],
                    "kind": kind,
                    "value": value.cast(pa.float64()).drop_null().to_numpy(),
                    "known_at": pd.DatetimeIndex(times.astype("datetime64[ms]"), tz="UTC"),
                }
            )
        )

    def _count(self, event: pa.DictionaryArray, rows: SortedRows) -> None:
        summary = self.summary
        summary.users += len(rows.first)
        counts = np.bincount(event.indices.to_numpy(), minlength=len(event.dictionary))
        for name, n in sorted(zip(event.dictionary.to_pylist(), counts.tolist(), strict=True)):
            if n:
                summary.events[name] = summary.events.get(name, 0) + n
        first, last = (
            pd.Timestamp(int(t), unit="ms", tz="UTC") for t in (rows.time.min(), rows.time.max())
        )
        summary.first = first if summary.first is None else min(first, summary.first)
        summary.last = last if summary.last is None else max(last, summary.last)
        summary.roles = roles_of(summary.events, self.mapping.roles)

    def tables(self) -> dict[str, pd.DataFrame | None]:
        """Return users, items and labels, each None unless the mapping defines it."""
        out: dict[str, pd.DataFrame | None] = {
            "users": _most_frequent(self.attributes["users"]),
            "items": _most_frequent(self.attributes["items"]),
        }
        if self.mapping.labels:
            labels = pd.concat(self.label_tables, ignore_index=True).sort_values(
                ["event_id", "kind"], kind="stable", ignore_index=True
            )
            labels["known_at"] = pd.to_datetime(labels["known_at"], utc=True)
            self.summary.notes += _graded(labels)
            out["labels"] = labels
            self.summary.labels = len(labels)
        foreign = [name for name, role in self.summary.roles.items() if role == "other"]
        if foreign:
            self.summary.notes.append(
                f"no role is known for {', '.join(sorted(foreign))}; give one in [roles] of a "
                "mapping"
            )
        self._notes()
        return out

    def _notes(self) -> None:
        """Say what was kept, and what was read in a way that may surprise."""
        notes, converter = self.summary.notes, self.converter
        if self.own_columns:
            kept = ", ".join(f"{name} ({kind})" for name, kind in self.own_columns.items())
            notes.append(f"kept in addition to the schema's columns: {kept}")
        guessed = sorted(converter.ids.difference(self.mapping.ids))
        if guessed:
            notes.append(
                f"taken as ids, not as numbers, because the names end in _id: {', '.join(guessed)}"
            )
        for (column, text), n in sorted(converter.missing.items()):
            notes.append(f"{text} in {column} was read as no value: {n:,} rows")
        for clock, n in converter.at_midnight.items():
            if n:
                notes.append(f"{clock} has no time of day in {n:,} rows, which were put at 0:00")
        units = {unit: n for unit, n in converter.units.items() if n}
        if len(units) > 1:
            counts = " and ".join(f"{n:,} in {unit}" for unit, n in units.items())
            notes.append(f"times count in different units, each read by its size: {counts}")

    def rejects(self) -> pa.Table:
        """Return all rows that were set aside."""
        table = pa.concat_tables(self.reject_tables, promote_options="permissive")
        return table.sort_by("row") if table.num_rows else table.select(["row", "reason"])

    def ids(self) -> pd.Series:
        """Return the new event ids, indexed by the old ones."""
        pairs = (
            np.concatenate(self.id_pairs, axis=1)
            if self.id_pairs
            else np.zeros((2, 0), dtype=np.int64)
        )
        return pd.Series(pairs[1], index=pairs[0])


def _graded(labels: pd.DataFrame) -> list[str]:
    """Return a note for each kind of label that has other values than 0 and 1."""
    odd = labels[~labels["value"].isin((0, 1))]
    return [
        f"labels of kind {kind} have values such as {values.min():g} beside 0 and 1; if they are "
        "words for yes and no, say so with values in [[labels]] of a mapping"
        for kind, values in odd.groupby("kind")["value"]
    ]


def _remedy(reason: str) -> str:
    """Return what to do about rows that were set aside for a reason."""
    what, _, column = reason.partition(" ")
    if reason == "unparseable timestamp":
        return (
            'say in [time] of a mapping how times are written (format = "%d.%m.%Y %H:%M", or unit)'
        )
    if what == "unparseable" and column in COLUMNS:
        return (
            f"if that is not the {column}, leave it out of [columns] in a mapping; a decimal comma "
            'is decimal = "," in its [file]'
        )
    if reason == "unparseable label":
        return "say what its words mean: values = {chargeback = 1, ok = 0} in [[labels]]"
    if reason == "duplicated event_id":
        return "if that does not identify the event, leave event_id out of [columns] in a mapping"
    return "correct the file or the mapping"


def _kind(kind: pa.DataType) -> str:
    """Return what the summary calls the type of a column."""
    if pa.types.is_timestamp(kind):
        return f"datetime64[{kind.unit}, {kind.tz}]"
    return {pa.float64(): "float64", pa.int64(): "int64"}.get(kind, "text")


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return how often each (id, attribute, value) of a batch occurs."""
    key = str(frame.columns[0])
    parts = []
    for name in frame.columns[1:]:
        counts = frame.groupby([key, name], observed=True).size()
        ids, values = (counts.index.get_level_values(i).astype(str) for i in (0, 1))
        parts.append(
            pd.DataFrame({key: ids, "attribute": name, "value": values, "n": counts.to_numpy()})
        )
    seen = frame[key].dropna().astype(str).unique()
    return pd.concat([*parts, pd.DataFrame({key: seen, "attribute": "", "value": "", "n": 0})])


def _most_frequent(counts: list[pd.DataFrame]) -> pd.DataFrame | None:
    """Return a row for each id with each attribute's most frequent value; ties go by name."""
    if not counts:
        return None
    table = pd.concat(counts)
    key = str(table.columns[0])
    table = table.groupby([key, "attribute", "value"], as_index=False)["n"].sum()
    table = table.sort_values(
        [key, "attribute", "n", "value"], ascending=[True, True, False, True]
    ).drop_duplicates([key, "attribute"])
    wide = table.pivot_table(index=key, columns="attribute", values="value", aggfunc="first")
    wide = wide.drop(columns="", errors="ignore").reset_index().rename_axis(columns=None)
    return wide.assign(**{str(c): typed_text(wide[c]) for c in wide.columns[1:]})
