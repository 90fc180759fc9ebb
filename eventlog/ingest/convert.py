"""Convert batches of a file's own columns to the schema, setting bad rows aside with a reason.

The first reason found for a row counts. The rules of the mapping are applied after missing users
and times are found and before prices are checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from eventlog._runtime.errors import InputError
from eventlog.arrays import DAY_MS
from eventlog.ingest.mapping import Label, Mapping, Names, Rule, TimeFormat
from eventlog.ingest.nested import flatten
from eventlog.ingest.rejects import NUMBERS, REASONS, reject_table
from eventlog.ingest.streams import RAGGED, Batch
from eventlog.ingest.values import (
    NO_TIME,
    Coded,
    all_numbers,
    coded,
    localised,
    parse_numbers,
    parse_times,
    since_1970,
)
from eventlog.schema import COLUMNS, named_as_id

EARLIEST, LATEST = (
    pd.Timestamp(t, tz="UTC").value // 1_000_000 for t in ("1990-01-01", "2100-01-01")
)
TRUTHS = {"true": 1.0, "yes": 1.0, "y": 1.0, "t": 1.0, "false": 0.0, "no": 0.0, "n": 0.0, "f": 0.0}
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

    path: Path
    mapping: Mapping
    keep_event_id: bool = False
    # Columns beyond the schema -> whether all values so far are numbers.
    numeric: dict[str, bool] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)  # columns beyond the schema that are ids
    left_out: set[str] = field(default_factory=set)  # nested columns that are not used
    _seen: list[np.ndarray] = field(default_factory=list)  # hashes of the file's own event ids

    def __call__(self, batch: Batch) -> Converted:
        """Convert one batch.

        Raises InputError if a column is missing or its type is not a value, such as raw bytes.
        """
        table, rows, left_out = flatten(
            batch.table, batch.rows, self.mapping.sources(), self.mapping.file.explode
        )
        self.left_out |= left_out
        try:
            return _Conversion(self, table, rows, batch.ragged).result()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"{self.path} has a column that cannot be read as text, numbers or times: {error}"
            ) from None

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
        raise InputError(
            f"{self.path} has no column {wanted} for {what}; its columns are "
            f"{', '.join(table.column_names)}."
        )


class _Conversion:
    """The conversion of one batch: the columns made so far, and which rows are set aside."""

    def __init__(
        self, owner: Converter, table: pa.Table, rows: np.ndarray, ragged: list[tuple[int, str]]
    ) -> None:
        self.owner, self.mapping, self.table, self.rows, self.ragged = (
            owner,
            owner.mapping,
            table,
            rows,
            ragged,
        )
        self.names = [*REASONS, *dict.fromkeys(r.reject for r in self.mapping.rules if r.reject)]
        self.reason = np.full(len(rows), -1, dtype=np.int16)  # index into names; -1: not set aside
        self.used: set[str] = set()
        self.out: dict[str, Any] = {}
        self.source: dict[str, str] = {}  # reason -> column of the file that it is about

    def result(self) -> Converted:
        """Convert column by column and return the good and the bad rows."""
        columns = {
            name: self._find(names, name, optional=name in self.mapping.optional)
            for name, names in self.mapping.columns.items()
        }
        self._ids("user_id", columns["user_id"])
        self.set_aside(self.out["user_id"].codes < 0, "missing user_id")
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
                self.set_aside(values < 0, f"negative {name}")
                self.out[name] = pa.array(
                    values.astype(np.float32) if name != "quantity" else values,
                    mask=np.isnan(values),
                )
                if name == "quantity":
                    self.out[name] = pc.cast(self.out[name], pa.int32(), safe=False)
        self.set_aside(self.out["event"].codes < 0, "missing event")
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
        name = self.owner.column(self.table, names, what, optional=optional)
        if name is not None:
            self.used.add(name)
        return name

    def _coded(self, name: str) -> Coded:
        return coded(self.table[name], self.mapping.file.missing)

    def set_aside(self, where: np.ndarray, reason: str, source: str | None = None) -> None:
        """Set rows aside for a reason; the first reason found for a row counts."""
        self.reason[where & (self.reason < 0)] = self.names.index(reason)
        if source:
            self.source[reason] = source

    def _ids(self, name: str, source: str | None) -> None:
        if source is None:
            return
        column = self._coded(source)
        if name in self.mapping.integer_ids:
            column = _whole(column)
        if name == "session_id" and self.mapping.session_scope == "user":
            column = _within(self.out["user_id"], column)
        self.out[name] = column

    def _time(self) -> np.ndarray:
        how = self.mapping.time
        source = self._find(how.column, "timestamp")
        ms, missing = self._times(source or "", how)
        self.set_aside(missing, "missing timestamp")
        for wrong, reason in (
            (ms == NO_TIME, "unparseable timestamp"),
            (ms < EARLIEST, "timestamp before 1990"),
            (ms >= LATEST, "timestamp after 2100"),
        ):
            self.set_aside(wrong, reason, source)
        self.out["timestamp"] = pa.array(ms).cast(pa.timestamp("ms", tz="UTC"))
        return ms

    def _times(self, source: str, how: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
        """Return times in ms, (n_rows,) int64, and which are missing, (n_rows,) bool."""
        kind = self.table[source].type
        if pa.types.is_temporal(kind):
            values = self.table[source].combine_chunks()
            time = pd.DatetimeIndex(
                values.cast(
                    pa.timestamp("ms", tz=getattr(kind, "tz", None)), safe=False
                ).to_pandas()
            ).as_unit("ms")
            if time.tz is None and how.timezone != "UTC":
                time = localised(time, how.timezone)
            return time.asi8, np.asarray(time.isna())
        if how.unit and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            number = self.table[source].to_numpy().astype(np.float64)
            return since_1970(number, how.unit), np.isnan(number)
        column = self._coded(source)
        return column.take(parse_times(column.values, how), NO_TIME), column.codes < 0

    def _event(self) -> None:
        source = self.mapping.event
        if source.constant is not None:
            self.out["event"] = Coded(
                np.zeros(len(self.rows), dtype=np.int32), np.array([source.constant], dtype=object)
            )
            return
        column = self._coded(self._find(source.column, "event") or "")
        self.out["event"] = Coded(
            column.codes,
            np.array([source.names.get(v.strip(), v.strip()) for v in column.values], dtype=object),
        )

    def _number(self, name: str, source: str | None) -> np.ndarray | None:
        if source is None:
            return None
        if pa.types.is_floating(self.table[source].type) or pa.types.is_integer(
            self.table[source].type
        ):
            values = self.table[source].to_numpy().astype(np.float64)
            wrong = np.isinf(values)
        else:
            column = self._coded(source)
            values = column.take(parse_numbers(column.values, self.mapping.file.decimal), np.nan)
            wrong = np.isnan(values) & (column.codes >= 0)
        if COLUMNS[name].kind == "integer":
            wrong |= (values != np.floor(values)) & ~np.isnan(values) | (np.abs(values) >= 2**31)
        self.set_aside(wrong, f"unparseable {name}", source)
        return np.where(wrong, np.nan, values)

    def _apply(self, rule: Rule, numbers: dict[str, np.ndarray | None]) -> None:
        name = self.owner.column(self.table, rule.column, "a rule of the mapping", optional=True)
        if name is None:
            return  # a preset may have rules on columns that this file lacks
        column = self._coded(name)
        if rule.present is not None:
            where = (column.codes >= 0) == rule.present
        elif rule.begins_with is not None:
            where = column.where([v.startswith(rule.begins_with) for v in column.values])
        elif rule.matches is not None:
            where = column.where([re.fullmatch(rule.matches, v) is not None for v in column.values])
        elif rule.below is not None:
            where = column.where(
                parse_numbers(column.values, self.mapping.file.decimal) < rule.below
            )
        else:
            where = column.where([v in rule.equals for v in column.values])
        if rule.event is not None:
            event = self.out["event"]
            self.out["event"] = Coded(
                np.where(where, np.int32(len(event.values)), event.codes),
                np.append(event.values, np.array([rule.event], dtype=object)),
            )
        for target in rule.absolute:
            values = numbers.get(target)
            if values is not None:
                numbers[target] = np.where(where, np.abs(values), values)
        if rule.reject is not None:
            self.set_aside(where, rule.reject)

    def _own_event_ids(self, source: str | None) -> None:
        """Find duplicates by the file's own event ids; the log gets new, ascending ones."""
        if source is None:
            return
        column = self._coded(source)
        hashed = column.take(pd.util.hash_array(column.values.astype(object)), 0)
        seen = pd.Series(hashed).duplicated().to_numpy().copy()
        for old in self.owner._seen:
            seen |= old[np.minimum(np.searchsorted(old, hashed), len(old) - 1)] == hashed
        self.set_aside(seen & (column.codes >= 0), "duplicated event_id", source)
        self.owner._seen.append(
            np.unique(hashed[column.codes >= 0])
            if (column.codes >= 0).any()
            else np.zeros(1, dtype=np.uint64)
        )
        if self.owner.keep_event_id:
            self.out["_event_id"] = pa.array(
                column.take(parse_numbers(column.values, "."), -1.0).astype(np.int64)
            )

    def _label(self, number: int, label: Label, time: np.ndarray) -> None:
        source = self._find(label.column, f"the label {label.kind}") or ""
        column = self._coded(source)
        values = parse_numbers(column.values, self.mapping.file.decimal)
        words = np.array(
            [label.values.get(v, TRUTHS.get(v.strip().lower(), np.nan)) for v in column.values],
            dtype=np.float64,
        )
        value = column.take(np.where(np.isnan(words), values, words), np.nan)
        self.set_aside(np.isnan(value) & (column.codes >= 0), "unparseable label", source)
        known = time + int(label.delay_days * DAY_MS)
        if label.known_at:
            source = self._find(label.known_at, f"when the label {label.kind} was known") or ""
            given, missing = self._times(source, self.mapping.time)
            self.set_aside(~missing & (given == NO_TIME), "unparseable timestamp")
            known = np.where(missing, known, given)
        has = ~np.isnan(value)
        self.set_aside(has & (known < time), "label known before its event")
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
        for name in self.table.column_names:
            if name in self.used or name in self.mapping.drop:
                continue
            kept = (
                f"{name}_in_file"
                if name in COLUMNS or name in self.out or name.startswith("_")
                else name
            )
            kind = self.table[name].type
            if name in self.mapping.ids or (named_as_id(name) and not pa.types.is_temporal(kind)):
                self.out[kept] = _whole(self._coded(name))
                self.owner.ids.add(kept)
                continue
            if (
                pa.types.is_integer(kind)
                or pa.types.is_floating(kind)
                or pa.types.is_temporal(kind)
            ):
                self.out[kept] = self.table[name].combine_chunks()
                continue
            column = self._coded(name)
            self.numeric[kept] = self.numeric.get(kept, True) and all_numbers(column.values)
            self.out[kept] = column

    @property
    def numeric(self) -> dict[str, bool]:
        """Shared by all batches: a column is numeric only if it is so in each of them."""
        return self.owner.numeric

    # --- rows -------------------------------------------------------------------------------------

    def _split(self, users: pd.DataFrame | None, items: pd.DataFrame | None) -> Converted:
        """Divide the rows into events and rejects, and count the reasons."""
        good = self.reason < 0
        arrays = {
            name: column.arrow() if isinstance(column, Coded) else column
            for name, column in self.out.items()
        }
        events = pa.table(arrays).filter(pa.array(good))
        bad = np.flatnonzero(~good)
        rejects = reject_table(
            self.table.take(pa.array(bad)),
            self.rows[bad],
            [self.names[i] for i in self.reason[bad]],
            self.ragged,
        )
        reasons, examples = {}, {}
        for i in np.unique(self.reason[bad]):
            where = np.flatnonzero(self.reason == i)
            reasons[self.names[i]] = (len(where), int(self.rows[where[0]]))
            if (source := self.source.get(self.names[i])) is not None:
                examples[self.names[i]] = (
                    f"{source} is {str(self.table[source][int(where[0])].as_py())[:60]!r}"
                )
        if self.ragged:
            reasons[RAGGED] = (len(self.ragged), self.ragged[0][0])
        return Converted(
            events,
            rejects,
            reasons,
            examples,
            None if users is None else users[good],
            None if items is None else items[good],
            len(self.rows) + len(self.ragged),
        )


def _whole(column: Coded) -> Coded:
    """Return ids without the ".0" that whole numbers get beside missing values."""
    values = [re.sub(r"^(\d+)\.0$", r"\1", v) for v in column.values]
    return Coded(column.codes, np.array(values, dtype=object))


def _within(user: Coded, session: Coded) -> Coded:
    """Return session ids that are unique within a user as "<user>:<session>"."""
    pairs = user.codes.astype(np.int64) * (len(session.values) + 1) + session.codes
    _, first, codes = np.unique(pairs, return_index=True, return_inverse=True)
    text = [
        f"{u}:{s}"
        for u, s in zip(
            user.take(user.values, "")[first], session.take(session.values, "")[first], strict=True
        )
    ]
    return Coded(
        np.where((session.codes < 0) | (user.codes < 0), np.int32(-1), codes.astype(np.int32)),
        np.array(text, dtype=object),
    )
