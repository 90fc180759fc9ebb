"""Phones and computers, and who is logged in."""

import numpy as np
import pytest

import simulator
from simulator.behaviour.session.devices import is_mobile, types


@pytest.fixture(scope="module")
def log():
    settings = {"coupons.every": 0, "fraud.share": 0.0, "checkout.begin": -1.5}
    return simulator.simulate("small", users=1_500, days=30, seed=8, settings=settings)


def sessions(log):
    rows = log.events.assign(role=log.role())
    rows = rows[rows["device"].notna()]
    each = rows.groupby("session_id", observed=True)
    return each.agg(
        type=("device_type", "first"),
        looks=("role", lambda role: (role == "view").any()),
        buys=("role", lambda role: (role == "purchase").any()),
    )


def test_a_phone_buys_about_half_as_often(log):
    found = sessions(log)
    found = found[found["looks"]]
    buys = found.groupby("type", observed=True)["buys"].mean()
    assert 0.4 < buys["mobile"] / buys["desktop"] < 0.8
    assert 0.55 < (found["type"] == "mobile").mean() < 0.75


def test_a_device_is_of_one_type(log):
    rows = log.events[log.events["device"].notna()]
    assert (rows.groupby("device", observed=True)["device_type"].nunique() == 1).all()
    assert log.events.loc[log.events["device"].isna(), "device_type"].isna().all()


def test_compiled_and_vectorised_types_agree():
    codes = np.array([-1, 0, 1, 5, 2**40 + 3])
    found = types(codes, 0.4)
    assert found[0] == -1
    assert found[1:].tolist() == [int(is_mobile(code, 0.4)) for code in codes[1:]]


def test_visitors_are_anonymous_until_they_log_in(log):
    rows, role = log.events, log.role()
    assert not rows.loc[role == "login_failed", "logged_in"].all()
    for what in ("login", "sign_up", "refund", "review"):
        assert rows.loc[role == what, "logged_in"].all()
    by_session = rows[rows["device"].notna()].groupby("session_id", observed=True)["logged_in"]
    assert by_session.apply(lambda known: known.is_monotonic_increasing).all()
    share = by_session.last().mean()
    assert 0.5 < share < 0.95
    assert 0.01 < (~rows.loc[role == "purchase", "logged_in"]).mean() < 0.5  # guests' orders
