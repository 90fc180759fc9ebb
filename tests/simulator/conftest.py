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
