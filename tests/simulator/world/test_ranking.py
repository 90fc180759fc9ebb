"""What the shop shows decides what it sells."""

import simulator


def orders(**changes):
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    log = simulator.simulate("shop", users=6_000, days=24, seed=5, settings=settings)
    bought = log.events[log.events["event"].astype(str) == "purchase"]
    return bought["order_id"].nunique()


def test_random_pages_sell_clearly_less():
    assert orders(recommender__explore=1.0) < 0.92 * orders()
