"""Logs that several tests look at, simulated once."""

import pytest

import simulator


@pytest.fixture(scope="session")
def shop_log():
    """The default shop, small; with more fraud, so that there is something to count."""
    return simulator.simulate("shop", users=2_500, days=40, seed=5, settings={"fraud.share": 0.06})


@pytest.fixture(scope="session")
def corner_log():
    """The small shop, with every slate that was shown."""
    return simulator.simulate("small", users=500, days=30, seed=3)


def shop_with_abuse(users: int):
    """The default shop at the default difficulty, with every kind of abuse often enough to be
    measured.
    """
    return simulator.simulate(
        "shop",
        users=users,
        days=40,
        seed=9,
        settings={
            "fraud.share": 0.1,
            "fraud.coupon_abuse": 0.05,
            "fraud.refund_abuse": 0.05,
            "fraud.fake_review": 0.2,
            "fraud.scraping_bot": 0.1,
            "fraud.accounts": 0.1,
        },
    )


@pytest.fixture(scope="session")
def fraud_log():
    """5,000 shoppers and those who abuse the shop."""
    return shop_with_abuse(5_000)


@pytest.fixture(scope="session")
def large_fraud_log():
    """12,000 of them, so that no few abusers decide a rate."""
    return shop_with_abuse(12_000)
