"""Visits by hour and day: profiles that are given, closed days, visits that follow others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator
from eventlog._runtime.errors import InputError
from simulator.behaviour.calendar import by_weight_of_days, keep_to_calendar
from simulator.scenario import load
from simulator.world.build import build, weights_by_day
from simulator.world.catalogue import DAY

CLOSED = (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.5)  # Monday to Sunday
OPEN = tuple(1.0 if 9 <= hour < 18 else 0.0 for hour in range(24))


def test_nobody_comes_on_closed_days_or_at_closed_hours():
    settings = {"calendar.day_weights": CLOSED, "calendar.hours": OPEN}
    log = simulator.simulate("small", users=400, days=28, seed=4, settings=settings)
    begin = log.events.groupby("session_id", observed=True)["timestamp"].min()
    assert (begin.dt.dayofweek != 5).mean() > 0.98
    assert begin.dt.hour.between(9, 18).mean() > 0.95
    assert 0.4 < (begin.dt.dayofweek == 6).sum() / (begin.dt.dayofweek < 5).sum() * 5 < 0.6


@pytest.mark.parametrize("hours", [(1.0,) * 23, (0.0,) * 24])
def test_hours_that_are_no_profile_are_refused(hours):
    with pytest.raises(InputError, match="give 24"):
        build(load("small", {"calendar.hours": hours}), days=3, seed=np.random.SeedSequence(1))


@given(
    times=st.lists(st.floats(0, 27.9 * DAY), min_size=1, max_size=30), seed=st.integers(0, 2**32)
)
def test_a_visit_is_never_before_what_it_follows(times, seed):
    scenario = load("small", {"calendar.day_weights": CLOSED})
    world = build(scenario, days=28, seed=np.random.SeedSequence(3))
    time = np.array(times)
    after = time * np.random.default_rng(seed).random(len(time))
    after[(after // DAY).astype(int) % 7 == 5] -= DAY  # nothing is scheduled on a closed day
    moved = keep_to_calendar(time, np.maximum(after, 0.0), world)
    assert (moved >= after).all()
    inside = moved < 28 * DAY
    assert ((moved // DAY).astype(int) % 7 != 5)[inside].all()


def test_what_follows_visits_keeps_to_the_weights_of_days():
    """Visits by the weights, and waits of days after them: neither piles up after closed days."""
    rng = np.random.default_rng(2)
    weight = np.tile(CLOSED, 60)
    clock = np.append(0.0, np.cumsum(weight)) / weight.mean()
    after = np.interp(rng.random(200_000) * clock[-1] * 0.9, clock, np.arange(len(clock)) * DAY)
    for _ in range(3):  # visits that follow visits that follow visits
        time = by_weight_of_days(after + rng.exponential(3 * DAY, len(after)), after, weight)
        assert (time > after).all()
        after = time
    weekday = (after // DAY).astype(int)[(after > 70 * DAY) & (after < 350 * DAY)] % 7
    share = np.bincount(weekday, minlength=7) / len(weekday)
    np.testing.assert_allclose(share, np.array(CLOSED) / sum(CLOSED), atol=0.006)


@given(n=st.integers(1, 40), days=st.integers(1, 90), ahead=st.integers(0, 30))
def test_weights_keep_their_weekday(n, days, ahead):
    found = weights_by_day(np.arange(n, dtype=float), days, ahead)
    assert len(found) == days
    if n >= 7:
        assert ((found - (np.arange(days) - ahead)) % 7 == 0).all()
