"""Users with an attribute choose expensive items as often as in the log."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog

EXPENSIVE = 70.0  # price


def expensive_log() -> EventLog:
    """Return a shop's log in which users of one plan mostly choose expensive items."""
    rng, log = np.random.default_rng(5), shop_log(users=300, rows=30, seed=3)
    events = log.events.astype({"item_id": object, "category": object})
    users = pd.DataFrame({"user_id": pd.unique(events["user_id"].astype(str))})
    users["plan"] = rng.choice(["large", "small"], len(users), p=[0.3, 0.7])
    plan = users.set_index("user_id")["plan"].loc[events["user_id"].astype(str)].to_numpy()
    known = events.dropna(subset=["item_id"]).drop_duplicates("item_id")
    expensive = known[known["price"] >= EXPENSIVE]
    moved = events["item_id"].notna() & (plan == "large") & (rng.random(len(events)) < 0.6)
    item = expensive.iloc[rng.integers(0, len(expensive), int(moved.sum()))]
    for name in ("item_id", "category", "price"):
        events.loc[moved, name] = item[name].to_numpy()
    events = events.astype({"item_id": "category", "category": "category"})
    return replace(log, events=events, users=users, labels=None)


@pytest.mark.parametrize(("model", "settings"), [("vae", {"epochs": 2}), ("markov", {})])
def test_expensive_items_follow_the_attributes_of_users(model: str, settings: dict) -> None:
    log = expensive_log()
    fitted = generators.fit(log, model=model, seed=1, settings=settings)

    def by_plan(of: EventLog) -> pd.Series:
        assert of.users is not None
        events = of.events.merge(of.users, on="user_id")
        events = events[events["event"].astype(str) == "view_item"]
        return (events["price"] >= EXPENSIVE).groupby(events["plan"].astype(str)).mean()

    real, drawn = by_plan(log), by_plan(fitted.sample(600, seed=2))
    assert real["large"] > real["small"] + 0.3
    for plan in ("large", "small"):
        assert drawn[plan] == pytest.approx(real[plan], abs=0.08)


@pytest.mark.parametrize(("model", "settings"), [("vae", {"epochs": 2}), ("markov", {})])
def test_attributes_that_say_nothing_leave_users_their_items(model: str, settings: dict) -> None:
    """Lifts of copies as well left users one item each."""
    log = shop_log(users=200, rows=40, seed=3)
    rng, users = np.random.default_rng(6), pd.unique(log.events["user_id"].astype(str))
    known = {f"a{k}": rng.choice(list("uvwxyz"), len(users)) for k in range(3)}
    log = replace(log, users=pd.DataFrame({"user_id": users, **known}), labels=None)
    sample = generators.fit(log, model=model, seed=1, settings=settings).sample(300, seed=2)

    def items_of_a_user(of: EventLog) -> float:
        return float(of.events.groupby("user_id", observed=True)["item_id"].nunique().mean())

    assert items_of_a_user(sample) == pytest.approx(items_of_a_user(log), rel=0.2)
