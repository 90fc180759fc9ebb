"""What a field is expected to be: effects of users and items are told apart, and add up."""

from __future__ import annotations

import numpy as np
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog


def levels_log(*, users: int = 200, rows: int = 30, items: int = 60, seed: int = 1) -> EventLog:
    """Return a log whose quantities are a level of the user times one of the item."""
    log = shop_log(users=users, rows=rows, items=items, seed=seed)
    rng = np.random.default_rng(seed)
    events = log.events.copy()
    user, item = (events[c].astype("category").cat.codes for c in ("user_id", "item_id"))
    of_user, of_item = rng.normal(0, 1, user.max() + 1), rng.normal(0, 1, item.max() + 1)
    noise = rng.normal(0, 0.1, len(events))
    events["quantity"] = np.ceil(np.exp(3 + of_user[user] + of_item[item] + noise))
    return EventLog(events=events)


def explained(log: EventLog) -> float:
    """Return the share of the variance of log quantities that levels of users and items explain."""
    left = np.log(log.events["quantity"].astype(np.float64)).rename("q")
    total = left.var()
    for _ in range(4):
        for column in ("user_id", "item_id"):
            left = left - left.groupby(log.events[column].astype(str)).transform("mean")
    return float(1 - left.var() / total)


def test_quantities_follow_their_user_and_their_item_together() -> None:
    log = levels_log()
    model = generators.fit(log, model="markov", seed=1)
    assert explained(log) > 0.95
    assert explained(model.sample(200, seed=1)) > 0.75
