"""Gaps between rows that bring users to the end of their rows and of their sessions in time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.shop_logs import shop_log
from hypothesis import given
from hypothesis import strategies as st

import generators
from eventlog import EventLog
from eventlog.sessions import SESSION_GAP_S
from generators.codec.parts import LENGTH, OBSERVATION_SPAN, SESSIONS
from generators.markov.pacing import odds_for, rate_for
from generators.sequences.levels import (
    SESSION_TIMES,
    level_of_session_time,
    mean_rows,
    mean_time,
    rows_level,
    time_level,
)

HOURS = np.array([0.01, 0.1, 1.0, 10.0, 100.0])
SHARE = np.array([0.4, 0.2, 0.2, 0.1, 0.1])


def tilted(share: np.ndarray, hours: np.ndarray, rate: float) -> np.ndarray:
    weight: np.ndarray = share * np.exp(-rate * (hours - hours.min()))
    return weight / weight.sum()


@given(target=st.floats(0.02, 99.0))
def test_the_mean_gap_is_the_target(target: float) -> None:
    rate = rate_for(SHARE, HOURS, np.array([target]))
    assert tilted(SHARE, HOURS, rate[0]) @ HOURS == pytest.approx(target, rel=1e-6)


def test_a_gap_that_is_too_long_does_not_count() -> None:
    hours = np.where(HOURS > 50, np.nan, HOURS)
    rate = rate_for(SHARE, hours, np.array([5.0]))
    assert tilted(SHARE[:4], HOURS[:4], rate[0]) @ HOURS[:4] == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize(("target", "nearest"), [(1e-9, 0), (1e9, 4)])
def test_a_target_beyond_all_gaps_takes_the_nearest(target: float, nearest: int) -> None:
    rate = rate_for(SHARE, HOURS, np.array([target]))[0]
    assert (np.log(SHARE) - rate * HOURS).argmax() == nearest


def test_drawn_gaps_that_happen_to_add_up_have_these_shares() -> None:
    # what the module's reference proves, by rejection
    rng, share, rows = np.random.default_rng(1), np.array([0.5, 0.3, 0.2]), 12
    hours = np.array([1.0, 2.0, 3.0])
    drawn = rng.choice(3, (200_000, rows), p=share)
    kept = drawn[hours[drawn].sum(1) == 24]
    found = np.bincount(kept[:, 0], minlength=3) / len(kept)
    rate = rate_for(share, hours, np.array([24 / rows]))[0]
    np.testing.assert_allclose(found, tilted(share, hours, rate), atol=0.02)


@given(target=st.floats(0.05, 0.95))
def test_sessions_are_as_long_as_rows_and_sessions_to_come_say(target: float) -> None:
    begins = np.array([[0.5, 0.3, 0.1], [0.9, 0.2, 0.4]])
    weight = np.array([[1.0, 2.0, 5.0], [3.0, 2.0, 1.0]])
    odds = odds_for(begins, weight, np.array([target]))[0]
    ends = 1 / (1 + np.exp(-np.log(begins / (1 - begins)) - odds))
    ends = (ends * weight / weight.sum(0)).sum(0)
    rng, rows = np.random.default_rng(3), 40_000
    position, starts = 0, 0
    u = rng.random(rows)
    for k in range(rows):
        starts += (over := u[k] < ends[position])
        position = 0 if over else min(position + 1, 2)
    assert starts / rows == pytest.approx(target, abs=0.02)


def test_a_level_of_time_a_session_is_the_same_for_as_long_a_time() -> None:
    level = level_of_session_time()
    assert level.min() == 0 and level.max() == SESSION_TIMES - 1
    assert (np.diff(level, axis=0) >= 0).all() and (np.diff(level[:, 1:], axis=1) <= 0).all()


def test_means_of_levels_lie_within_them() -> None:
    rows, hours = mean_rows(), mean_time()
    np.testing.assert_array_equal(
        rows_level(torch.from_numpy(rows.astype(np.int64))), np.arange(len(rows))
    )
    ms = torch.from_numpy((hours * 3_600_000).astype(np.int64))
    np.testing.assert_array_equal(time_level(ms), np.arange(len(hours)))


def per_user(log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and the sessions of each user, which half an hour of silence ends."""
    ordered = log.ordered().events
    gap = ordered.groupby("user_id", observed=True)["timestamp"].diff()
    begins = ~(gap <= pd.Timedelta(seconds=SESSION_GAP_S))
    user = ordered["user_id"].astype(str)
    return user.value_counts(sort=False).to_numpy(), begins.groupby(
        user, sort=False
    ).sum().to_numpy()


def test_users_have_as_many_sessions_as_their_plan_says() -> None:
    log = shop_log(users=300, seed=3)
    model = generators.fit(log, model="markov", epsilon=1e4, seed=1, noise_seed=1)
    codec = model.codec_  # type: ignore[attr-defined]
    names = list(codec.user_attributes)
    assert names[1:4] == [OBSERVATION_SPAN, SESSIONS, LENGTH]
    twin = model.sample(600, seed=2)
    for real, made in zip(per_user(log), per_user(twin), strict=True):
        assert made.mean() == pytest.approx(real.mean(), rel=0.15)
        assert np.quantile(made, 0.9) == pytest.approx(np.quantile(real, 0.9), rel=0.25)
    # rows a session of users of many rows and of few
    (rows, sessions), (rows_, sessions_) = per_user(log), per_user(twin)
    for low, high in ((0, np.median(rows)), (np.median(rows), np.inf)):
        of, of_ = (rows > low) & (rows <= high), (rows_ > low) & (rows_ <= high)
        assert rows_[of_].sum() / sessions_[of_].sum() == pytest.approx(
            rows[of].sum() / sessions[of].sum(), rel=0.25
        )
