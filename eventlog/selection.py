"""Parts of a log: what was known at a time, and the rows of some users in all its tables."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, TypeVar

import pandas as pd

from eventlog.columns import drop_unused_categories

Log = TypeVar("Log", bound=Any)  # an EventLog, whose module imports this one


def before(log: Log, time: pd.Timestamp) -> Log:
    """Return what was known at `time`; see EventLog.before."""
    labels = log.labels
    events = log.events[log.events["timestamp"] < time]
    if labels is not None:
        labels = labels[(labels["known_at"] < time) & labels["event_id"].isin(events["event_id"])]
    return _with(log, events, labels)


def only_users(log: Log, users: Any) -> Log:
    """Return the part of the log that belongs to `users`; see EventLog.only_users."""
    labels = log.labels
    events = log.events[log.events["user_id"].isin(users)]
    if labels is not None:
        labels = labels[labels["event_id"].isin(events["event_id"])]
    part = _with(log, events, labels)
    if part.users is not None:
        part.users = part.users[part.users["user_id"].isin(users)].reset_index(drop=True)
    return part


def cut_tables(log: Log, users: Collection[str]) -> Log:
    """Return the log, whose events are those of `users`, with the other tables cut to them."""

    def cut(table: pd.DataFrame) -> pd.DataFrame:
        if "event_id" in table and "event_id" in log.events:
            table = table[table["event_id"].isin(log.events["event_id"])]
        elif "user_id" in table:
            table = table[table["user_id"].isin(users)]
        return table.reset_index(drop=True)

    return replace(
        log,
        events=drop_unused_categories(log.events),
        users=None if log.users is None else cut(log.users),
        labels=None if log.labels is None else cut(log.labels),
        truth={name: cut(table) for name, table in log.truth.items()},
    )


def _with(log: Log, events: pd.DataFrame, labels: pd.DataFrame | None) -> Log:
    """Return the log with these events and labels, without truth."""
    return replace(
        log,
        events=drop_unused_categories(events.reset_index(drop=True)),
        labels=None if labels is None else labels.reset_index(drop=True),
        truth={},
    )
