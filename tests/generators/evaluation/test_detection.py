from __future__ import annotations

import pytest
from fixtures.shop_logs import shop_log

from eventlog import EventLog
from generators.evaluation.align import align_logs
from generators.evaluation.detection import detect, detection_auc


def test_detection_by_a_classifier(real, other):
    swapped = other.events["event"].cat.rename_categories(
        {"refund": "purchase", "purchase": "refund"}
    )
    shifted = EventLog(events=other.events.assign(event=swapped))
    a, b, c = align_logs(real, other, shifted)
    assert detection_auc(a, b, seed=0) < 0.65
    assert detection_auc(a, c, seed=0) > 0.9
    assert detection_auc(a, a, seed=0) == pytest.approx(0.5)


def test_detection_says_by_what_and_in_which_direction(real, other):
    many = other.events["event"].eq("refund").to_numpy()
    events = other.events.assign(
        event=other.events["event"].where(~many, "purchase"), price=-other.events["price"]
    )
    auc, by = detect(*align_logs(real, EventLog(events=events)), seed=0)
    assert auc > 0.9
    found = {t.name: t for t in by}
    assert sum(t.gain for t in by) == pytest.approx(1.0)
    assert [t.gain for t in by] == sorted((t.gain for t in by), reverse=True)
    first = by[0]
    assert first.name == "mean log price"  # a price below zero counts by its size and its sign
    assert first.auc == 0.0
    assert first.real == pytest.approx(-first.synthetic, rel=0.05)
    purchases = detect(
        *align_logs(real, EventLog(events=events.assign(price=other.events["price"]))), seed=0
    )[1]
    found = {t.name: t for t in purchases}
    assert found["share of purchase"].auc > 0.6
    assert found["share of purchase"].synthetic > found["share of purchase"].real


def test_the_features_asked_for_are_the_first_of_all(real, other):
    logs = align_logs(real, EventLog(events=other.events.assign(price=other.events["price"] * 3)))
    auc, found = detect(*logs, seed=0)
    assert detect(*logs, seed=0, most=3) == (auc, found[:3])
    assert detection_auc(*logs, seed=0) == auc


def test_too_few_users_are_no_auc():
    auc, found = detect(*align_logs(shop_log(users=5, seed=0), shop_log(users=5, seed=1)), seed=0)
    assert auc != auc
    assert found == []
