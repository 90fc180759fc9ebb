"""What the shop learns, late and imperfectly."""

import numpy as np
import pytest

from simulator.fraud import fraudsters, labels
from simulator.sections import Fraud


@pytest.fixture(scope="module")
def cases(fraud_log):
    """One row per labelled event, with what is true of it."""
    truth = fraud_log.events.assign(
        fraud=fraud_log.truth["events"]["fraud"].astype(object).fillna("").to_numpy()
    ).set_index("event_id")
    return fraud_log.labels.merge(
        truth[["fraud", "event", "timestamp", "order_id", "session_id"]],
        left_on="event_id",
        right_index=True,
    )


def test_every_kind_of_label_is_about_its_own_typologies(cases):
    label = {t.name: t.label for t in fraudsters.TYPOLOGIES}
    assert set(cases["kind"]) == set(labels.KINDS) == set(label.values())
    for kind, rows in cases.groupby("kind"):
        right = rows["fraud"].map(label) == kind
        assert right.mean() > 0.7, kind
    assert (cases["known_at"] > cases["timestamp"]).all()


def test_chargebacks_are_late_incomplete_and_now_and_then_wrong(fraud_log, cases):
    truth = fraud_log.truth["events"]["fraud"]
    orders = fraud_log.events[fraud_log.events["event"].astype(str) == "purchase"].drop_duplicates(
        "order_id"
    )
    frauds = [t.name for t in fraudsters.TYPOLOGIES if t.label == "fraud"]
    bad = truth.loc[orders.index].isin(frauds)
    told = cases[cases["kind"] == "fraud"].drop_duplicates("order_id")
    right = told["fraud"].isin(frauds)
    assert 0.75 < right.sum() / bad.sum() < 0.95
    assert (~right).sum() < 0.005 * len(orders)
    delay = (told["known_at"] - told["timestamp"]).dt.total_seconds() / 86_400
    assert 5 < delay.median() < 10
    cut = fraud_log.time_at(0.5)
    assert (fraud_log.before(cut).labels["known_at"] < cut).all()


def test_a_case_is_found_out_as_a_whole(fraud_log, cases):
    lines = (
        fraud_log.events[fraud_log.events["event"].astype(str) == "purchase"]
        .groupby("order_id", observed=True)
        .size()
    )
    told = cases[cases["kind"] == "fraud"].groupby("order_id", observed=True).size()
    assert (told == lines.reindex(told.index)).all()
    bots = cases[cases["kind"] == "bot"]
    assert (bots.groupby("session_id", observed=True)["known_at"].nunique() == 1).all()


def test_what_is_switched_off_is_not_looked_for():
    rows = {
        "event": np.array([7, 0, 9], np.int8),
        "order": np.array([0, -1, -1]),
        "session": np.arange(3),
    }
    off = Fraud(share=0, refund_abuse=0, coupon_abuse=0, fake_review=0, scraping_bot=0)
    found = labels.observed(off, rows, np.full(3, -1), np.arange(3), np.arange(3), 0)
    assert len(found.event_id) == 0
