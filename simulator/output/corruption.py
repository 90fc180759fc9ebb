"""Damage as real logs have it, every piece of it labelled.

Rows sent twice, missing values, wrong clocks, late stamps. A finished shard is damaged in the order
in which damage happens on the way to a shop's warehouse::

    clocks (per device) -> stamped on arrival (per row) -> values lost (per row and column)
    -> rows sent twice

A copy carries whatever its original lost before. The damaged rows are sorted and numbered anew, as
the schema wants, and `truth_dirty` says what happened to which row; `truth_events` gains
`clean_id`, the id of the row in the clean log of the same seed. `restore` undoes all of it. Every
kind of damage has a seed of its own below the shard's, so no setting moves the damage of another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.log import EventLog
from eventlog.schema import COLUMNS
from simulator.output import arrow_columns
from simulator.output.truth_lookup import truth_table
from simulator.sections import Dirty

WHAT = ("duplicate", "resent", "null", "skew", "reset", "late")
DUPLICATE, RESENT, NULL, SKEW, RESET, LATE = range(len(WHAT))
MINUTE = 60_000  # ms, as all times here
RESET_TO = 946_684_800_000  # 2000-01-01: where a clock without a battery begins again
RESENT_AFTER = (1_000.0, 30_000.0)  # bounds of the delay until a row is sent a second time
OPTIONAL = tuple(name for name, column in COLUMNS.items() if not column.required)


def damaged(
    tables: dict[str, pa.Table], setting: Dirty, seed: np.random.SeedSequence
) -> dict[str, pa.Table]:
    """Return a shard's tables after the damage, with `truth_dirty` added.

    Args:
        tables: events (n rows by user and time), labels, and truth_events with a row for each row
            of events. They are not changed.
        setting: the scenario's section.
        seed: of the damage.

    Returns:
        The tables, with n rows plus the copies. truth_dirty has a row per piece of damage:
        event_id, what (of WHAT), the column that was changed and its value before (text), and for a
        copy `original`, the event_id of the row that it repeats.
    """
    events = tables["events"].combine_chunks()
    n = len(events)
    clocks, late, lost, copies = (np.random.default_rng(s) for s in seed.spawn(4))
    record = _DamageRecord()

    time = events["timestamp"].cast(pa.int64()).to_numpy().copy()
    _clocks(time, _codes(events["device"]), setting, clocks, record)
    at = np.flatnonzero(late.random(n) < setting.late)
    time[at] += np.ceil(MINUTE * late.exponential(setting.late_minutes, n)[at]).astype(np.int64)
    record.add(LATE, at, "timestamp")
    # The value before is that of the clean log, whatever other damage the time has: either record
    # alone undoes both.
    record.values("timestamp", pc.cast(events["timestamp"].combine_chunks(), pa.string()))
    for name in OPTIONAL:
        # drawn for every column, so that no share moves another column's losses
        draw = lost.random(n)
        at = np.flatnonzero(
            (draw < getattr(setting, f"null_{name}")) & pc.is_valid(events[name]).to_numpy()
        )
        if len(at):
            record.add(NULL, at, name)
            record.values(name, pc.cast(events[name].combine_chunks(), pa.string()))
            events = events.set_column(
                events.column_names.index(name), name, _without(events[name].combine_chunks(), at)
            )

    draw = copies.random(n)
    again = np.flatnonzero(draw < setting.duplicates + setting.resent)
    exact = draw[again] < setting.duplicates
    delay = np.rint(copies.uniform(*RESENT_AFTER, n)[again]).astype(np.int64)
    source = np.concatenate([np.arange(n), again])  # row of the clean log
    time = np.concatenate([time, time[again] + np.where(exact, 0, delay)])
    copied = np.arange(len(source)) >= n
    order = np.lexsort((copied, source, time, _codes(events["user_id"])[source]))

    clean_id = events["event_id"].to_numpy()
    first = clean_id[0] if n else 0
    place = np.empty(len(source), dtype=np.int64)  # of each row, then of each copy, in the new log
    place[order] = np.arange(len(source))
    row = source[order]
    events = events.take(pa.array(row))
    events = events.set_column(0, "event_id", pa.array(first + np.arange(len(row))))
    events = events.set_column(
        events.column_names.index("timestamp"),
        "timestamp",
        pa.array(time[order]).cast(arrow_columns.TIME),
    )
    record.add(DUPLICATE, n + np.flatnonzero(exact), None, again[exact])
    record.add(RESENT, n + np.flatnonzero(~exact), None, again[~exact])
    truth = tables["truth_events"].take(pa.array(row)).set_column(0, "event_id", events["event_id"])
    truth = truth.append_column("clean_id", pa.array(clean_id[row], mask=copied[order]))
    return tables | {
        "events": events,
        "labels": _labels(tables["labels"], clean_id, row, events["event_id"]),
        "truth_events": truth,
        "truth_dirty": record.table(first, place),
    }


def restore(log: EventLog) -> EventLog:
    """Return the clean log, row for row: without copies, with the old values, times and ids.

    Raises InputError where the truth is missing.
    """
    damage, truth = truth_table(log, "dirty"), truth_table(log, "events")
    kept = truth[truth["clean_id"].notna()]
    ids = pd.Series(kept["clean_id"].to_numpy(dtype=np.int64), index=kept["event_id"].to_numpy())

    def back(table: pd.DataFrame) -> pd.DataFrame:
        mine = table[table["event_id"].isin(ids.index)]
        mine = mine.assign(event_id=ids.loc[mine["event_id"].to_numpy()].to_numpy())
        return mine.sort_values("event_id", kind="stable", ignore_index=True)

    events = log.events.copy()
    changed = damage[damage["column"].notna()]
    for name, rows in changed.groupby("column", observed=True):
        at = pd.Index(events["event_id"]).get_indexer(rows["event_id"])
        kind = events[name].dtype
        if isinstance(kind, pd.CategoricalDtype):
            values = rows["value"].astype(object)
            events[name] = events[name].cat.add_categories(
                sorted(set(values) - set(kind.categories))
            )
        else:
            values = (
                pd.to_datetime(rows["value"], utc=True, format="ISO8601")
                if name == "timestamp"
                else pd.to_numeric(rows["value"])
            )
            values = values.astype(kind)
        events.iloc[at, events.columns.get_loc(name)] = values.array
    others = {name: table for name, table in log.truth.items() if name not in ("dirty", "events")}
    scenario = dict(log.manifest.get("scenario") or {}) | {"dirty": msgspec.structs.asdict(Dirty())}
    return replace(
        log,
        events=back(events),
        labels=None if log.labels is None else back(log.labels),
        truth=others | {"events": back(truth).drop(columns="clean_id")},
        manifest=dict(log.manifest) | {"scenario": scenario},
    )


def after_cleaning(log: EventLog, cleaned: EventLog) -> pd.DataFrame:
    """Return what a cleaning removed of each kind of damage, of bots and of undamaged rows.

    Columns: what, rows, removed, share.
    """
    damage, truth = truth_table(log, "dirty"), truth_table(log, "events")
    gone = ~np.isin(log.events["event_id"].to_numpy(), cleaned.events["event_id"].to_numpy())
    kinds = {
        what: truth["event_id"].isin(damage.loc[damage["what"] == what, "event_id"]).to_numpy()
        for what in WHAT
    }
    kinds["bot"] = (truth["fraud"].astype(object) == "scraping_bot").to_numpy()
    kinds["none"] = ~np.logical_or.reduce(list(kinds.values()))
    rows = [(what, int(mask.sum()), int((mask & gone).sum())) for what, mask in kinds.items()]
    table = pd.DataFrame(rows, columns=["what", "rows", "removed"])
    return table.assign(share=table["removed"] / table["rows"].where(table["rows"] > 0))


@dataclass
class _DamageRecord:
    """Damage as it happens, and the columns' values before it."""

    # (what, rows or n + number of the copy, column, original row)
    found: list[tuple[int, np.ndarray, str | None, np.ndarray | None]] = field(default_factory=list)
    before: dict[str, pa.Array] = field(default_factory=dict)

    def add(
        self, what: int, at: np.ndarray, column: str | None, original: np.ndarray | None = None
    ) -> None:
        self.found.append((what, at, column, original))

    def values(self, column: str, before: pa.Array) -> None:
        self.before[column] = before

    def table(self, first: int, place: np.ndarray) -> pa.Table:
        """Return truth_dirty, sorted by event.

        `place`: of each row, then of each copy, in the new log, whose first id is `first`.
        """
        text = pa.string()
        parts = [
            pa.table(
                {
                    "event_id": pa.array(first + place[at]),
                    "what": arrow_columns.dictionary(np.full(len(at), what), WHAT),
                    "column": pa.array([column] * len(at), text),
                    "value": pa.nulls(len(at), text)
                    if column is None
                    else self.before[column].take(pa.array(at)),
                    "original": pa.nulls(len(at), pa.int64())
                    if original is None
                    else pa.array(first + place[original]),
                }
            )
            for what, at, column, original in self.found
        ]
        whole = pa.concat_tables(parts).combine_chunks()
        part = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
        return whole.take(pa.array(np.lexsort((part, whole["event_id"].to_numpy()))))


def _clocks(
    time: np.ndarray,
    device: np.ndarray,
    setting: Dirty,
    rng: np.random.Generator,
    record: _DamageRecord,
) -> None:
    """Move `time` (n,) of the devices whose clock is wrong, in place.

    By a fixed, normally distributed offset, or back to RESET_TO.
    """
    n = int(device.max(initial=-1)) + 1
    draw = rng.random(n)
    reset, skewed = (
        draw < setting.clock_reset,
        (draw >= setting.clock_reset) & (draw < setting.clock_reset + setting.clock_skew),
    )
    offset = np.where(
        skewed,
        np.rint(MINUTE * setting.clock_skew_minutes * rng.standard_normal(n)).astype(np.int64),
        0,
    )
    # the last place is for rows without a device
    record.add(SKEW, np.flatnonzero(np.append(offset != 0, False)[device]), "timestamp")
    record.add(RESET, np.flatnonzero(np.append(reset, False)[device]), "timestamp")
    begun = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(begun, device[device >= 0], time[device >= 0])
    offset = np.append(np.where(reset, RESET_TO - begun, offset), 0)
    time += offset[device]


def _labels(
    labels: pa.Table, clean_id: np.ndarray, row: np.ndarray, event_id: pa.ChunkedArray
) -> pa.Table:
    """The labels under the new ids, sorted by event; a copy has the labels of its original."""
    first = np.searchsorted(labels["event_id"].to_numpy(), clean_id[row], side="left")
    count = np.searchsorted(labels["event_id"].to_numpy(), clean_id[row], side="right") - first
    ends = np.cumsum(count)
    take = np.repeat(first - (ends - count), count) + np.arange(int(count.sum()))
    return labels.take(pa.array(take)).set_column(
        0, "event_id", pa.array(np.repeat(event_id.to_numpy(), count))
    )


def _without(column: pa.Array, at: np.ndarray) -> pa.Array:
    """The column with nulls at `at`."""
    lost = np.zeros(len(column), dtype=bool)
    lost[at] = True
    if isinstance(column, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(_without(column.indices, at), column.dictionary)
    return pc.if_else(pa.array(lost), pa.scalar(None, column.type), column)


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """(n,) int64 codes of a dictionary-coded column, -1 = null."""
    return pc.fill_null(column.combine_chunks().indices, -1).to_numpy().astype(np.int64)
