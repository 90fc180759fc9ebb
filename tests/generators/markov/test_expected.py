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
    sample = model.sample(200, seed=1)
    assert explained(log) > 0.95
    assert explained(sample) > 0.7

    def of_users(of: EventLog) -> float:
        left = np.log(of.events["quantity"].astype(np.float64))
        return float(left.groupby(of.events["user_id"].astype(str)).mean().std())

    # users who keep to their habits: .63 of the log's deviation without, and .81 explained
    assert of_users(sample) > 0.75 * of_users(log)


def packs_log(*, users: int = 200, rows: int = 30, items: int = 40, seed: int = 1) -> EventLog:
    """Return a log whose users buy one piece, or the item's pack; some keep to one of the two."""
    log = shop_log(users=users, rows=rows, items=items, seed=seed)
    rng = np.random.default_rng(seed)
    events = log.events.copy()
    user, item = (events[c].astype("category").cat.codes for c in ("user_id", "item_id"))
    pack = np.array([6, 10, 12, 25])[np.arange(item.max() + 1) % 4][item]
    by_the_pack = np.array([0.0, 0.5, 1.0])[np.arange(user.max() + 1) % 3][user]
    events["quantity"] = np.where(rng.random(len(events)) < by_the_pack, pack, 1).astype(np.float64)
    return EventLog(events=events)


def kept(log: EventLog, real: EventLog) -> tuple[float, float]:
    """Return the share of quantities that the item has in `real`, and of users who keep to one."""
    pairs = [
        list(zip(x.events["item_id"].astype(str), x.events["quantity"], strict=True))
        for x in (log, real)
    ]
    known = set(pairs[1])
    single = log.events["quantity"].eq(1).groupby(log.events["user_id"].astype(str)).mean()
    return float(np.mean([p in known for p in pairs[0]])), float(single.isin([0, 1]).mean())


def test_items_keep_their_packs_and_users_their_way_to_order() -> None:
    log = packs_log()
    model = generators.fit(log, model="markov", seed=1)
    packs, constant = np.mean([kept(model.sample(200, seed=k), log) for k in (1, 2, 3)], 0)
    assert packs > 0.92
    assert constant > 0.7 * kept(log, log)[1]
