"""Clean a log and account for every change: exact duplicates, clock errors, bots, sessions.

Each step can be switched off. Nothing is estimated from the data: every bound is a setting, so that
two logs are cleaned alike.

Example::

    cleaned, account = clean(log, Cleaning(session_gap_minutes=30))
    print(account)  # step, what, rows, users
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.arrays import DAY_MS
from eventlog.checking.oddities import Timeline, duplicated, repeated_orders
from eventlog.log import EventLog, LogWriter, drop_unused_categories
from eventlog.manifest import read_manifest
from eventlog.out_of_core.parts import whole_schema
from eventlog.sessions import SESSION_GAP_MINUTES, session_ids
from eventlog.tables import read_tables, read_truth


@dataclass(frozen=True)
class Cleaning:
    """What to clean; None or False switches a step off."""

    duplicates: bool = True  # rows equal to an earlier one in every column except event_id
    repeated_orders: bool = True  # lines of an order that come again at a later time
    # Events beyond a gap of this many days in the log's timeline are clock errors ...
    clock_gap_days: float | None = 365.0
    # ... if at most this share of all events lies beyond it, or a single user's events do.
    clock_share: float = 0.001
    bot_events_per_minute: int | None = 120  # a user with more events in one minute is a bot,
    bot_events_per_day: int | None = 5_000  # or one with more events than this in 24 hours
    session_gap_minutes: float | None = None  # recompute all sessions by this gap of inactivity

    def __post_init__(self) -> None:
        for name in (
            "clock_gap_days",
            "bot_events_per_minute",
            "bot_events_per_day",
            "session_gap_minutes",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:  # nan too
                raise InputError(
                    f"{name} is {value}; it must be above 0, or None to switch it off."
                )
        if not 0 <= self.clock_share < 0.5:
            raise InputError(f"clock_share is {self.clock_share}; it must be between 0 and 0.5.")


def clean(log: EventLog, settings: Cleaning | None = None) -> tuple[EventLog, pd.DataFrame]:
    """Return the cleaned log and a table of the changes with columns step, what, rows, users.

    Event ids are kept, so that labels and truth still refer to their events; those of removed
    events are removed too. A log without session_id gets one. Rows are grouped by user.

    Raises InputError if nothing would be left, or if rows lack a user, a time or an id of their
    own.
    """
    log = log.grouped()
    cleaner = _Cleaner(settings or Cleaning(), log.manifest)
    cleaner.look([log.events])
    events = drop_unused_categories(cleaner.cleaned(log.events).reset_index(drop=True))
    table = cleaner.table()
    kept, users = events["event_id"], events["user_id"]
    cleaned = replace(
        log,
        events=events,
        users=None if log.users is None else _of_ids(log.users, "user_id", users),
        labels=None if log.labels is None else _of_ids(log.labels, "event_id", kept),
        truth={name: _of_ids(frame, "event_id", kept) for name, frame in log.truth.items()},
        manifest={**log.manifest, "cleaned": table.to_dict("records")},
    )
    return cleaned, table


def clean_folder(
    path: Path, out: Path, settings: Cleaning | None = None
) -> tuple[int, pd.DataFrame]:
    """Clean a log folder part by part into `out`, so that memory holds one part at a time.

    Returns:
        The number of events left, and the table of changes of `clean`, which removes the same.

    Raises:
        InputError: as `clean`, or a user has rows in two parts.
    """
    manifest = read_manifest(path)
    cleaner = _Cleaner(settings or Cleaning(), manifest)
    compared = [name for name in whole_schema(path).names if name != "session_id"]
    cleaner.look(log.events for log in EventLog.parts(path, columns=compared))
    tables = read_tables(path)
    truth = any((path / "truth").glob("*.parquet"))
    ids, users = [], []
    with LogWriter(out) as writer:
        for log in EventLog.parts(path):
            events = cleaner.cleaned(log.events)
            if not len(events):
                continue
            writer.write_part(events)
            if "labels" in tables or truth:
                ids.append(events["event_id"])
            if "users" in tables:
                users.append(pd.Series(events["user_id"].astype(str).unique()))
        table = cleaner.table()
        keys = {"users": ("user_id", users), "labels": ("event_id", ids), "items": ("", [])}
        kept = {name: _of_ids(frame, *keys[name]) for name, frame in tables.items()}
        writer.finish(
            **kept,
            truth={n: _of_ids(frame, "event_id", ids) for n, frame in read_truth(path).items()},
            manifest={**manifest, "cleaned": table.to_dict("records")},
        )
    return cleaner.left, table


@dataclass
class _Cleaner:
    """Removes rows of parts of a log, whose users are disjoint, and counts them."""

    settings: Cleaning
    manifest: dict[str, Any]
    left: int = 0
    days: tuple[int, int] | None = None  # the first and the last of the log proper
    counts: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def look(self, parts: Iterable[pd.DataFrame]) -> None:
        """Find the span of the log proper, for which all parts are looked at first."""
        if self.settings.clock_gap_days is None:
            return
        timeline = Timeline()
        for events in parts:
            timeline.add(self._once(events, count=False))
        if timeline.events:
            gap, share = self.settings.clock_gap_days, self.settings.clock_share
            self.days = timeline.proper(gap, share)

    def cleaned(self, events: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a part that are left."""
        settings = self.settings
        events = self._once(events, count=True)
        if self.days is not None:
            gap = settings.clock_gap_days or 0.0
            what = f"removed: more than {gap:g} days away from the rest of the log"
            day = _ms(events) // DAY_MS
            drop = (day < self.days[0]) | (day > self.days[1])
            events = self._without(events, "clock", what, drop)
        for name, limit, span in (
            ("minute", settings.bot_events_per_minute, 60_000),
            ("day", settings.bot_events_per_day, DAY_MS),
        ):
            if limit is not None:
                what = (
                    f"removed: all events of users with more than {limit:,} events within a {name}"
                )
                events = self._without(events, "bots", what, _too_fast(events, limit, span))
        self.left += len(events)
        return self._with_sessions(events.reset_index(drop=True))

    def table(self) -> pd.DataFrame:
        """Return the account. Raises InputError if nothing is left."""
        if not self.left:
            raise InputError(
                "Cleaning would leave no event; look at the account of a milder setting."
            )
        rows = [(step, what, *n) for (step, what), n in self.counts.items()]
        return pd.DataFrame(rows, columns=["step", "what", "rows", "users"])

    def _once(self, events: pd.DataFrame, *, count: bool) -> pd.DataFrame:
        """Return the rows that repeat no other."""
        if self.settings.duplicates:
            what = "removed: equal to an earlier row in every column"
            events = self._without(events, "duplicates", what, duplicated(events), count=count)
        if self.settings.repeated_orders:
            what = "removed: repeats a line of its order at a later time"
            drop = repeated_orders(events, EventLog(events, manifest=self.manifest).role())
            events = self._without(events, "orders", what, drop, count=count)
        return events

    def _without(
        self, events: pd.DataFrame, step: str, what: str, drop: np.ndarray, *, count: bool = True
    ) -> pd.DataFrame:
        if count:
            users = int(events["user_id"][drop].nunique())
            self._count(step, what, int(drop.sum()), users)
        return events[~drop]

    def _count(self, step: str, what: str, rows: int, users: int) -> None:
        before = self.counts.setdefault((step, what), [0, 0])
        before[0] += rows
        before[1] += users

    def _with_sessions(self, events: pd.DataFrame) -> pd.DataFrame:
        given = self.settings.session_gap_minutes
        if (given is None and "session_id" in events) or not len(events):
            return events
        gap = given or SESSION_GAP_MINUTES
        users = events["user_id"].astype("category")
        sessions = session_ids(events.assign(user_id=users), gap_minutes=gap)
        what = (
            f"made by a gap of {gap:g} minutes: rows where a session now begins or no longer begins"
        )
        self._count("sessions", what, _boundaries_changed(events, sessions), 0)
        return events.assign(session_id=sessions)


def _of_ids(frame: pd.DataFrame, key: str, ids: pd.Series | list[pd.Series]) -> pd.DataFrame:
    """Return the rows with these ids; a table that has no such column stays as it is."""
    if key not in frame:
        return frame
    ids = ids if isinstance(ids, pd.Series) else pd.concat(ids)
    return frame[frame[key].isin(ids)].reset_index(drop=True)


def _ms(events: pd.DataFrame) -> np.ndarray:
    """Return the times, (n_rows,) int64 ms."""
    return events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()


def _too_fast(events: pd.DataFrame, limit: int, span_ms: int) -> np.ndarray:
    """Return all rows of users with more than `limit` events in some `span_ms`, (n_rows,) bool."""
    time, user = _ms(events), events["user_id"].astype("category").cat.codes.to_numpy()
    single = np.ones(len(events), dtype=bool)
    if "order_id" in events:  # the lines of one order count as one action
        order = events["order_id"].astype("category").cat.codes.to_numpy()
        single[1:] = (
            (order[1:] < 0)
            | (order[1:] != order[:-1])
            | (user[1:] != user[:-1])
            | (time[1:] != time[:-1])
        )
    actor, when = user[single], time[single]
    if len(actor) <= limit:
        return np.zeros(len(events), dtype=bool)
    # A user's rows are one run by time: are the user and the span still the same `limit` rows on?
    fast = (actor[limit:] == actor[:-limit]) & (when[limit:] - when[:-limit] < span_ms)
    return np.isin(user, np.unique(actor[limit:][fast]))


def _boundaries_changed(events: pd.DataFrame, sessions: pd.Series) -> int:
    """Return in how many rows a session now begins, or no longer begins."""

    def begins(values: pd.Series) -> np.ndarray:
        codes = values.astype("category").cat.codes.to_numpy()
        return np.append(True, codes[1:] != codes[:-1])

    if "session_id" not in events:
        return len(events)
    return int((begins(events["session_id"]) != begins(sessions)).sum())
