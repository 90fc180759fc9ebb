"""Visits by hour and day: profiles that are given, closed days, visits that follow others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simulator
from eventlog._runtime.errors import InputError
from simulator.behaviour.calendar import keep_to_calendar
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
    assert 0.2 < (begin.dt.dayofweek == 6).sum() / (begin.dt.dayofweek == 4).sum() < 0.9


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
    rng = np.random.default_rng(seed)
    time = np.array(times)
    after = time * rng.random(len(time))
    key = rng.integers(0, 2**64, len(time), dtype=np.uint64)
    moved = keep_to_calendar(time, after, key, world)
    assert (moved >= after).all()
    late = time // DAY < 21
    assert ((moved // DAY).astype(int) % 7 != 5)[late & (moved != time)].all()
    assert (keep_to_calendar(time, after, key, world) == moved).all()


@given(n=st.integers(1, 40), days=st.integers(1, 90), ahead=st.integers(0, 30))
def test_weights_keep_their_weekday(n, days, ahead):
    found = weights_by_day(np.arange(n, dtype=float), days, ahead)
    assert len(found) == days
    if n >= 7:
        assert ((found - (np.arange(days) - ahead)) % 7 == 0).all()
