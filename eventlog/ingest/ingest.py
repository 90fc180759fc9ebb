"""A team's own file -> a log folder. Rows that cannot be events are set aside in rejects.parquet,
with row number and reason.

    summary = import_file("orders.csv", "mylog", mapping=preset("online-retail"))
    print(summary)

A file of up to SPILL_ROWS events is held in memory; a larger one is spread over PARTITIONS files by
a hash of the user, each of which is then sorted on its own: memory stays at a few batches or one
part. The same file gives the same bytes.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import check_replaceable, sha256
from eventlog.ingest.convert import REASONS, Converted, Converter
from eventlog.ingest.detect import detect
from eventlog.ingest.mapping import EventSource, Mapping, Names, TimeFormat
from eventlog.ingest.readers import RAGGED, Batch, read_batches
from eventlog.log import (
    DERIVED,
    GIVEN,
    EventLog,
    LogWriter,
    _part_bounds,
    _part_paths,
    _read,
    _to_pandas,
    read_manifest,
    sort_events,
    tidy,
    to_arrow,
)
from eventlog.schema import COLUMNS, roles_of
from eventlog.sessions import session_ids

SPILL_ROWS = 5_000_000
PARTITIONS = 64
ROWS_PER_PART = 2_000_000
# share of rows set aside for reasons that the mapping does not expect, beyond which a file is
# refused
MOST_REJECTS = 0.01
PRIVACY = "Events of real users as they stood in the file; nothing was done to protect them."


@dataclass
class Summary:
    """What an import read, kept, set aside and assumed."""

    file: str
    out: Path
    rows: int = 0
    kept: int = 0
    users: int = 0
    labels: int = 0
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    # reason -> (rows, first row in the file)
    rejects: dict[str, tuple[int, int]] = field(default_factory=dict)
    # reason -> what stands there: "price is '1,50'"
    examples: dict[str, str] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    # what was assumed or left out
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{self.file}: {self.rows:,} rows read, {self.kept:,} events of {self.users:,} users "
            "kept, "
            f"{self.rows - self.kept:,} set aside"
        ]
        if self.first is not None and self.last is not None:
            lines.append(
                f"  span      {self.first:%Y-%m-%d %H:%M:%S} to {self.last:%Y-%m-%d %H:%M:%S} UTC"
            )
        for name, n in sorted(self.events.items(), key=lambda e: (-e[1], e[0])):
            lines.append(f"  event     {name} ({self.roles[name]}): {n:,}")
        for reason, (n, first) in sorted(self.rejects.items()):
            lines.append(
                f"  set aside {reason}: {n:,} (first in row {first:,}{self.example(reason)})"
            )
        if self.labels:
            lines.append(f"  labels    {self.labels:,}")
        lines += [f"  note      {text}" for text in self.notes]
        return "\n".join([*lines, f"written to {self.out}"])

    def example(self, reason: str) -> str:
        """What stands in the first row that was set aside for a reason, as the end of a
        sentence.
        """
        return f", where {self.examples[reason]}" if reason in self.examples else ""


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
    """Read `file` (or a log folder) and write the log folder `out`, whole or not at all.

    Without `mapping` common column names are recognised and what was assumed stands in the
    summary's notes. `allow_rejects` are reasons expected beside the mapping's own. `made_with`
    names the mapping in the manifest. `encoding` of a text file goes before the mapping's. Raises
    InputError where the file is broken, lacks a column, or more than 1 % of its rows had to be set
    aside unexpectedly.
    """
    file, out = Path(file), Path(out)
    check_replaceable(out)
    remapped = mapping is not None
    if file.is_dir():
        if file.resolve() == out.resolve():
            raise InputError(f"{file} cannot be imported onto itself; choose another --out.")
        source: Iterator[Batch] = _folder_batches(file)
        batch = next(source)
        mapping = mapping or _folder_mapping(file, batch.table)
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
        # beside the log: /tmp may be small
        with tempfile.TemporaryDirectory(prefix=".import-", dir=writer.folder) as spill:
            load = _Load(converter, summary, Path(spill))
            for piece in map(converter, itertools.chain([batch], source)):
                load.add(piece)
            load.write(writer)
        made = {
            "made_by": "import",
            "source": {"file": file.name, **({} if file.is_dir() else {"sha256": sha256(file)})},
            "mapping": made_with or ("detected" if assumed or not file.is_dir() else "log folder"),
            "privacy": PRIVACY,
        }
        tables: dict[str, Any] = {}
        if file.is_dir():
            tables = _folder_tables(file, load.ids())
            summary.labels += len(tables.get("labels", ()))
            made |= {
                k: v
                for k, v in _folder_manifest(file).items()
                if k not in ("files", "schema_version", "versions")
            }
        names = {name: mapping.roles[name] for name in summary.events if name in mapping.roles}
        made_tables = {name: table for name, table in load.tables().items() if table is not None}
        tables |= made_tables
        own_names = file.is_dir() and not remapped
        made = _with_provenance(made, mapping, made_tables, own_names=own_names)
        writer.finish(
            **tables,
            extra={"rejects": load.rejects()},
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
    """Add the manifest's `provenance`, and `event_names` where the list of event names is given.

    `made` holds what an imported folder says of itself; `derived` names the tables that this import
    made out of the rows. `own_names`: the events keep the names that they have in the folder.
    """
    tables = ("items", "users", "event")
    before = made.get("provenance") or {}
    found = {name: before.get(name) for name in tables} | dict.fromkeys(derived)
    names = made.pop("event_names", None)
    if not own_names:
        # A column of the file may hold any name; a constant and the rules hold theirs only.
        rules = [rule.event for rule in mapping.rules if rule.event is not None]
        constant = mapping.event.constant
        names = None if constant is None else sorted({constant, *rules})
        found["event"] = DERIVED if names is None else GIVEN
    provenance = {name: GIVEN if found[name] == GIVEN else DERIVED for name in tables}
    return {**made, "provenance": provenance, **({} if names is None else {"event_names": names})}


class _Load:
    """Gathers converted batches, in memory or spread over files, and writes them as parts."""

    def __init__(self, converter: Converter, summary: Summary, spill: Path) -> None:
        self.converter, self.mapping, self.summary, self.spill = (
            converter,
            converter.mapping,
            summary,
            spill,
        )
        self.batches: list[pa.Table] = []
        self.in_memory = self.spilled = 0
        self.reject_tables: list[pa.Table] = []
        self.attributes: dict[str, list[pd.DataFrame]] = {"users": [], "items": []}
        self.label_tables: list[pd.DataFrame] = []
        self.id_pairs: list[np.ndarray] = []
        self.own_columns: dict[str, str] = {}  # kept beside the schema -> type

    def add(self, piece: Converted) -> None:
        """Take one batch."""
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
        if self.in_memory > SPILL_ROWS or (self.spilled and self.in_memory > ROWS_PER_PART):
            self._spill()

    def _spill(self) -> None:
        table = pa.concat_tables(self.batches, promote_options="permissive").unify_dictionaries()
        user = table["user_id"].combine_chunks()
        names = np.asarray(user.dictionary.to_numpy(zero_copy_only=False), dtype=object)
        part = (pd.util.hash_array(names) % PARTITIONS)[user.indices.to_numpy()]
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange(PARTITIONS + 1))
        # Plain strings: a slice of a dictionary column would carry the whole dictionary into each
        # of the files.
        table = to_arrow(table).take(pa.array(order))
        for number, (start, stop) in enumerate(itertools.pairwise(ends)):
            if stop > start:
                file = self.spill / f"{number:03d}-{self.spilled:05d}.parquet"
                pq.write_table(table.slice(start, stop - start), file, compression="lz4")
        self.spilled += 1
        self.batches, self.in_memory = [], 0

    def write(self, writer: LogWriter) -> None:
        """Write the parts. Raises InputError where too many rows were set aside or none is left."""
        self._refuse_bad_file()
        if not self.spilled:
            self._write_rows(writer, pa.concat_tables(self.batches, promote_options="permissive"))
            return
        if self.batches:
            self._spill()
        waiting: list[pa.Table] = []
        for number in range(PARTITIONS):
            waiting += [_read(path) for path in sorted(self.spill.glob(f"{number:03d}-*.parquet"))]
            if waiting and (
                sum(t.num_rows for t in waiting) >= ROWS_PER_PART or number == PARTITIONS - 1
            ):
                self._write_rows(writer, pa.concat_tables(waiting, promote_options="permissive"))
                waiting = []

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
                f"{summary.file} has {n:,} of {summary.rows:,} rows that are no events "
                f"({reasons}); "
                f"{_remedy(worst[0][0])}, or name the reasons in --allow-rejects."
            )
        if kept == 0:
            raise InputError(
                f"{summary.file} has no row that is an event ({summary.rows:,} were set aside); "
                "look at the mapping."
            )

    def _write_rows(self, writer: LogWriter, table: pa.Table) -> None:
        events = sort_events(tidy(self._typed(_to_pandas(table))))
        if "session_id" not in events:
            events["session_id"] = session_ids(events, gap_minutes=self.mapping.session_gap_minutes)
        event_id = np.arange(self.summary.kept, self.summary.kept + len(events), dtype=np.int64)
        self.summary.kept += len(events)
        if "_event_id" in events:
            self.id_pairs.append(np.stack([events["_event_id"].to_numpy(), event_id]))
        for i, label in enumerate(self.mapping.labels):
            has = events[f"_label{i}"].notna().to_numpy()
            self.label_tables.append(
                pd.DataFrame(
                    {
                        "event_id": event_id[has],
                        "kind": label.kind,
                        "value": events[f"_label{i}"].to_numpy(dtype=np.float64)[has],
                        "known_at": events[f"_known{i}"][has].to_numpy(),
                    }
                )
            )
        events = events[
            [c for c in COLUMNS if c in events]
            + [c for c in events if c not in COLUMNS and not str(c).startswith("_")]
        ]
        self.own_columns |= {
            str(c): "text"
            if isinstance(events[c].dtype, pd.CategoricalDtype)
            else str(events[c].dtype)
            for c in events
            if c not in COLUMNS
        }
        events.insert(0, "event_id", event_id)
        self._count(events)
        for start, stop in _part_bounds(events, ROWS_PER_PART):
            writer.write_part(events.iloc[start:stop])

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns beyond the schema become numbers where every value in the whole file is one."""
        for name, number in self.converter.numeric.items():
            if (
                number
                and name in frame
                and isinstance(frame[name].dtype, pd.CategoricalDtype)
                and len(frame[name].cat.categories)
            ):
                values = pd.to_numeric(frame[name].cat.categories).to_numpy(dtype=np.float64)
                frame[name] = np.append(values, np.nan)[frame[name].cat.codes.to_numpy()]
        return frame

    def _count(self, events: pd.DataFrame) -> None:
        summary = self.summary
        summary.users += int(events["user_id"].cat.codes.nunique())
        for name, n in events["event"].value_counts().items():
            if n:
                summary.events[str(name)] = summary.events.get(str(name), 0) + int(n)
        first, last = events["timestamp"].min(), events["timestamp"].max()
        summary.first = first if summary.first is None else min(first, summary.first)
        summary.last = last if summary.last is None else max(last, summary.last)
        summary.roles = roles_of(summary.events, self.mapping.roles)

    def tables(self) -> dict[str, pd.DataFrame | None]:
        """users, items and labels, as far as the mapping makes them."""
        out: dict[str, pd.DataFrame | None] = {
            "users": _most_frequent(self.attributes["users"]),
            "items": _most_frequent(self.attributes["items"]),
        }
        if self.mapping.labels:
            labels = pd.concat(self.label_tables, ignore_index=True).sort_values(
                ["event_id", "kind"], kind="stable", ignore_index=True
            )
            labels["known_at"] = pd.to_datetime(labels["known_at"], utc=True)
            out["labels"] = labels
            self.summary.labels = len(labels)
        foreign = [name for name, role in self.summary.roles.items() if role == "other"]
        if foreign:
            self.summary.notes.append(
                f"no role is known for {', '.join(sorted(foreign))}; give one in [roles] of a "
                "mapping"
            )
        if self.own_columns:
            kept = ", ".join(f"{name} ({kind})" for name, kind in self.own_columns.items())
            self.summary.notes.append(f"kept beside the schema's columns: {kept}")
        if self.converter.left_out:
            self.summary.notes.append(
                f"nested columns left out: {', '.join(sorted(self.converter.left_out))}"
            )
        return out

    def rejects(self) -> pa.Table:
        """All rows that were set aside."""
        table = pa.concat_tables(self.reject_tables, promote_options="permissive")
        return table.sort_by("row") if table.num_rows else table

    def ids(self) -> pd.Series:
        """Old event id -> new event id."""
        pairs = (
            np.concatenate(self.id_pairs, axis=1)
            if self.id_pairs
            else np.zeros((2, 0), dtype=np.int64)
        )
        return pd.Series(pairs[1], index=pairs[0])


def _remedy(reason: str) -> str:
    """What to do about rows that were set aside for a reason."""
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
    if reason == "duplicated event_id":
        return "if that is no id of the event, leave event_id out of [columns] in a mapping"
    return "mend the file or the mapping"


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    """(id, attribute, value) of a batch with how often each occurs."""
    key = str(frame.columns[0])
    parts = []
    for name in frame.columns[1:]:
        counts = frame.groupby([key, name], observed=True).size().rename("n").reset_index()
        parts.append(
            pd.DataFrame(
                {
                    key: counts[key].astype(str),
                    "attribute": name,
                    "value": counts[name].astype(str),
                    "n": counts["n"],
                }
            )
        )
    return pd.concat(
        [
            *parts,
            pd.DataFrame(
                {
                    key: frame[key].dropna().astype(str).unique(),
                    "attribute": "",
                    "value": "",
                    "n": 0,
                }
            ),
        ]
    )


def _most_frequent(counts: list[pd.DataFrame]) -> pd.DataFrame | None:
    """One row an id with the value that each attribute has most often (of equals the first by
    name).
    """
    if not counts:
        return None
    table = pd.concat(counts)
    key = str(table.columns[0])
    table = table.groupby([key, "attribute", "value"], as_index=False)["n"].sum()
    table = table.sort_values(
        [key, "attribute", "n", "value"], ascending=[True, True, False, True]
    ).drop_duplicates([key, "attribute"])
    wide = table.pivot_table(index=key, columns="attribute", values="value", aggfunc="first")
    return wide.drop(columns="", errors="ignore").reset_index().rename_axis(columns=None)


# --- an existing log folder as the source ---------------------------------------------------------


def _folder_manifest(path: Path) -> dict[str, Any]:
    return read_manifest(path) if (path / "manifest.json").exists() else {}


def _folder_batches(path: Path) -> Iterator[Batch]:
    n = 0
    if not (path / "events").is_dir():
        raise InputError(
            f"{path} is a folder without events/part-*.parquet; give a file or a log folder."
        )
    for part in _part_paths(path):
        table = _read(part)
        yield Batch(table, np.arange(n + 1, n + table.num_rows + 1))
        n += table.num_rows
    if n == 0:
        raise InputError(f"{path} has no events; there is nothing to import.")


def _folder_mapping(path: Path, table: pa.Table) -> Mapping:
    """Every column is what its name says."""
    columns: dict[str, Names] = {
        name: (name,)
        for name in COLUMNS
        if name in table.column_names and name not in ("timestamp", "event")
    }
    manifest = _folder_manifest(path)
    return Mapping(
        columns=columns,
        time=TimeFormat(column=("timestamp",)),
        event=EventSource(column=("event",)),
        roles=dict(manifest.get("roles") or {}),
        currency=str(manifest.get("currency") or ""),
    )


def _folder_tables(path: Path, ids: pd.Series) -> dict[str, Any]:
    """The other tables of the folder, their event ids made those of the new log; rows of events
    that were set aside fall away.
    """

    def renumbered(frame: pd.DataFrame) -> pd.DataFrame:
        if "event_id" not in frame or ids.empty:
            return frame
        frame = frame[frame["event_id"].isin(ids.index)]
        return frame.assign(event_id=ids.loc[frame["event_id"]].to_numpy()).sort_values(
            "event_id", kind="stable", ignore_index=True
        )

    log_tables = {
        name: renumbered(_to_pandas(_read(path / f"{name}.parquet")))
        for name in ("users", "items", "labels")
        if (path / f"{name}.parquet").exists()
    }
    truth = {
        p.stem: renumbered(_to_pandas(_read(p))) for p in sorted((path / "truth").glob("*.parquet"))
    }
    return {**log_tables, "truth": truth}


def imported(file: Path | str, out: Path | str, **settings: Any) -> EventLog:
    """`import_file`, then the log that it wrote."""
    import_file(file, out, **settings)
    return EventLog.read(out)
