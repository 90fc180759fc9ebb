"""Coupons: the log of a campaign, and the truth of both worlds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import simulator
from simulator.counter_rng import child, children, normal, uniform

SETTINGS = {"coupons.every": 13, "coupons.reach": 1.0}


@pytest.fixture(scope="module")
def log():
    return simulator.simulate("shop", users=4_000, days=40, seed=3, settings=SETTINGS)


@pytest.fixture(scope="module")
def coupons(log):
    return log.truth["coupons"]


def kind(log):
    return log.events["event"].astype(str)


def test_every_offer_is_in_the_log_with_or_without_a_discount(log, coupons):
    offers = log.events[kind(log) == "coupon_offer"]
    assert len(offers) == len(coupons) > 2_000
    key = ["user_id", "coupon_id"]
    both = offers.astype(dict.fromkeys(key, str)).merge(
        coupons.astype(dict.fromkeys(key, str)), on=key, validate="1:1"
    )
    assert len(both) == len(offers)
    assert ((both["discount"] > 0) == both["treated"]).all()
    assert (both["timestamp"] == both["offered_at"]).all()
    named = {c["coupon_id"]: c for c in log.manifest["campaigns"]}
    assert set(both["coupon_id"]) == set(named)
    for name, rows in both.groupby("coupon_id"):
        begin = pd.Timestamp(named[name]["start"], tz="UTC")
        assert (
            rows["offered_at"]
            .between(begin, begin + pd.Timedelta(days=named[name]["days"] + 0.01))
            .all()
        )
        assert (rows["randomised"] == named[name]["randomised"]).all()


def test_the_log_shows_the_potential_outcome_of_the_world_that_came_true(log, coupons):
    bought = log.events[kind(log) == "purchase"]
    fraud = (
        log.truth["events"]
        .set_index("event_id")
        .loc[bought["event_id"], "fraud"]
        .notna()
        .to_numpy()
    )
    bought = bought[~fraud].assign(user=lambda f: f["user_id"].astype(str))
    times = bought.groupby("user")["timestamp"].agg(list)
    window = pd.Timedelta(days=log.manifest["campaigns"][0]["window_days"])
    seen = np.array(
        [
            any(t < at < t + window for at in times.get(u, []))
            for u, t in zip(coupons["user_id"].astype(str), coupons["offered_at"], strict=True)
        ]
    )
    told = np.where(coupons["treated"], coupons["y1"], coupons["y0"])
    assert (seen == told).mean() > 0.999
    assert ((coupons["spend1"] > 0) == coupons["y1"]).all()


def test_a_randomised_campaign_estimates_the_true_effect_and_a_targeted_one_does_not(coupons):
    y = np.where(coupons["treated"], coupons["y1"], coupons["y0"]).astype(float)
    effect = coupons["y1"].astype(float) - coupons["y0"].astype(float)
    assert effect.mean() > 0.01
    fair, treated = coupons["randomised"].to_numpy(), coupons["treated"].to_numpy()
    assert abs(treated[fair].mean() - 0.5) < 0.05

    def error(rows):
        a, b = y[rows & treated], y[rows & ~treated]
        spread = np.sqrt(a.var() / len(a) + b.var() / len(b))
        return (a.mean() - b.mean() - effect[rows].mean()) / spread

    assert abs(error(fair)) < 4
    assert error(~fair) > 2.5  # it went to those who buy anyway


def test_propensities_are_those_of_the_draws(coupons):
    for _, rows in coupons.groupby("propensity"):
        p, n = float(rows["propensity"].iloc[0]), len(rows)
        assert abs(rows["treated"].mean() - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-9


def test_worlds_share_their_luck(coupons):
    """Without the coupon's pull the two worlds are the same to the last purchase."""
    still = simulator.simulate(
        "shop",
        users=1_500,
        days=30,
        seed=3,
        settings={**SETTINGS, "coupons.pull": 0.0, "coupons.salience": 0.0, "coupons.remind": 0.0},
    ).truth["coupons"]
    assert len(still) > 300
    assert (still["y0"] == still["y1"]).all()
    assert (coupons["y0"] != coupons["y1"]).mean() < 0.2


def test_a_coupon_lowers_what_is_paid(log):
    redeemed = log.events[kind(log) == "coupon_redeem"]
    lines = log.events[
        (kind(log) == "purchase") & log.events["order_id"].isin(redeemed["order_id"])
    ]
    assert len(redeemed) > 20
    assert redeemed["order_id"].is_unique
    off = (
        lines["order_id"]
        .astype(str)
        .map(redeemed.assign(o=redeemed["order_id"].astype(str)).set_index("o")["discount"])
    )
    item = log.items.assign(i=log.items["item_id"].astype(str)).set_index("i")["price"]
    shelf = item.reindex(lines["item_id"].astype(str)).to_numpy() * (
        1 - lines["discount"].to_numpy()
    )
    # sale prices end in 9 too, so they are a few cents beside the share that is taken off
    assert np.allclose(lines["price"], shelf * (1 - off), atol=0.06 + 0.002 * shelf)


def test_price_sensitive_shoppers_are_moved_most(log, coupons):
    people = log.truth["users"].assign(u=lambda f: f["user_id"].astype(str)).set_index("u")
    asked = people.loc[coupons["user_id"].astype(str)]
    moved = (coupons["y1"].astype(int) - coupons["y0"].astype(int)).to_numpy() > 0
    x = np.log(asked[["price_sensitivity"]].to_numpy())
    assert LogisticRegression().fit(x, moved).coef_[0, 0] > 0


def test_keyed_draws_are_uniform_independent_and_normal():
    keys = children(np.full(20_000, 7, dtype=np.uint64), np.arange(20_000))
    assert len(np.unique(keys)) == len(keys)
    u = np.array([[uniform(k, n) for n in range(3)] for k in keys])
    assert ((u >= 0) & (u < 1)).all()
    assert np.abs(u.mean(0) - 0.5).max() < 0.01
    assert np.abs(np.corrcoef(u.T) - np.eye(3)).max() < 0.03
    z = np.array([normal(k, 5) for k in keys])
    assert abs(z.mean()) < 0.03
    assert abs(z.std() - 1) < 0.02
    assert child(np.uint64(1), 2) == child(np.uint64(1), 2) != child(np.uint64(2), 1)


@pytest.mark.parametrize("name", ["flash-sale", "cold-start", "drift"])
def test_scenarios_do_what_they_say(name):
    log = simulator.simulate(name, users=1_200, days=40, seed=5)
    kinds = kind(log)
    day = (log.events["timestamp"] - log.events["timestamp"].min().floor("D")).dt.days
    if name == "drift":
        dates = {i["kind"]: i for i in log.manifest["incidents"]}
        assert set(dates) == {
            "checkout_bug",
            "viral_spike",
            "price_rise",
            "payment_outage",
            "late_deliveries",
        }
        bug = log.events["timestamp"].between(
            pd.Timestamp(dates["checkout_bug"]["first"], tz="UTC"),
            pd.Timestamp(dates["checkout_bug"]["last"], tz="UTC") + pd.Timedelta(days=1),
        )
        rate = [
            ((kinds == "begin_checkout") & rows).sum() / ((kinds == "add_to_cart") & rows).sum()
            for rows in (bug, ~bug)
        ]
        assert rate[0] < 0.6 * rate[1]
        pays, fails_ = kinds == "add_payment_info", kinds == "payment_failed"
        down = log.events["timestamp"].between(
            pd.Timestamp(dates["payment_outage"]["first"], tz="UTC"),
            pd.Timestamp(dates["payment_outage"]["last"], tz="UTC") + pd.Timedelta(days=1),
        )
        share = [(fails_ & rows).sum() / max((pays & rows).sum(), 1) for rows in (down, ~down)]
        assert share[0] > 2 * share[1]
    elif name == "cold-start":
        seen = log.events[kinds == "view_item"]
        first = seen.groupby(seen["item_id"].astype(str))["timestamp"].min()
        assert ((first - log.span[0]).dt.days > 5).mean() > 0.25
    else:
        visits = kinds[kinds == "view_item"].groupby(day).size()
        assert visits.max() > 2.5 * visits.median()


def test_the_effect_of_the_programme_is_that_between_worlds_really_run():
    arguments = {"users": 1_200, "days": 40, "seed": 4}
    settings = {"coupons.every": 9, "coupons.reach": 1.0, "coupons.discount": 0.3}
    log = simulator.simulate("shop", **arguments, settings={**settings, "truth.programme": True})
    plain = simulator.simulate("shop", **arguments, settings=settings)
    without = simulator.simulate("shop", **arguments, settings={**settings, "coupons.every": 0})
    assert log.events["event_id"].equals(plain.events["event_id"])  # keeping it changes nothing
    truth = log.truth["programme"].set_index("user_id")
    for arm, world in (("1", plain), ("0", without)):
        honest = world.truth["events"]["fraud"].isna().to_numpy()
        lines = world.events[honest & (kind(world) == "purchase").to_numpy()]
        by_user = lines.assign(paid=lines["price"].astype(float) * lines["quantity"]).groupby(
            "user_id", observed=True
        )
        orders = by_user["order_id"].nunique().reindex(truth.index, fill_value=0)
        assert (orders == truth[f"orders{arm}"]).all()
        spend = by_user["paid"].sum().reindex(truth.index, fill_value=0.0)
        assert np.allclose(spend, truth[f"spend{arm}"])
    assert truth["orders1"].sum() > truth["orders0"].sum()


def test_the_response_depends_on_carts_views_and_fatigue_that_the_log_shows():
    """A logistic regression on what stood in the log before each offer finds all three."""
    settings = {
        **SETTINGS,
        "coupons.every": 9,
        "coupons.cart": 2.0,
        "coupons.views": 1.5,
        "coupons.fatigue": 1.5,
    }
    log = simulator.simulate("shop", users=4_000, days=50, seed=3, settings=settings)
    rows = log.events.assign(kind=kind(log), user=log.events["user_id"].astype(str))
    ordered = (rows["kind"] == "purchase").groupby(rows["user"]).cumsum()
    since_order = [rows["user"], ordered]
    views = (rows["kind"] == "view_item").groupby(since_order).cumsum()
    carts = (rows["kind"] == "add_to_cart").groupby(since_order).cumsum() > 0
    treated = (rows["kind"] == "coupon_offer") & (rows["discount"] > 0)
    before = treated.groupby(rows["user"]).cumsum() - treated
    offers = rows["kind"] == "coupon_offer"
    x = np.column_stack([carts[offers], np.log1p(views[offers]), before[offers]]).astype(float)
    truth = log.truth["coupons"]
    at = rows[offers].merge(
        truth.assign(user=truth["user_id"].astype(str), coupon_id=truth["coupon_id"].astype(str)),
        left_on=["user", rows.loc[offers, "coupon_id"].astype(str)],
        right_on=["user", "coupon_id"],
        validate="1:1",
    )
    gain = (at["y1"].astype(int) - at["y0"].astype(int)).to_numpy() > 0
    assert len(gain) == len(x)
    slope = LogisticRegression().fit((x - x.mean(0)) / x.std(0), gain).coef_[0]
    assert slope[0] > 0
    assert slope[1] > 0
    assert slope[2] < 0
