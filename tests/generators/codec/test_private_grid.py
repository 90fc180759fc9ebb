"""Numbers under a budget: intervals as fine as the counts allow, and what many users share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ks_2samp

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy
from generators.codec.coders import Bins
from generators.codec.private_grid import PARTS, _told_apart
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.queries import PrivateQueries

USERS = 8_000
SHARED, ALONE = 9.99, 11.37


def _prices(users: int) -> np.ndarray:
    """Return prices of one row a user: three in ten have one price, and one user has their own."""
    rng = np.random.default_rng(1)
    price = rng.lognormal(2.5, 0.4, users).round(4)
    price[rng.random(users) < 0.3] = SHARED
    price[0] = ALONE
    return price


def _fit(values: np.ndarray, *, epsilon: float = 3.0, decimals: int | None = None) -> Bins:
    ledger = PrivacyLedger.open(epsilon, None, len(values), noise_seed=7)
    queries = PrivateQueries(
        n_users=len(values), rng=ledger.rng(1), min_users=5, ledger=ledger, plan=30.0
    )
    user = np.arange(len(values))
    return Bins.fit(queries, "price", user, values, per_user=1, decimals=decimals, finer=True)


def _again(bins: Bins, values: np.ndarray) -> np.ndarray:
    """Return what is drawn in place of values."""
    return bins.decode(bins.encode(values), np.random.default_rng(2).random(len(values)))


def test_prices_keep_their_distribution_and_what_many_pay() -> None:
    """Before, a price was anything within its octave: .10 off, and nobody paid 9.99.

    Over 24 draws of the noise .006 to .049: the rarest octaves are left out.
    """
    price = _prices(USERS)
    bins = _fit(price)
    drawn = _again(bins, price)
    assert ks_2samp(price, drawn).statistic < 0.06
    assert (drawn == SHARED).mean() == pytest.approx((price == SHARED).mean(), abs=0.04)


@pytest.mark.parametrize("decimals", [0, 2, 3])
def test_values_have_the_decimals_that_users_values_have(decimals: int) -> None:
    """They were always two: yen had cents, and probabilities were 0.01 or 0."""
    price = np.random.default_rng(3).lognormal(2.5, 0.4, USERS).round(decimals)
    price[0] = 1.2345  # one user's own
    assert _fit(price).decimals == decimals


@pytest.mark.parametrize("epsilon", [1.0, 60.0])
def test_a_value_of_one_user_is_never_kept(epsilon: float) -> None:
    bins = _fit(_prices(USERS), epsilon=epsilon)
    assert ALONE not in bins.common
    assert ALONE not in bins.points


def test_few_users_have_octaves() -> None:
    bins = _fit(_prices(150), epsilon=1.0)
    assert len(bins.common) == 0
    assert (np.log2(bins.low) % 1 == 0).all()
    assert (bins.high == 2 * bins.low).all()


def test_whole_numbers_stay_whole_and_as_frequent() -> None:
    """Before, who had bought one had as often bought two."""
    number = np.random.default_rng(3).geometric(0.45, USERS).astype(np.float64)
    drawn = _again(_fit(number, decimals=0), number)
    assert (drawn % 1 == 0).all()
    for k in (1, 2, 3, 4):
        assert (drawn == k).mean() == pytest.approx((number == k).mean(), abs=0.02)


@pytest.mark.parametrize("decimals", [None, 0])
def test_zero_and_numbers_below_it_keep_their_sign(decimals: int | None) -> None:
    number = np.random.default_rng(4).integers(-6, 7, USERS).astype(np.float64)
    bins = _fit(number, decimals=decimals)
    drawn = _again(bins, number)
    assert (np.sign(drawn) == np.sign(number)).all()
    assert np.abs(drawn - number).max() <= 4
    assert (bins.low < bins.high).all()
    assert (bins.high[:-1] <= bins.low[1:]).all()
    of = bins.encode(bins.common)
    assert (of > len(bins.points)).all()
    assert (np.bincount(of, bins.share) <= 1).all(), "of an interval, as model.json must have it"
    for k in range(-6, 7):
        assert (drawn == k).mean() == pytest.approx((number == k).mean(), abs=0.03)


@given(counts=hnp.arrays(np.float64, PARTS, elements=st.floats(0, 1e5)), noise=st.floats(0.1, 1e4))
def test_a_cell_is_cut_into_intervals_in_their_order(counts: np.ndarray, noise: float) -> None:
    spans = _told_apart(counts, noise)
    assert spans
    ends = np.array(spans)
    assert (ends[:, 0] < ends[:, 1]).all()
    assert (ends[1:, 0] >= ends[:-1, 1]).all()
    kept = sum(counts[first:stop].sum() for first, stop in spans)
    assert kept >= counts.sum() * 0.9**3 - 1e-6, "at most a tenth is left out each time"


def test_two_numbers_of_a_row_go_together_under_a_budget() -> None:
    """Before, each was drawn by itself, and what was paid had nothing to do with how many."""
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(3_000), 3)
    pieces = rng.geometric(0.4, len(user))
    day = rng.integers(0, 60, len(user)) * 86_400_000 + rng.integers(0, 86_400_000, len(user))
    events = pd.DataFrame(
        {
            "user_id": [f"u{k:05d}" for k in user],
            "timestamp": pd.to_datetime(1_700_000_000_000 + day, unit="ms", utc=True),
            "event": "purchase",
            "price": (pieces * rng.lognormal(2.0, 0.3, len(user))).round(2),
            "pieces": pieces,
            "gift": rng.random(len(user)) < 0.2,
        }
    )
    log = EventLog(events=sort_events(tidy(events)))
    sample = generators.fit(log, model="markov", epsilon=4.0, seed=1).sample(3_000, seed=2).events
    assert [n for n in sample.columns if n != "event_id"] == list(log.events.columns)
    assert sample["pieces"].dtype == log.events["pieces"].dtype
    assert pd.api.types.is_bool_dtype(sample["gift"])
    assert len(sample) == pytest.approx(len(log), rel=0.1), "the noise makes no users of many rows"
    found = [
        np.corrcoef(np.log(x["price"].astype(float)), np.log(x["pieces"].astype(float)))[0, 1]
        for x in (log.events, sample.dropna(subset=["price"]))
    ]
    assert found[0] > 0.85
    assert found[1] > 0.7
