"""Events that come at an hour of their own, as what a machine does, among what people do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.timed_rows import log_of_rows

import generators
from eventlog import EventLog
from eventlog.check import check
from generators.structure.finding.finder import find_structure
from generators.structure.relations.times import TimeOfDay

DAY_S, HOUR_S = 86_400, 3_600


def hours_log(users: int = 200, *, hour: float | None = 6.0, inside: bool = False) -> EventLog:
    """Return a log of evening visits, and of statements at `hour`, or `inside` the visits.

    Without an hour they come in the evening as well.
    """
    rng, rows = np.random.default_rng(29), list[dict[str, Any]]()
    for u in range(users):
        for visit in range(int(rng.poisson(6)) + 2):
            day = int(rng.integers(0, 60))
            time = day * DAY_S + rng.normal(20, 1.5) * HOUR_S
            here = {"user_id": f"h{u}", "session_id": f"{u}.{visit}"}
            for _ in range(int(rng.integers(1, 6))):
                time += 30 + rng.exponential(60)
                rows.append({**here, "t": time, "event": "look", "item_id": f"i{rng.zipf(1.5)}"})
            if rng.random() < 0.6:
                own_hour = rng.normal(19, 1.5) if hour is None else hour
                at = day * DAY_S + own_hour * HOUR_S + rng.uniform(0, 600)
                own = here if inside else {**here, "session_id": f"{u}.{visit}s"}
                rows.append({**own, "t": time + 9 if inside else at, "event": "statement"})
    roles = {"look": "view", "statement": "other"}
    return log_of_rows(pd.DataFrame(rows), "2026-01-10", roles)


def hours_of(log: EventLog) -> np.ndarray:
    """Return the hours, with a fraction, at which statements come."""
    time = log.events["timestamp"][log.events["event"] == "statement"]
    return (time.dt.hour + time.dt.minute / 60 + time.dt.second / HOUR_S).to_numpy()


@pytest.mark.parametrize(("model", "settings"), [("markov", {}), ("vae", {"epochs": 3})])
@pytest.mark.parametrize("hour", [6.0, 23.9])
def test_statements_come_at_their_hour(model: str, settings: dict[str, Any], hour: float) -> None:
    log = hours_log(hour=hour)
    sample = generators.fit(log, model=model, seed=1, settings=settings).sample(200, seed=2)
    since = (hours_of(sample) - hour) % 24
    assert len(since) > 300
    assert np.mean((since < 0.2) | (since > 23.99)) > 0.95
    assert not [found for found in check(sample) if found.level == "error"]
    events = sample.events
    assert (np.diff(events["event_id"]) > 0).all()
    time = events["timestamp"].astype("int64").to_numpy()
    same_user = (events["user_id"].astype(str).shift() == events["user_id"].astype(str)).to_numpy()
    assert (np.diff(time)[same_user[1:]] >= 0).all()


def test_what_comes_when_others_do_or_in_a_visit_has_no_hour_of_its_own() -> None:
    for log in (hours_log(hour=None), hours_log(inside=True)):
        found = find_structure(log, min_users=5)
        assert not [r for r in found.relations if isinstance(r, TimeOfDay)]
