"""Columns of `markov` under a budget: values are missing, and have decimals, as in the log."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import generators
from eventlog import EventLog
from eventlog.log import sort_events, tidy
from generators.markov.private_tables import given_number
from generators.privacy.counts import backed_off

USERS, ROWS = 2_000, 6
MISSING = 0.2  # of the values of some columns


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    """Return events sampled for a log of purchases some of whose columns have missing values."""
    rng = np.random.default_rng(4)
    n = USERS * ROWS
    at = rng.uniform(0, 5e9, n)
    frame = pd.DataFrame(
        {
            "user_id": np.repeat([f"u{k:04d}" for k in range(USERS)], ROWS),
            "timestamp": pd.to_datetime(1.7e12 + at // 1000 * 1000, unit="ms", utc=True),
            "event": "purchase",
            "item_id": [f"i{k}" for k in rng.integers(0, 30, n)],
            "price": rng.lognormal(2.0, 0.4, n).round(2),
            "quantity": rng.geometric(0.4, n).astype(float),
            "weight": rng.lognormal(-4.0, 0.5, n).round(3),
            "bonus": np.where(rng.random(n) < MISSING, np.nan, rng.geometric(0.1, n)),
            "shop": rng.choice(["north", "south"], n),
            "voucher": np.where(rng.random(n) < MISSING, None, rng.choice(["a", "b"], n)),
        }
    )
    events = sort_events(tidy(frame))
    events.insert(0, "event_id", np.arange(n, dtype=np.int64))
    model = generators.fit(EventLog(events), model="markov", epsilon=3.0, seed=1, noise_seed=2)
    return model.sample(USERS, seed=3).events


@pytest.mark.parametrize("column", ["price", "quantity", "shop"])
def test_a_column_that_is_never_missing_never_is(sample: pd.DataFrame, column: str) -> None:
    """The noise made some rows in ten thousand so."""
    assert sample[column].notna().all()


@pytest.mark.parametrize("column", ["bonus", "voucher"])
def test_as_many_values_are_missing_as_in_the_log(sample: pd.DataFrame, column: str) -> None:
    assert sample[column].isna().mean() == pytest.approx(MISSING, abs=0.1)


@pytest.mark.parametrize(("column", "decimals"), [("price", 2), ("weight", 3), ("bonus", 0)])
def test_numbers_have_the_decimals_of_the_log(
    sample: pd.DataFrame, column: str, decimals: int
) -> None:
    """A count with missing values came out as 3.27, a weight in kilograms as 0.01."""
    values = sample[column].dropna().to_numpy(dtype=np.float64)
    assert np.allclose(values, values.round(decimals), rtol=1e-6)
    assert decimals == 0 or (np.abs(values - values.round(decimals - 1)) > 1e-6).mean() > 0.5


def test_what_neighbouring_numbers_have_in_common_is_learnt_of_all_of_them() -> None:
    """Each number by itself is hidden by the noise, and what is drawn given it was as for all."""
    rng, codes, size, noise = np.random.default_rng(6), 16, 12, 40.0
    before, own = np.linspace(-1, 1, codes)[:, None], np.linspace(-1, 1, size)
    share = np.exp(-4 * (own + before) ** 2)
    share /= share.sum(1, keepdims=True)
    order = rng.permutation(codes)
    counts = 300 * share[np.argsort(order)] + rng.normal(0, noise, (codes, size))
    usual = share.mean(0)[None]
    halved = given_number(counts[None], order, usual, noise)
    alone = backed_off(counts, [1, codes], usual, first=1.0, noise=noise)
    halves_off, alone_off = (np.abs(found[order] - share).sum() for found in (halved, alone))
    assert np.allclose(halved.sum(1), 1)
    assert halves_off < 0.9 * alone_off
