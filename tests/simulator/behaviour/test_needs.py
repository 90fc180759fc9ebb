"""Needs that return: what the settings of `[needs]` do to a log."""

from datetime import date

import numpy as np
import pytest

import simulator
from simulator.scenario import load
from simulator.sections import Needs
from simulator.world import needs
from simulator.world.build import build

BUSY = {"shoppers.visits": 0.8, "checkout.begin": -1.0, "coupons.every": 0, "fraud.share": 0.0}


@pytest.fixture(scope="module")
def world():
    return build(load("small"), days=30, seed=np.random.SeedSequence(2))


def bought(log):
    """The first line of each order, by user and time."""
    lines = log.events[(log.role() == "purchase")].drop_duplicates("order_id")
    names = ["user_id", "timestamp", "item_id", "category", "session_id"]
    return lines[names].astype({"user_id": str, "item_id": str, "category": str})


def waits(settings):
    """Days to the next purchase of the item, by category; and those in which goods are used up."""
    log = simulator.simulate("small", users=500, days=50, seed=4, settings={**BUSY, **settings})
    lines = bought(log)
    same = lines.groupby(["user_id", "item_id"])["timestamp"]
    days = (same.shift(-1) - lines["timestamp"]).dt.total_seconds() / 86_400
    return days, lines["category"]


def test_what_is_used_up_is_bought_again_when_it_is_due():
    due = {"needs.used_up": 1.0, "needs.used_up_days": 14, "needs.used_up_sigma": 0.0}
    regular, _ = waits({**due, "needs.again": 1.0, "needs.regularity": 0.1})
    never, _ = waits({**due, "needs.again": 0.0})
    near = [((days > 10) & (days < 18)).sum() for days in (regular, never)]
    assert near[0] > 3 * near[1]
    assert near[0] > 0.15 * regular.notna().sum()


def test_only_what_is_used_up_comes_back(world):
    lasts, considered = world.used_up_days, world.considered
    assert (lasts > 0).sum() == round(0.4 * world.n_categories)
    assert not (considered & (lasts > 0)).any()
    level = np.bincount(world.category, world.log_reference) / np.bincount(world.category)
    assert level[lasts > 0].max() < level[considered].min()


def test_purchases_that_are_thought_over_need_more_visits():
    """Of carts in a category, the share in a session that is not the first to look at it."""

    def later(deliberation):
        settings = {**BUSY, "needs.considered": 1.0, "needs.used_up": 0.0}
        settings["needs.deliberation"] = deliberation
        log = simulator.simulate("small", users=500, days=30, seed=6, settings=settings)
        rows = log.events[np.isin(log.role(), ["view", "cart"])]
        first = rows.groupby(["user_id", "category"], observed=True)["session_id"].transform(
            "first"
        )
        carts = rows["event"] == "add_to_cart"
        return (rows["session_id"].astype(str) != first.astype(str))[carts].mean()

    assert later(2.0) > later(0.0) + 0.04


def test_demand_has_a_season_that_partners_share(world):
    def on(month, setting):
        return needs.demand(setting, date(2025, month, 15), world.stock_key, world.partner)

    months = np.array([on(m, Needs(season=1.0)) for m in range(1, 13)])
    assert (np.ptp(months, axis=0) > 1.6).all()
    np.testing.assert_array_equal(months[:, 0], months[:, world.partner[0]])
    assert len(np.unique(months.argmax(0))) > 2  # not all at the same time
    assert (on(7, Needs(season=0.0)) == 0).all()


def test_gifts_come_before_the_occasions():
    setting = Needs(gifts=0.1, gift_season=4.0)
    share = [needs.gifts(setting, date(2025, 2, day)) for day in (1, 14, 15)]
    assert share == pytest.approx([0.4, 0.4, 0.1])
    assert needs.gifts(Needs(gifts=0.5, gift_season=20.0), date(2025, 12, 20)) == 1.0
