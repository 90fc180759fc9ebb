"""What a session consists of: baskets of any length, wishes, logins, channels that sell."""

import numpy as np
import pandas as pd
import pytest

import simulator

SETTINGS = {"checkout.cart": -1.5, "checkout.begin": -1.0, "shoppers.visits": 0.6}


@pytest.fixture(scope="module")
def log():
    # without days before the log, no cart is filled before it
    first = {"calendar.burn_in": 0}
    changes = {**SETTINGS, **first, "navigation.list": 6.0, "navigation.wishes": 3.0}
    return simulator.simulate("small", users=500, days=30, seed=6, settings=changes)


def test_a_shopping_list_makes_long_baskets(log):
    lines = log.events[log.events["event"] == "purchase"].groupby("order_id", observed=True).size()
    assert lines.mean() > 4
    assert lines.max() > 15


def test_what_is_bought_was_carted_in_that_quantity(log):
    events = log.events
    carts = events[events["event"] == "add_to_cart"]
    assert (carts["quantity"] >= 1).all()
    assert (carts["quantity"] > 1).any()
    known = set(
        zip(
            carts["user_id"].astype(str),
            carts["item_id"].astype(str),
            carts["quantity"],
            strict=True,
        )
    )
    # What a shopper buys early may have been carted before the log begins.
    late = events["timestamp"] > events["timestamp"].min() + pd.Timedelta(days=10)
    bought = events[(events["event"] == "purchase") & late]
    assert (
        set(
            zip(
                bought["user_id"].astype(str),
                bought["item_id"].astype(str),
                bought["quantity"],
                strict=True,
            )
        )
        <= known
    )


def test_every_kind_of_row_occurs_and_none_always(log):
    kinds = log.events["event"].astype(str)
    for kind in ("add_to_wishlist", "remove_from_cart", "login"):
        assert (kinds == kind).any()
    orders = log.events[kinds == "purchase"].groupby("session_id", observed=True)["order_id"]
    assert 0 < (orders.nunique() > 1).mean() < 0.5
    logins = log.events[kinds == "login"]["session_id"].nunique()
    assert 0.05 < logins / log.events["session_id"].nunique() < 0.6
    refunds = log.events[kinds == "refund"].groupby("order_id", observed=True).size()
    assert 0 < (refunds > 1).mean() < 1


def test_choices_of_carts_are_probabilities(log):
    p = log.truth["events"]["p_choice"].to_numpy(float)[
        (log.events["event"] == "add_to_cart").to_numpy()
    ]
    assert ((p > 0) & (p <= 1)).all()


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_channels_sell_as_the_settings_say(shift):
    changes = {
        **SETTINGS,
        "channels.email": shift,
        "channels.social": -shift,
        "channels.direct": 0.2,
    }
    made = simulator.simulate(
        "small", users=900, days=30, seed=6, settings={**changes, "fraud.share": 0.0}
    )
    sessions = made.events.groupby("session_id", observed=True)
    buys = sessions["event"].agg(lambda kinds: (kinds == "purchase").any())
    rate = buys.groupby(sessions["channel"].first().astype(str)).mean()
    ratio = rate["email"] / rate["social"]
    assert (0.6 < ratio < 1.7) if shift == 0 else ratio > 3


def test_the_same_seed_gives_the_same_rows(log):
    # without days before the log, no cart is filled before it
    first = {"calendar.burn_in": 0}
    changes = {**SETTINGS, **first, "navigation.list": 6.0, "navigation.wishes": 3.0}
    again = simulator.simulate("small", users=500, days=30, seed=6, settings=changes)
    assert (again.events["timestamp"] == log.events["timestamp"]).all()
    assert np.array_equal(
        again.events["price"].to_numpy(), log.events["price"].to_numpy(), equal_nan=True
    )
