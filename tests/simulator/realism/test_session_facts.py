"""The facts of sessions, against a log made without the simulator and rows counted by hand."""

import numpy as np
import pandas as pd
import pytest
from fixtures.click_log import BETWEEN, GAP_SECONDS, click_log

from eventlog.log import EventLog, tidy
from simulator.realism import scorecard, session_facts
from simulator.realism.measures import Absent, Measures


@pytest.fixture(scope="module")
def clicks():
    return Measures(click_log(sessions=4_000, seed=3).grouped())


def test_what_the_log_was_made_with_is_measured(clicks):
    assert session_facts.two_clicks(clicks) == pytest.approx(0.43, abs=0.03)
    assert session_facts.immediate_repeats(clicks) == pytest.approx(0.75, abs=0.06)
    assert session_facts.gap_between_sessions(clicks) == pytest.approx(BETWEEN, abs=0.04)
    for share, seconds in ((0.25, GAP_SECONDS[2]), (0.5, GAP_SECONDS[3]), (0.95, GAP_SECONDS[5])):
        assert session_facts.gap_quantile(share)(clicks) == pytest.approx(seconds, rel=0.2)
    assert session_facts.late_gaps(clicks) < 0.85


def test_gaps_in_random_order_have_no_correlation_and_no_sessions():
    rng = np.random.default_rng(0)
    n = 3_000
    begin = pd.Timestamp("2025-01-06", tz="UTC")
    events = pd.DataFrame(
        {
            "event_id": range(n),
            "user_id": "u",
            "session_id": [f"s{i // 5:04d}" for i in range(n)],
            "timestamp": begin + pd.to_timedelta(np.cumsum(rng.lognormal(3, 1, n)), unit="s"),
            "event": "view_item",
            "item_id": [f"i{i}" for i in range(n)],
        }
    )
    measures = Measures(EventLog(tidy(events)))
    assert abs(session_facts.gap_correlation(measures)) < 0.06
    assert abs(session_facts.gap_between_sessions(measures)) < 0.06
    with pytest.raises(Absent, match="repeat clicks"):
        session_facts.immediate_repeats(measures)


def test_carts_and_rows_after_orders_are_counted_by_hand():
    kinds = ["view_item", "add_to_cart", "search", "add_to_cart", "purchase", "view_item"]
    events = pd.DataFrame(
        {
            "event_id": range(6 * 60),
            "user_id": np.repeat([f"u{k:02d}" for k in range(60)], 6),
            "session_id": np.repeat([f"s{k:02d}" for k in range(60)], 6),
            "timestamp": pd.Timestamp("2025-01-06", tz="UTC")
            + pd.to_timedelta(np.tile(np.arange(6), 60), unit="min"),
            "event": kinds * 60,
            "item_id": ["a", "a", None, "b", "a", "c"] * 60,
            "price": [9.99, 9.99, np.nan, 5.01, 9.99, 3.0] * 60,
        }
    )
    measures = Measures(EventLog(tidy(events)))
    assert session_facts.unviewed_carts(measures) == 0.5
    assert session_facts.rows_after_order(measures) == 1.0


def test_sessions_of_the_default_shop_go_as_published(shop_log):
    of_sessions = {f.name: f for f in scorecard.score(shop_log) if "YooChoose" in f.source}
    known = [f for f in of_sessions.values() if f.inside is not None]
    assert len(known) >= 14
    assert [f"{f.name}: {f.value:.3g}" for f in known if not f.inside] == []
