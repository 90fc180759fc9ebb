"""Every setting works at both ends of its range."""

from __future__ import annotations

import numpy as np
import pytest

import simulator
from eventlog._runtime.errors import InputError
from simulator import scenario
from simulator.output import shards

# They change the types that compiled code works on: half a minute for each value. The property
# test in test_api.py has their lower ends; here only the shop is built.
SHAPES = {"catalogue.categories", "catalogue.styles", "sessions.slate"}
# So that an extreme of one setting is met by enough of everything.
BUSY = {
    "shoppers.visits": 0.6,
    "checkout.cart": -1.0,
    "checkout.begin": 0.0,
    "fraud.share": 0.1,
    "fraud.scraping_bot": 0.05,
    "coupons.every": 3,
    "coupons.days": 1,
    "coupons.window": 0.5,
    "output.emails": True,
    "output.tags": True,
}
ENDS = [
    (setting.key, end)
    for setting in scenario.settings()
    if setting.low is not None
    for end in (setting.low, setting.high)
]


@pytest.mark.parametrize(("key", "end"), ENDS, ids=lambda value: str(value))
def test_both_ends_of_every_range(key, end):
    settings = {**BUSY, key: end}
    if key in SHAPES:
        settings["catalogue.items"] = 1_600
        task = shards.tasks(scenario.load("small", settings), users=2, days=2, seed=1)[0]
        assert shards.items_table(task).num_rows == 1_600
        return
    if (key, end) == ("catalogue.items", 20):  # the scenario has eight categories
        with pytest.raises(InputError, match="at least four each"):
            scenario.load("small", settings)
        return
    users, days = 25, 5
    if key == "catalogue.items":  # every night, and each slate, ranks all of them
        users, days, settings = 5, 1, {key: end}
    log = simulator.simulate("small", users=users, days=days, seed=1, settings=settings)
    assert_is_a_log(log, users=users)


@pytest.mark.parametrize("seed", range(12))
def test_ends_of_four_ranges_at_once(seed):
    rng = np.random.default_rng(seed)
    free = [pair for pair in ENDS if pair[0] not in SHAPES | {"catalogue.items"}]
    settings = BUSY | dict(free[k] for k in rng.choice(len(free), 4, replace=False))
    log = simulator.simulate("small", users=25, days=5, seed=seed, settings=settings)
    assert_is_a_log(log)


def assert_is_a_log(log, *, users=25):
    assert len(log.users) == users
    assert log.events["event_id"].is_unique
    assert (log.events["price"].dropna() > 0).all()
    assert np.isfinite(log.events["price"].dropna()).all()
    assert log.truth["events"]["p_choice"].dropna().between(0, 1).all()
