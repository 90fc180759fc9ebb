"""Prices: sales fall as the scenario says, at every value of the knob."""

import numpy as np
import pytest

import simulator

RISE = 0.25
# Who has filled a cart checks out more often: more orders to count, and no other choice.
WORLD = {"checkout.begin": -1.0, "fraud.share": 0.0}


def sold(**changes):
    """Units sold by item in a world that differs only by `changes`, and prices by item."""
    settings = WORLD | {key.replace("__", "."): value for key, value in changes.items()}
    log = simulator.simulate("shop", users=6_000, days=24, seed=5, settings=settings)
    lines = log.events[log.events["event"].astype(str) == "purchase"]
    count = lines["item_id"].astype(str).value_counts()
    prices = log.items.assign(i=log.items["item_id"].astype(str)).set_index("i")["price"]
    return count.reindex(prices.index, fill_value=0).to_numpy(), prices.to_numpy()


def elasticity(before, after):
    """Change of log sales per change of log price, and its standard error of unpaired worlds."""
    a, b = before.sum(), after.sum()
    return np.log(b / a) / np.log1p(RISE), np.sqrt(1 / a + 1 / b) / np.log1p(RISE)


@pytest.mark.parametrize("stated", [1.0, 3.0])
def test_elasticities_are_those_that_the_scenario_states(stated):
    base, old = sold(shoppers__price_sensitivity=stated)
    test, new = sold(
        shoppers__price_sensitivity=stated, pricing__test_share=0.3, pricing__test_change=RISE
    )
    tested = new > 1.1 * old
    assert 0.25 < tested.mean() < 0.35
    own, error = elasticity(base[tested], test[tested])
    assert abs(own + stated) < 3 * error + 0.1 * stated
    cross, error = elasticity(base[~tested], test[~tested])
    # little is bought instead, and a shop that sells less is visited less
    assert own / 4 - 2 * error < cross < 0.5 + 2 * error
    all_raised, _ = sold(shoppers__price_sensitivity=stated, pricing__level=1 + RISE)
    of_all, error = elasticity(base, all_raised)
    assert -1.4 * stated < of_all < -0.6 * stated


def test_who_does_not_mind_prices_buys_as_much_and_who_minds_them_more_buys_no_more():
    level = 1 + RISE
    indifferent, raised = (
        sold(shoppers__price_sensitivity=0.0, pricing__level=p)[0].sum() for p in (1.0, level)
    )
    assert abs(raised / indifferent - 1) < 0.05  # fewer orders pay shipping
    sensitive, more = (sold(shoppers__price_sensitivity=s)[0].sum() for s in (2.0, 6.0))
    assert 1.1 * indifferent > sensitive
    assert 1.1 * sensitive > more
