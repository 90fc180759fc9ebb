"""What the shop shows decides what it sells."""

import simulator


def orders(**changes):
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    logs = [
        simulator.simulate("shop", users=5_000, days=24, seed=seed, settings=settings)
        for seed in (5, 13)
    ]
    return sum(log.events.loc[log.role() == "purchase", "order_id"].nunique() for log in logs)


def test_random_pages_sell_clearly_less():
    assert orders(recommender__explore=1.0) < 0.93 * orders()
