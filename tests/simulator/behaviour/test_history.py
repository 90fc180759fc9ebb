"""A log begins in a shop that has been open for years."""

import pandas as pd
import pytest

import simulator

FIRST = pd.Timestamp("2025-01-06", tz="UTC")


@pytest.fixture(scope="module")
def log():
    return simulator.simulate("shop", users=5_000, days=42, seed=4, settings={"coupons.every": 0})


def per_week(log, kind, column="order_id"):
    rows = log.events if kind is None else log.events[log.events["event"].astype(str) == kind]
    week = (rows["timestamp"] - FIRST).dt.days // 7
    return rows.groupby(week)[column].nunique().reindex(range(6), fill_value=0)


def test_orders_and_refunds_come_at_their_usual_rate_from_the_first_week_on(log):
    orders, refunds = per_week(log, "purchase"), per_week(log, "refund")
    sessions = per_week(log, None, "session_id")
    early, late = ((orders[weeks].sum() / sessions[weeks].sum()) for weeks in ([0, 1], [4, 5]))
    assert 0.7 < early / late < 1.2
    assert 0.6 < refunds[[0, 1]].sum() / refunds[[4, 5]].sum() < 1.4


def test_accounts_have_an_age_and_stay_alive(log):
    age = (FIRST - log.users["signup"]).dt.days
    old = age[age > 0]
    assert 0.7 < len(old) / len(age) < 0.9
    assert old.max() < 1_100
    assert 200 < old.median() < 500
    # survivors are those whose hazard is low
    truth = log.truth["users"].set_index("user_id").loc[log.users["user_id"]]
    assert (
        truth["hazard"][(age > 365).to_numpy()].mean()
        < truth["hazard"][(age < 0).to_numpy()].mean()
    )


def test_the_welcome_coupon_is_for_new_accounts(log):
    events = log.events
    welcome = events[
        (events["event"].astype(str) == "coupon_redeem")
        & (events["coupon_id"].astype(str) == "welcome")
    ]
    assert len(welcome) > 20
    opened = log.users.set_index("user_id")["signup"].loc[welcome["user_id"]]
    age = welcome["timestamp"].to_numpy() - opened.to_numpy()
    honest = log.truth["events"].set_index("event_id").loc[welcome["event_id"], "fraud"].isna()
    assert (age[honest.to_numpy()] < pd.Timedelta(days=31)).all()


def test_without_a_past_there_is_none():
    log = simulator.simulate("small", users=80, days=10, seed=1, settings={"shoppers.present": 0.0})
    assert (log.users["signup"] >= FIRST).all()
