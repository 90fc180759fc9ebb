"""When the rows of an order of `markov` are, with and without a budget."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy

LINES = 3  # of each order, at one time


def _log(users: int = 300, visits: int = 6) -> EventLog:
    """Return a log of visits in which every other one ends with an order and a look after it."""
    rng = np.random.default_rng(5)
    rows = []
    for u in range(users):
        time = float(rng.uniform(0, 5e8))
        for _ in range(visits):
            time += rng.uniform(5e7, 2e8)
            at = [time + 30_000 * k for k in range(5)]
            rows += [(u, t, "view_item") for t in at[:3]]
            if rng.random() < 0.5:
                rows += [(u, at[3], "purchase")] * LINES
                rows.append((u, at[4], "view_item"))
    user, ms, event = (np.array(x) for x in zip(*rows, strict=True))
    frame = pd.DataFrame(
        {
            "user_id": [f"u{k:04d}" for k in user],
            "timestamp": pd.to_datetime(1.7e12 + ms // 1000 * 1000, unit="ms", utc=True),
            "event": event,
            "item_id": [f"i{k}" for k in rng.integers(0, 40, len(user))],
        }
    )
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
    return EventLog(events)


@pytest.mark.parametrize(("epsilon", "most"), [(None, 0.1), (60.0, 0.02)])
def test_rows_of_an_order_have_one_time(epsilon: float | None, most: float) -> None:
    """Under a budget a session that began after a purchase, which none did, began with another."""
    model = generators.fit(_log(), model="markov", seed=1, epsilon=epsilon)
    events = model.sample(400, seed=2).ordered().events
    user, bought = events["user_id"].to_numpy(), (events["event"] == "purchase").to_numpy()
    same = (user[1:] == user[:-1]) & bought[:-1]
    passed = np.diff(events["timestamp"].astype("datetime64[ms, UTC]").astype("int64")) > 0
    assert bought[1:][same & passed].mean() < most  # in the log: never
    assert bought[1:][same & ~passed].mean() > 0.9  # in the log: always
