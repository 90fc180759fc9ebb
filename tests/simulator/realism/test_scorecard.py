import json

import numpy as np
import pandas as pd

from eventlog.log import EventLog, tidy
from simulator.realism import facts as stylised
from simulator.realism import scorecard
from simulator.realism.measures import Measures


def test_the_default_shop_looks_like_a_shop(shop_log):
    facts = scorecard.score(shop_log)
    known = [f for f in facts if f.inside is not None]
    assert len(known) >= 28
    # At this small size, with more fraud than by default, a few rows may stray; at 10,000 x 60 none
    # does.
    outside = [f"{f.name}: {f.value:.3g}" for f in known if not f.inside and "fraud" not in f.name]
    assert len(outside) <= 4, outside


def test_measures_agree_with_counting_by_hand():
    day = pd.Timestamp("2025-01-06", tz="UTC")
    rows = [
        ("a", "s1", 0, "view_item", "x", None),
        ("a", "s1", 1, "view_item", "y", None),
        ("a", "s1", 2, "view_item", "x", None),
        ("a", "s1", 3, "add_to_cart", "x", None),
        ("a", "s1", 4, "purchase", "x", "o1"),
        ("a", "s1", 4, "purchase", "y", "o1"),
        ("a", "s2", 900, "view_item", "x", None),
        ("a", "s2", 901, "purchase", "x", "o2"),
        ("b", "s3", 5, "view_item", "z", None),
    ]
    events = tidy(
        pd.DataFrame(
            {
                "event_id": range(len(rows)),
                "user_id": [r[0] for r in rows],
                "session_id": [r[1] for r in rows],
                "timestamp": [day + pd.Timedelta(minutes=r[2]) for r in rows],
                "event": [r[3] for r in rows],
                "item_id": [r[4] for r in rows],
                "order_id": [r[5] for r in rows],
                "price": 10.0,
            }
        )
    )
    value = {f.name: f.value for f in scorecard.score(EventLog(events))}
    assert value["add_to_cart / view"] == 1 / 5
    assert value["purchase / view"] == 3 / 5
    assert value["sessions that buy"] == 2 / 3
    assert value["repeat clicks within a session"] == 1 / 5
    assert value["basket, mean lines"] == 1.5
    assert value["basket, share with one line"] == 0.5
    assert value["repeat purchases of an item"] == 1 / 3
    assert value["buyers who buy once"] == 0
    assert np.isnan(value["orders reported as fraud"])


def test_the_table_says_inside_or_outside(shop_log):
    text = scorecard.table(scorecard.score(shop_log))
    assert "inside" in text
    assert text.splitlines()[-1].endswith("facts inside their range")


def test_a_fact_that_the_log_cannot_answer_says_why():
    day = pd.Timestamp("2025-01-06", tz="UTC")
    events = tidy(
        pd.DataFrame(
            {
                "event_id": range(120),
                "user_id": [f"u{i % 40}" for i in range(120)],
                "event": "purchase",
                "timestamp": [day + pd.Timedelta(days=i) for i in range(120)],
                "price": np.geomspace(1, 25, 120),
            }
        )
    )
    facts = {f.name: f for f in scorecard.score(EventLog(events))}
    assert facts["buyers who buy once"].value == 0
    assert facts["time between orders, CV"].value < 0.01
    assert facts["price of purchases, sd of log"].inside
    for name, words in (
        ("add_to_cart / view", "carts"),
        ("busiest hour (UTC)", "dates only"),
        ("orders reported as fraud", "no labels"),
        ("price elasticity in campaigns", "discounts"),
        ("Zipf slope of clicks, ranks 10-1000", "items"),
    ):
        assert facts[name].inside is None
        assert words in facts[name].reason
    assert all(np.isnan(f.value) == bool(f.reason) for f in facts.values())
    text = json.loads(scorecard.to_json(list(facts.values())))
    assert text["known"] == sum(f.inside is not None for f in facts.values())
    assert text["facts"][0]["value"] is None


def test_a_scale_free_catalogue_has_its_slope():
    counts = np.round(1e6 * np.arange(1, 2_001) ** -0.9)
    assert abs(stylised.zipf_slope(counts) - 0.9) < 0.01
    assert np.isnan(stylised.zipf_slope(counts, floor=1e6))


def test_campaign_days_are_found_by_what_is_sold_at_a_discount():
    start = pd.Timestamp("2025-01-06", tz="UTC")
    rows = [
        (d, h, 0.2 if d in (10, 11, 30) else 0.0)
        for d in range(40)
        for h in range(20 if d in (10, 11, 30) else 10)
    ]
    events = tidy(
        pd.DataFrame(
            {
                "event_id": range(len(rows)),
                "user_id": "a",
                "event": "purchase",
                "price": 5.0,
                "timestamp": [start + pd.Timedelta(days=d, hours=h) for d, h, _ in rows],
                "discount": [x for *_, x in rows],
            }
        )
    )
    assert stylised.campaign_lift(Measures(EventLog(events))) == 2.0
