"""Neighbouring logs for privacy tests: a log, and the same log with one very odd user more."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.log import sort_events, tidy

SECRET = "zqsecret"  # part of every value that only the odd user has
IDS = {
    "first": f"!{SECRET}",
    "middle": f"u00020{SECRET}",
    "last": f"~{SECRET}",
}  # among shop_logs' u00000, u00001, ...
ROLES = {"view_item": "view", "purchase": "purchase"}


def with_odd_user(
    log: EventLog, *, at: Literal["first", "middle", "last"], rows: int = 20_000
) -> EventLog:
    """Return `log` with one user more, `at` that place by id, in exactly the columns it has.

    The user's rows run from 1970 to 2100 with half of them in the log's own days. They have an
    event name of their own that the manifest gives a role, items, orders and sessions of others
    beside own ones, prices of a billion, and labels of a kind that nobody else has.
    """
    events, mine = log.events.assign(old=np.arange(len(log))), IDS[at]
    k, rng = np.arange(rows), np.random.default_rng(0)
    begin, end = (t.value // 1_000_000 for t in log.span)
    ever = np.linspace(0, pd.Timestamp("2100-01-01").value // 1_000_000, rows)
    time = np.where(k % 2, ever, np.linspace(begin, end, rows)).astype(np.int64)
    values = {
        "user_id": mine,
        "timestamp": pd.to_datetime(time, unit="ms", utc=True),
        "event": np.array(
            ["view_item", "purchase", "add_to_cart", "refund", f"{SECRET}_event"], dtype=object
        )[rng.integers(0, 5, rows)],
        "price": np.float32(1e9),
        "old": -1,
    }
    for name in ("session_id", "order_id", "item_id"):
        if name in events:
            others = events[name].dropna().astype(str).unique()
            own = np.array([f"{SECRET}_{name}_{i}" for i in range(len(others) + 100)], dtype=object)
            ids = np.concatenate([own, others.astype(object)])
            values[name] = rng.choice(ids, rows) if name == "item_id" else ids[k // 30 % len(ids)]
    for name in ("category", "country"):
        if name in events:
            values[name] = f"{SECRET}_{name}"
    odd = pd.DataFrame({name: values.get(name) for name in events}, index=k)
    text = {c: object for c in events if isinstance(events[c].dtype, pd.CategoricalDtype)}
    made = sort_events(
        tidy(pd.concat([events.astype(text), odd], ignore_index=True).drop(columns="event_id"))
    )
    made.insert(0, "event_id", np.arange(len(made), dtype=np.int64))
    moved = made.loc[made["old"] >= 0].sort_values("old")["event_id"].to_numpy()
    labels = log.labels
    if labels is not None:
        place = pd.Series(moved, index=log.events["event_id"].to_numpy())
        own = made.loc[(made["user_id"] == mine).to_numpy(), ["event_id", "timestamp"]].iloc[:100]
        new = [
            pd.DataFrame(
                {
                    "event_id": own["event_id"],
                    "kind": kind,
                    "value": 77.0,
                    "known_at": own["timestamp"],
                }
            )
            for kind in ("fraud", "bot", f"{SECRET}_kind")
        ]
        labels = labels.assign(
            event_id=place.reindex(labels["event_id"]).to_numpy(), kind=labels["kind"].astype(str)
        )
        labels = pd.concat([labels, *new], ignore_index=True)
    roles = {**(log.manifest.get("roles") or {}), f"{SECRET}_event": "wishlist"}
    return EventLog(
        events=made.drop(columns="old"),
        users=log.users,
        items=log.items,
        labels=labels,
        manifest={**log.manifest, "roles": roles},
    )
