"""Rows that lack what usually comes before keep what they do have."""

from __future__ import annotations

import numpy as np
import pandas as pd

import generators
from eventlog import EventLog


def second_lines(users: int = 150) -> EventLog:
    """Return rows of users who put one thing into the cart and sometimes buy it in two lines."""
    rng, rows = np.random.default_rng(2), []
    for user in range(users):
        for visit in range(int(rng.integers(2, 6))):
            at, names = visit * 86_400_000 + int(rng.integers(0, 40_000_000)), ["view_item"]
            items = list(rng.choice(40, 3, replace=False))
            steps = [("view_item", items[0]), ("view_item", items[1]), ("add_to_cart", items[1])]
            steps += [("purchase", items[1])] * (1 + int(rng.random() < 0.2))
            steps += [("view_item", items[2])] * (len(names))
            rows += [(user, at + 30_000 * k, visit, *step) for k, step in enumerate(steps)]
    frame = pd.DataFrame(rows, columns=["u", "t", "v", "event", "i"])
    return EventLog(
        pd.DataFrame(
            {
                "user_id": "u" + frame["u"].astype(str),
                "timestamp": pd.Timestamp("2026-01-01", tz="UTC")
                + pd.to_timedelta(frame["t"], "ms"),
                "event": frame["event"],
                "session_id": "s" + frame["u"].astype(str) + "." + frame["v"].astype(str),
                "item_id": "i" + frame["i"].astype(str),
            }
        )
    ).ordered()


def without_cart(log: EventLog) -> float:
    """Return the share of purchases whose item was not put into the cart in their session."""
    events = log.ordered().events
    key = events["session_id"].astype(str) + " " + events["item_id"].astype(str)
    carted = (events["event"] == "add_to_cart").groupby(key).cummax()
    return float((~carted[events["event"] == "purchase"]).mean())


def test_a_second_line_is_of_what_was_bought_in_the_session() -> None:
    log = second_lines()
    assert without_cart(log) == 0
    sample = generators.fit(log, model="markov", seed=1).sample(300, seed=2)
    assert without_cart(sample) == 0
