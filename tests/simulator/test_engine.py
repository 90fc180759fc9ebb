"""The order in which a day's events are played."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.behaviour.buffers.event_buffer import SCHEDULED_EVENT
from simulator.engine import in_time


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=40))
def test_events_are_played_in_time_and_then_by_user(drawn):
    events = np.zeros(len(drawn), dtype=SCHEDULED_EVENT)
    events["time"], events["user"] = [t for t, _ in drawn], [u for _, u in drawn]
    events["reference"] = np.arange(len(drawn))
    expected = sorted(range(len(drawn)), key=lambda k: drawn[k])  # stable
    assert in_time(events)["reference"].tolist() == expected
