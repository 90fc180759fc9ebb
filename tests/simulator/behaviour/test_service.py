"""What the shop does well and badly: rows of its own, and what they do to its shoppers."""

import numpy as np
import pandas as pd
import pytest

import simulator


def kinds(log):
    return log.events["event"].astype(str)


@pytest.fixture(scope="module")
def log():
    return simulator.simulate(
        "shop",
        users=4_000,
        days=40,
        seed=6,
        settings={"checkout.begin": -1.5, "checkout.late": 0.2},
    )


def arrivals(log):
    """Deliveries of orders in the log: days from order to arrival, by order."""
    bought = log.events[kinds(log) == "purchase"].drop_duplicates("order_id")
    came = log.events[kinds(log) == "delivery"]
    ordered = bought.assign(o=bought["order_id"].astype(str)).set_index("o")["timestamp"]
    key = came["order_id"].astype(str)
    came = came[key.isin(ordered.index).to_numpy()]
    key = came["order_id"].astype(str)
    days = (came["timestamp"].array - ordered.loc[key].array) / pd.Timedelta(days=1)
    return pd.Series(np.asarray(days, dtype=float), index=key.to_numpy())


def test_orders_arrive_and_as_many_late_as_the_scenario_says(log):
    days = arrivals(log)
    assert len(days) > 500
    assert days.index.is_unique
    assert (days > 0).all()
    early = log.events["timestamp"].min() + pd.Timedelta(days=25)
    bought = log.events[(kinds(log) == "purchase") & (log.events["timestamp"] < early)]
    came = days.reindex(bought["order_id"].astype(str).unique())
    late = (came > log.manifest["scenario"]["service"]["promised_days"]).mean()
    assert abs(late - 0.2) < 0.05


def test_a_parcel_is_no_visit(log):
    came = log.events[kinds(log) == "delivery"]
    assert came["device"].isna().all()
    assert came["channel"].isna().all()
    complaints = log.events[kinds(log) == "support_contact"]
    assert 0.15 < len(complaints) / (arrivals(log) > 4).sum() < 0.5


def test_ratings_are_j_shaped_and_late_parcels_cost_stars(log):
    reviews = log.events[kinds(log) == "review"]
    honest = log.truth["events"].set_index("event_id").loc[reviews["event_id"], "fraud"].isna()
    stars = reviews.loc[honest.to_numpy(), "rating"].value_counts(normalize=True)
    assert stars[5] > stars[4] > stars[3]
    assert stars[1] > stars[2]
    assert 0.45 < stars[5] < 0.7


def test_bad_service_costs_satisfaction_and_orders():
    def world(late):
        log = simulator.simulate(
            "shop",
            users=3_000,
            days=40,
            seed=6,
            settings={"checkout.begin": -1.0, "checkout.late": late},
        )
        bought = log.events[kinds(log) == "purchase"]
        users = log.truth["users"].set_index("user_id").loc[bought["user_id"].unique()]
        return bought["order_id"].nunique(), users["satisfaction"].mean()

    (punctual, content), (late, annoyed) = world(0.0), world(0.9)
    assert late < 0.85 * punctual
    assert annoyed < content - 0.1


def test_who_begins_to_leave_comes_less_and_looks_at_less():
    log = simulator.simulate(
        "shop", users=3_000, days=50, seed=8, settings={"churn.hazard": 0.05, "churn.win_back": 0.0}
    )
    users = log.truth["users"].set_index("user_id")
    views = log.events[kinds(log) == "view_item"]
    since = users["leaving_since"].loc[views["user_id"]]
    leaving = (views["timestamp"].array > since.array).astype(bool)
    per_session = views.groupby("session_id", observed=True).size()
    of = views.assign(leaving=leaving).groupby("session_id", observed=True)["leaving"].any()
    assert of.sum() > 200
    assert per_session[of].mean() < 0.9 * per_session[~of].mean()
    left = users[users["died"].notna() & users["leaving_since"].notna()]
    lasted = (left["died"] - left["leaving_since"]).dt.total_seconds() / 86_400
    assert lasted.median() > 1  # it takes days, not a session
    assert np.isfinite(lasted).all()
