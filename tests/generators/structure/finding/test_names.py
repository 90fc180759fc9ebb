"""Whole numbers that are names keep to those that there are, whoever few have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixtures.shop_logs import shop_log

import generators
from eventlog import EventLog


@pytest.fixture(scope="module")
def log() -> EventLog:
    """A shop whose users have a zip code, and whose rows a store, each of 200 with a long tail."""
    log, rng = shop_log(users=300, seed=3).ordered(), np.random.default_rng(5)
    user = log.events["user_id"].cat.codes.to_numpy()
    codes = np.sort(rng.choice(np.arange(10_000, 99_999), 200, replace=False))
    share = 1 / np.arange(1, 201) ** 0.9
    share /= share.sum()
    lives = rng.choice(rng.permutation(codes), user.max() + 1, p=share)
    sold_by = rng.choice(rng.permutation(codes), len(user), p=share)
    # each user keeps to few stores
    stores = np.where(rng.random(len(user)) < 0.5, lives[user], sold_by)
    return replace(log, events=log.events.assign(zip_code=lives[user], store=stores))


@pytest.fixture(scope="module", params=["markov", "vae"])
def sample(request: pytest.FixtureRequest, log: EventLog) -> EventLog:
    settings = {"epochs": 2} if request.param == "vae" else {}
    return generators.fit(log, model=request.param, seed=1, settings=settings).sample(200, seed=2)


@pytest.mark.parametrize("column", ["zip_code", "store"])
def test_every_number_is_one_of_the_log(log: EventLog, sample: EventLog, column: str) -> None:
    """Of the rows of a sample of `markov` 45 % had a zip code that does not exist, 2 % a store."""
    drawn = sample.events[column]
    assert drawn.dtype == log.events[column].dtype
    assert drawn.isin(log.events[column]).all()


def test_a_user_has_one_zip_code_and_they_are_as_frequent_as_in_the_log(
    log: EventLog, sample: EventLog
) -> None:
    assert (sample.events.groupby("user_id", observed=True)["zip_code"].nunique() == 1).all()
    real, drawn = (
        of.events.drop_duplicates("user_id")["zip_code"].value_counts(normalize=True)
        for of in (log, sample)
    )
    assert drawn.reindex(real.index[:5]).sum() == pytest.approx(real[:5].sum(), abs=0.2)
