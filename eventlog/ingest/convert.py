"""Convert batches of a file's own columns to the schema, setting bad rows aside with a reason.

The first reason found for a row counts. The rules of the mapping are applied after missing users
and times are found and before prices are checked.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from eventlog._runtime.errors import InputError
from eventlog.arrays import DAY_MS
from eventlog.ingest.columns.amounts import parse_numbers
from eventlog.ingest.columns.conditions import label_values, satisfied
from eventlog.ingest.columns.event_ids import SeenIds
from eventlog.ingest.columns.own_columns import OwnColumns
from eventlog.ingest.columns.times import NO_TIME, UNITS, clocks, column_times, shop_time, units_of
from eventlog.ingest.columns.values import (
    TEXT,
    Coded,
    coded,
    within,
    without_decimals,
)
from eventlog.ingest.mapping import Label, Mapping, Names, Rule, TimeFormat
from eventlog.ingest.reading.streams import Batch
from eventlog.ingest.rejects import NUMBERS, SetAside
from eventlog.schema import COLUMNS, named_as_id

EARLIEST, LATEST = (
    pd.Timestamp(t, tz="UTC").value // 1_000_000 for t in ("1990-01-01", "2100-01-01")
)
IDS = [name for name, column in COLUMNS.items() if column.kind in ("id", "categorical")]


@dataclass
class Converted:
    """A batch in the schema's columns; label and old-id columns begin with an underscore."""

    events: pa.Table
    rejects: pa.Table  # row, reason and the row as it was in the file
    reasons: dict[str, tuple[int, int]]  # reason -> (rows, first row)
    examples: dict[str, str]  # reason -> the value in its first row: "price is '1,50'"
    users: pd.DataFrame | None  # attributes: (user_id, ...), as often as they occur
    items: pd.DataFrame | None
    n_rows: int


@dataclass
class Converter:
    """Converts the batches of one file, one after another."""

    path: str
    mapping: Mapping
    from_log: bool = False  # a log folder: it has event ids, and says which columns are ids
    several_files: bool = False
    lists: frozenset[str] = frozenset()  # columns that are not read
    own: OwnColumns = field(default_factory=OwnColumns)  # the columns beyond the schema
    called_ids: set[str] = field(default_factory=set)  # those of them that may be ids
    units: Counter[str] = field(default_factory=Counter)  # unit -> times that count in it
    at_midnight: Counter[str] = field(default_factory=Counter)  # clock -> rows without one
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)  # (column, text) -> rows
    seen_ids: SeenIds = field(default_factory=SeenIds)  # the file's own event ids

    def __call__(self, batch: Batch) -> Converted:
        """Convert one batch.

        Raises InputError if a column is missing or its type is not a value, such as raw bytes.
        """
        try:
            return _Conversion(self, batch).result()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"{self.path} has a column that cannot be read as text, numbers or times: {error}"
            ) from None

    @property
    def ids(self) -> set[str]:
        """Return the columns beyond the schema that are ids."""
        seen = self.own.seen
        return {n for n in self.called_ids if n not in seen or seen[n].kind() == "text"}

    def column(
        self, table: pa.Table, names: Names, what: str, *, optional: bool = False
    ) -> str | None:
        """Return the first of `names` that the file has. Raises InputError unless `optional`."""
        for name in names:
            if name in table.column_names:
                return name
        if optional:
            return None
        wanted = " or ".join(map(repr, names))
        lists = sorted(self.lists.intersection(names))
        if lists:
            raise InputError(
                f"{self.path} has {lists[0]!r} for {what} as lists; [file] explode makes a row of "
                "each element of one list of plain values or objects."
            )
        raise InputError(
            f"{self.path} has no column {wanted} for {what}; its columns are "
            f"{', '.join(table.column_names)}."
        )


class _Conversion:
    """The conversion of one batch: the columns made so far, and which rows are set aside."""

    def __init__(self, owner: Converter, batch: Batch) -> None:
        self.owner, self.mapping, self.batch = owner, owner.mapping, batch
        self.table, self.n_rows = batch.table, len(batch.rows)
        self.decimal = self.mapping.file.decimal or "."
        self.aside = SetAside(self.n_rows, (r.reject for r in self.mapping.rules if r.reject))
        self.used: set[str] = set()
        self.out: dict[str, Any] = {}

    def result(self) -> Converted:
        """Convert column by column and return the good and the bad rows."""
        columns = {
            name: self._find(names, name, optional=name in self.mapping.optional)
            for name, names in self.mapping.columns.items()
        }
        self._ids("user_id", columns["user_id"])
        self.aside.add(self.out["user_id"].codes < 0, "missing user_id", columns["user_id"])
        time = self._time()
        self._event()
        numbers = {name: self._number(name, columns.get(name)) for name in NUMBERS}
        for name in IDS:
            if name not in ("user_id", "event"):
                self._ids(name, columns.get(name))
        for rule in self.mapping.rules:
            self._apply(rule, numbers)
        for name, values in numbers.items():
            if values is not None:
                self.aside.add(values < 0, f"negative {name}")
                self.out[name] = pa.array(values + 0.0, mask=np.isnan(values))  # no -0.0
        self.aside.add(self.out["event"].codes < 0, "missing event")
        self._own_event_ids(columns.get("event_id"))
        for i, label in enumerate(self.mapping.labels):
            self._label(i, label, time)
        users, items = (
            self._attributes("user_id", self.mapping.users),
            self._attributes("item_id", self.mapping.items),
        )
        self._rest()
        return self._split(users, items)

    # --- single columns ---------------------------------------------------------------------------

    def _find(self, names: Names, what: str, *, optional: bool = False) -> str | None:
        """Return a column of the file, or the first of several filled up from the others."""
        name = self.owner.column(self.table, names, what, optional=optional)
        if name is None:
            return None
        found = [n for n in names if n in self.table.column_names]
        self.used.update(found)
        return name if len(found) == 1 else self._filled(found)

    def _filled(self, names: list[str]) -> str:
        """Return the name of a column with the first value that each row has in `names`."""
        joined = " or ".join(names)
        if joined not in self.table.column_names:
            columns = [self._coded(name) for name in names]
            texts = pc.coalesce(*(c.arrow().cast(pa.string()) for c in columns))
            self.table = self.table.append_column(joined, texts.dictionary_encode())
            self.used.add(joined)
        return joined

    def _coded(self, name: str) -> Coded:
        return coded(self.table[name], self.mapping.file.missing)

    def _ids(self, name: str, source: str | None) -> None:
        if source is None:
            return
        column = self._coded(source).merged().stripped()
        if name in self.mapping.strip:
            column = column.without_part(self.mapping.strip[name]).without(("",))
        if COLUMNS[name].kind == "id":
            column = self._known_ids(column, source)
        if name in self.mapping.integer_ids:
            column = without_decimals(column)
        if name == "session_id" and self.mapping.session_scope == "user":
            column = within(self.out["user_id"], column)
        self.out[name] = column

    def _known_ids(self, column: Coded, source: str) -> Coded:
        """Return ids without texts such as NA, which are counted."""
        texts = self.mapping.file.missing_ids
        kept = column.without(texts)
        if kept is not column:
            for i, text in enumerate(column.values.to_pylist()):
                if text in texts:
                    self.owner.missing[source, text] += int((column.codes == i).sum())
        return kept

    def _time(self) -> np.ndarray:
        source = self._find(self.mapping.time.column, "timestamp") or ""
        ms, missing = self._dated(self._time_column(source), self.mapping.time)
        self._count_units(source)
        self.aside.add(missing, "missing timestamp")
        for wrong, reason in (
            (ms == NO_TIME, "unparseable timestamp"),
            (ms < EARLIEST, "timestamp before 1990"),
            (ms >= LATEST, "timestamp after 2100"),
        ):
            self.aside.add(wrong, reason, source)
        self.out["timestamp"] = pa.array(ms).cast(pa.timestamp("ms", tz="UTC"))
        return ms

    def _time_column(self, source: str) -> pa.ChunkedArray:
        """Return a column of times, without texts that mean no value."""
        column = self.table[source]
        if column.type != TEXT:
            return column
        text = self._coded(source).without(self.mapping.file.missing_ids)
        return pa.chunked_array([text.arrow(merge=False)])

    def _dated(self, dates: pa.ChunkedArray, how: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
        """Return times in ms, (n_rows,) int64, and which are missing, (n_rows,) bool.

        The time of day may be in a second column.
        """
        if not how.clock:
            return column_times(dates, how)
        # A day may have 23 hours, so date and time of day are put together before they get a zone.
        ms, missing = column_times(dates, replace(how, timezone="UTC"))
        source = self._find(how.clock, "the time of day ([time] clock)") or ""
        column = self._coded(source)
        read = clocks(column.values, how.clock_unit)
        day = column.take(read, 0)
        self.owner.at_midnight[source] += int(((column.codes < 0) & ~missing).sum())
        self.aside.add((day == NO_TIME) & (ms != NO_TIME), "unparseable timestamp", source)
        both = np.where((ms == NO_TIME) | (day == NO_TIME), NO_TIME, ms + day)
        return shop_time(both, how.timezone), missing

    def _count_units(self, source: str) -> None:
        if self.mapping.time.unit != "auto":
            return
        column = self._coded(source)
        texts = pd.to_numeric(pd.Series(column.values.to_pandas()), errors="coerce").to_numpy()
        units = column.take(units_of(np.asarray(texts, dtype=np.float64)), -1)
        for i, n in enumerate(np.bincount(units[units >= 0], minlength=len(UNITS))):
            self.owner.units[UNITS[i]] += int(n)

    def _event(self) -> None:
        source = self.mapping.event
        if source.constant is not None:
            self.out["event"] = Coded(
                np.zeros(self.n_rows, dtype=np.int32), pa.array([source.constant])
            )
            return
        column = self._coded(self._find(source.column, "event") or "").stripped()
        self.out["event"] = column.map(lambda v: source.names.get(v, v))

    def _number(self, name: str, source: str | None) -> np.ndarray | None:
        if source is None:
            return None
        values, wrong = self._numbers(source)
        self.aside.add(wrong, f"unparseable {name}", source)
        return values

    def _numbers(self, source: str) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers, (n_rows,) float64, and the rows where the text is none, (n_rows,)."""
        kind = self.table[source].type
        if pa.types.is_floating(kind) or pa.types.is_integer(kind):
            values = self.table[source].cast(pa.float64()).to_numpy()
            return np.where(np.isinf(values), np.nan, values), np.isinf(values)
        column = self._coded(source).stripped().without(self.mapping.file.missing_ids)
        values = column.take(self._parsed(column.values), np.nan)
        return values, np.isnan(values) & (column.codes >= 0)

    def _parsed(self, values: pa.Array) -> np.ndarray:
        return parse_numbers(values, self.decimal, self.mapping.file.thousands)

    def _apply(self, rule: Rule, numbers: dict[str, np.ndarray | None]) -> None:
        name = self.owner.column(self.table, rule.column, "a rule of the mapping", optional=True)
        if name is None:
            return  # a preset may have rules on columns that this file lacks
        column = self._coded(name)
        where = satisfied(rule, column, self._parsed)
        if rule.event is not None:
            event = self.out["event"]
            self.out["event"] = Coded(
                np.where(where, np.int32(len(event.values)), event.codes),
                pa.array([*event.values.to_pylist(), rule.event], pa.string()),
            )
        for target in rule.absolute:
            values = numbers.get(target)
            if values is not None:
                numbers[target] = np.where(where, np.abs(values), values)
        if rule.reject is not None:
            self.aside.add(where, rule.reject)

    def _own_event_ids(self, source: str | None) -> None:
        """Find duplicates by the file's own event ids; the log gets new, ascending ones."""
        if source is None:
            return
        column = self._coded(source)
        self.aside.add(self.owner.seen_ids.repeated(column), "duplicated event_id", source)
        if self.owner.from_log:
            self.out["_event_id"] = pa.array(
                column.take(parse_numbers(column.values), -1.0).astype(np.int64)
            )

    def _label(self, number: int, label: Label, time: np.ndarray) -> None:
        source = self._find(label.column, f"the label {label.kind}") or ""
        column = self._coded(source)
        value = label_values(label, column, self._parsed)
        self.aside.add(np.isnan(value) & (column.codes >= 0), "unparseable label", source)
        known = time + int(label.delay_days * DAY_MS)
        if label.known_at:
            source = self._find(label.known_at, f"when the label {label.kind} was known") or ""
            given, missing = column_times(self._time_column(source), self.mapping.time)
            self.aside.add(~missing & (given == NO_TIME), "unparseable timestamp")
            known = np.where(missing, known, given)
        has = ~np.isnan(value)
        self.aside.add(has & (known < time), "label known before its event")
        self.out[f"_label{number}"] = pa.array(value, mask=~has)
        self.out[f"_known{number}"] = pa.array(known, mask=~has).cast(pa.timestamp("ms", tz="UTC"))

    def _attributes(self, key: str, columns: dict[str, Names]) -> pd.DataFrame | None:
        if not columns or key not in self.out:
            return None
        frame = {key: self.out[key].arrow().to_pandas()}
        for name, sources in columns.items():
            source = self._find(sources, name, optional=True)
            if source is not None:
                frame[name] = self._coded(source).arrow().to_pandas()
        return pd.DataFrame(frame)

    def _rest(self) -> None:
        """Keep the columns that the mapping does not name, under their own names."""
        for name in self.mapping.ids:
            self.owner.column(self.table, (name,), "an id (ids of the mapping)")
        for name in sorted(self.table.column_names):
            # Dropping an object drops its fields.
            roots = {name, *(name[: m.start()] for m in re.finditer(r"[.\[]", name))}
            if name in self.used or roots & set(self.mapping.drop):
                continue
            kept = (
                f"{name}_in_file"
                if name in COLUMNS or name in self.out or name.startswith("_")
                else name
            )
            kind = self.table[name].type
            guessed = named_as_id(name) and not (self.owner.from_log or pa.types.is_temporal(kind))
            if name in self.mapping.ids or guessed:
                ids = self._coded(name).stripped().without(self.mapping.file.missing_ids)
                self.out[kept] = without_decimals(ids)
                self.owner.called_ids.add(kept)
                if name not in self.mapping.ids:
                    self.owner.own.see_id(kept, self.out[kept])
            elif kind == TEXT or not (
                pa.types.is_integer(kind)
                or pa.types.is_floating(kind)
                or pa.types.is_timestamp(kind)
                or pa.types.is_date(kind)
            ):
                self.out[kept] = self._coded(name)
                self.owner.own.see_text(kept, self.out[kept])
            else:
                self.out[kept] = self.table[name].combine_chunks()
                self.owner.own.see_typed(kept, self.out[kept])

    # --- rows -------------------------------------------------------------------------------------

    def _split(self, users: pd.DataFrame | None, items: pd.DataFrame | None) -> Converted:
        """Divide the rows into events and rejects, and count the reasons."""
        good = self.aside.good
        arrays = {
            name: column.arrow() if isinstance(column, Coded) else column
            for name, column in self.out.items()
        }
        events = pa.table(arrays)
        return Converted(
            events=events if good.all() else events.filter(pa.array(good)),
            rejects=self.aside.table(
                self.batch, self.batch.file if self.owner.several_files else ""
            ),
            reasons=self.aside.reasons(self.batch),
            examples=self.aside.examples(self.table),
            users=None if users is None else users[good],
            items=None if items is None else items[good],
            n_rows=self.n_rows + len(self.batch.ragged),
        )
