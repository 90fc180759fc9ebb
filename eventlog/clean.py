"""Clean a log and account for every change: exact duplicates, clock errors, bots, sessions.

Each step can be switched off. Nothing is estimated from the data: every bound is a setting, so that
two logs are cleaned alike.

Example::

    cleaned, account = clean(log, Cleaning(session_gap_minutes=30))
    print(account)  # step, what, rows, users
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.arrays import DAY_MS
from eventlog.log import EventLog, drop_unused_categories
from eventlog.oddities import duplicated, far_from_the_rest, repeated_orders
from eventlog.sessions import SESSION_GAP_MINUTES, session_ids


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
    settings = settings or Cleaning()
    log = log.grouped()
    events, account = log.events, []

    def remove(step: str, what: str, drop: np.ndarray) -> None:
        nonlocal events
        account.append((step, what, int(drop.sum()), int(events["user_id"][drop].nunique())))
        events = events[~drop]

    if settings.duplicates:
        drop = duplicated(events)
        remove("duplicates", "removed: equal to an earlier row in every column", drop)
    if settings.repeated_orders:
        role = replace(log, events=events).role()
        drop = repeated_orders(events, role)
        remove("orders", "removed: repeats a line of its order at a later time", drop)
    if settings.clock_gap_days is not None:
        drop = _out_of_span(events, settings.clock_gap_days, settings.clock_share)
        remove(
            "clock",
            f"removed: more than {settings.clock_gap_days:g} days away from the rest of the log",
            drop,
        )
    for name, limit, span in (
        ("minute", settings.bot_events_per_minute, 60_000),
        ("day", settings.bot_events_per_day, DAY_MS),
    ):
        if limit is not None:
            drop = _too_fast(events, limit, span)
            remove(
                "bots",
                f"removed: all events of users with more than {limit:,} events within a {name}",
                drop,
            )
    if len(events) == 0:
        raise InputError("Cleaning would leave no event; look at the account of a milder setting.")
    events = events.reset_index(drop=True)
    if settings.session_gap_minutes is not None or "session_id" not in events:
        gap = settings.session_gap_minutes or SESSION_GAP_MINUTES
        sessions = session_ids(
            events.assign(user_id=events["user_id"].astype("category")), gap_minutes=gap
        )
        changed = _boundaries_changed(events, sessions)
        account.append(
            (
                "sessions",
                f"made by a gap of {gap:g} minutes: rows where a session now begins or no longer "
                "begins",
                changed,
                0,
            )
        )
        events = events.assign(session_id=sessions)
    events = drop_unused_categories(events)
    table = pd.DataFrame(account, columns=["step", "what", "rows", "users"])
    kept = events["event_id"]
    manifest = {**log.manifest, "cleaned": table.to_dict("records")}
    truth = {name: _of_events(frame, kept) for name, frame in log.truth.items()}
    users = (
        None
        if log.users is None
        else log.users[log.users["user_id"].isin(events["user_id"])].reset_index(drop=True)
    )
    labels = None if log.labels is None else _of_events(log.labels, kept)
    return replace(
        log, events=events, users=users, labels=labels, truth=truth, manifest=manifest
    ), table


def _of_events(frame: pd.DataFrame, event_id: pd.Series) -> pd.DataFrame:
    """Return the rows about these events; a table that is not about events stays as it is."""
    if "event_id" not in frame:
        return frame
    return frame[frame["event_id"].isin(event_id)].reset_index(drop=True)


def _out_of_span(events: pd.DataFrame, gap_days: float, share: float) -> np.ndarray:
    """Return the few events before or after a long gap in the timeline, (n_rows,) bool."""
    if len(events) == 0:
        return np.zeros(0, dtype=bool)
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    user = events["user_id"].astype("category").cat.codes.to_numpy()
    times, place, counts = np.unique(time, return_inverse=True, return_counts=True)
    first, last = np.full(len(times), len(user)), np.full(len(times), -1)
    np.minimum.at(first, place, user)
    np.maximum.at(last, place, user)
    one_user = np.where(first == last, first, -1)
    low, high = far_from_the_rest(times, counts, one_user, gap_days * DAY_MS, share)
    return (time < low) | (time > high)


def _too_fast(events: pd.DataFrame, limit: int, span_ms: int) -> np.ndarray:
    """Return all rows of users with more than `limit` events in some `span_ms`, (n_rows,) bool."""
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    user = events["user_id"].astype("category").cat.codes.to_numpy()
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
