"""Two samples of users of one shop, which all tests of the evaluation share."""

from __future__ import annotations

import pytest
from fixtures.shop_logs import shop_log

from eventlog import EventLog


@pytest.fixture(scope="session")
def real() -> EventLog:
    return shop_log(seed=0)


@pytest.fixture(scope="session")
def other() -> EventLog:
    return shop_log(seed=1, prefix="v")


@pytest.fixture(scope="session")
def holdout() -> EventLog:
    return shop_log(seed=1, prefix="h")
