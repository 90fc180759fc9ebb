"""A log small enough for every test of the benchmark."""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.log import sort_events, tidy


def tiny_log(*, users: int = 60, rows: int = 2_400, items: int = 30, days: int = 60, seed: int = 0) -> EventLog:
    """Views, carts, purchases and searches at random times; item follows user; dear orders tend to be labelled as fraud."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, rows)
    item = (user % 10 * 3 + rng.integers(0, 6, rows)) % items
    event = rng.choice(["view_item", "add_to_cart", "purchase", "search"], rows, p=[0.5, 0.15, 0.25, 0.1])
    active = rng.uniform(0.3, 1, users)[user]
    time = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(rng.uniform(0, days, rows) * active, unit="D")
    frame = pd.DataFrame({
        "user_id": [f"u{u:03d}" for u in user], "timestamp": time.floor("s"), "event": event, "item_id": [f"i{i}" for i in item],
        "order_id": [f"o{i}" if e == "purchase" else None for i, e in enumerate(event)],
        "price": rng.uniform(1, 99, rows), "country": rng.choice(["DE", "GB"], rows),
    })
    frame.loc[frame["event"] == "search", "item_id"] = None
    events = sort_events(tidy(frame.assign(event_id=0)))
    events["event_id"] = np.arange(rows, dtype=np.int64)
    bought = events[events["event"] == "purchase"]
    fraud = bought[(bought["price"] > 60) & (rng.random(len(bought)) < 0.7)]
    known_at = fraud["timestamp"] + pd.Timedelta(days=4)
    labels = pd.DataFrame({"event_id": fraud["event_id"], "kind": "fraud", "value": 1.0, "known_at": known_at})
    return EventLog(events=events, labels=labels.reset_index(drop=True), manifest={"made_by": "tests"})
