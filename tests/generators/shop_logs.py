"""Logs of a made-up shop, any size in no time: users with favourite items, sessions, prices, purchases, fraud labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.log import sort_events, tidy

EVENTS = np.array(["view_item", "add_to_cart", "purchase", "search", "refund"], dtype=object)


def shop_log(*, users: int = 150, rows: int = 25, items: int = 300, seed: int = 0, prefix: str = "u", names: str = "i") -> EventLog:
    """Two seeds give two independent samples of the same shop; `prefix` keeps their users apart."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), rng.poisson(rows, users) + 1)
    n = len(user)
    popularity = 1 / np.arange(1, items + 1) ** 0.7
    popularity /= popularity.sum()
    favourites = rng.choice(items, (users, 6), p=popularity)
    item = np.where(rng.random(n) < 0.5, favourites[user, rng.integers(0, 6, n)], rng.choice(items, n, p=popularity))
    event = EVENTS[rng.choice(5, n, p=[0.55, 0.2, 0.12, 0.1, 0.03])]
    gap = np.exp(rng.normal(np.where(rng.random(n) < 0.8, 3.5, 11.0), 1.2)) * 1000
    start = pd.Timestamp("2026-01-01", tz="UTC").value // 1_000_000 + rng.integers(0, 30 * 86_400_000, users)
    time = pd.Series(gap).groupby(user).cumsum().to_numpy().astype(np.int64) + start[user]
    touched = event != "search"
    frame = pd.DataFrame({
        "user_id": [f"{prefix}{u:05d}" for u in user], "timestamp": pd.to_datetime(time, unit="ms", utc=True), "event": event,
        "item_id": np.where(touched, np.array([f"{names}{k}" for k in range(items)], dtype=object)[item], None),
        "category": np.where(touched, np.array([f"c{k}" for k in range(10)], dtype=object)[item % 10], None),
        "price": np.where(touched, 5.0 + item % 97, np.nan).astype("float32"),
        "country": np.array(["DE", "GB", "FR"], dtype=object)[rng.integers(0, 3, users)][user],
    })
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(n, dtype=np.int64))
    fraud = events[(events["event"] == "purchase").to_numpy() & (rng.random(n) < 0.2)]
    labels = pd.DataFrame({"event_id": fraud["event_id"], "kind": "fraud", "value": 1.0, "known_at": fraud["timestamp"]})
    return EventLog(events=events, labels=labels.reset_index(drop=True), manifest={"made_by": "tests"})


def renamed(log: EventLog, prefix: str) -> EventLog:
    """The same log with other user ids: what a generator that copies its training data hands out."""
    events = log.events.assign(user_id=log.events["user_id"].cat.rename_categories(lambda u: prefix + u))
    return EventLog(events=events, labels=log.labels, manifest={"made_by": "copier"})
