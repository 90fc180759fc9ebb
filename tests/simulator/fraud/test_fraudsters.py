"""Who the fraudsters are, what they plan, and how often."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simulator
from simulator import scenario
from simulator.fraud import fraudsters
from simulator.fraud.base import AttackHistory, Attacks
from simulator.fraud.equipment import renewed
from simulator.fraud.fraudsters import drawn
from simulator.sections import Fraud

PAYMENT = [t.name for t in fraudsters.TYPOLOGIES if t.of == "payment"]


@pytest.fixture(scope="module")
def rows(fraud_log):
    """Events with their typology ("" = honest), ring and victim."""
    truth = fraud_log.truth["events"]
    return fraud_log.events.assign(
        kind=fraud_log.events["event"].astype(str),
        fraud=truth["fraud"].astype(object).fillna("").to_numpy(),
        ring=truth["ring"].to_numpy(),
        victim=truth["victim"].to_numpy(),
        user=fraud_log.events["user_id"].astype(str),
    )


def orders_of(rows):
    return rows[rows["kind"] == "purchase"].drop_duplicates("order_id")


def test_every_typology_occurs_with_its_ring_and_victim(rows):
    assert set(rows["fraud"]) == {"", *fraudsters.NAMES}
    assert (rows["ring"].notna() == (rows["fraud"] != "")).all()
    with_victim = [t.name for t in fraudsters.TYPOLOGIES if t.victim]
    taken = rows[rows["victim"].notna()]
    assert taken["fraud"].isin(with_victim).all()
    assert (taken["victim"].astype(str) == taken["user"]).all()
    assert rows.loc[rows["fraud"].isin(with_victim), "victim"].notna().all()
    assert (rows.groupby("session_id", observed=True)["fraud"].nunique() == 1).all()


def test_a_ring_shares_devices_and_cards(rows):
    stolen = rows[rows["fraud"].isin(["stolen_card", "coupon_abuse"])]
    users = (
        stolen[stolen["device"].duplicated(keep=False)]
        .groupby("device", observed=True)["user"]
        .nunique()
    )
    assert users.max() > 1
    shared = stolen.groupby("payment_method", observed=True)["user"].nunique()
    assert shared.max() > 1


def test_a_coupon_account_serves_once_and_first(rows):
    abuse = orders_of(rows)[orders_of(rows)["fraud"] == "coupon_abuse"]
    assert abuse["user"].is_unique
    honest = orders_of(rows)[orders_of(rows)["fraud"] == ""].groupby("user")["timestamp"].min()
    first = honest.reindex(abuse["user"]).to_numpy()
    # It is planned for a new customer; an order of the account's own on that very day may come in
    # between.
    assert (
        np.mean(pd.isna(first) | (first > (abuse["timestamp"] - pd.Timedelta(days=1)).to_numpy()))
        > 0.95
    )


def test_who_abuses_refunds_claims_nearly_every_order_and_does_it_again(rows):
    orders = orders_of(rows)
    abuse, refunded = (
        orders[orders["fraud"] == "refund_abuse"],
        set(rows.loc[rows["kind"] == "refund", "order_id"]),
    )
    old = abuse[abuse["timestamp"] < rows["timestamp"].max() - pd.Timedelta(days=22)]
    assert 0.55 < old["order_id"].isin(refunded).mean() <= 1
    assert orders.loc[orders["fraud"] == "", "order_id"].isin(refunded).mean() < 0.25
    claims = rows[(rows["kind"] == "refund") & (rows["fraud"] == "refund_abuse")]
    assert set(claims["order_id"]) <= set(abuse["order_id"])
    assert abuse["user"].duplicated().mean() > 0.2


def test_fake_reviews_praise_what_was_hardly_looked_at(rows):
    reviews = rows[rows["kind"] == "review"]
    fake = reviews["fraud"] == "fake_review"
    paid, honest = (reviews.loc[who, "rating"].to_numpy(float) for who in (fake, ~fake))
    by_chance = 2 * np.sqrt(paid.var() / len(paid) + honest.var() / len(honest))
    assert paid.mean() > honest.mean() + 0.05 - by_chance
    assert (paid <= 2).mean() < (honest <= 2).mean()
    assert reviews["order_id"].isna().all()
    bought = set(
        zip(
            *rows.loc[rows["kind"] == "purchase", ["user", "item_id"]].astype(str).to_numpy().T,
            strict=True,
        )
    )
    had = np.array(
        [
            pair in bought
            for pair in zip(reviews["user"], reviews["item_id"].astype(str), strict=True)
        ]
    )
    assert had[fake].mean() < 0.5 < had[~fake].mean() < 0.97
    paid_for = reviews[fake & ~had]["item_id"].astype(str)
    assert (
        paid_for.duplicated().mean()
        > reviews[~fake]["item_id"].astype(str).head(len(paid_for)).duplicated().mean() + 0.1
    )


def test_bots_open_many_items_fast_and_put_none_into_the_cart(rows):
    bots = rows[rows["fraud"] == "scraping_bot"]
    assert set(bots["kind"]) == {"view_item", "search"}
    honest = rows[(rows["fraud"] == "") & (rows["kind"] == "view_item")]

    def pace(frame):
        return (
            frame.groupby("session_id", observed=True)["timestamp"]
            .diff()
            .dt.total_seconds()
            .median()
        )

    def length(frame):
        return frame.groupby("session_id", observed=True).size().mean()

    def evenness(frame):
        gaps = np.log(
            frame.groupby("session_id", observed=True)["timestamp"].diff().dt.total_seconds()
        )
        return gaps.groupby(frame["session_id"], observed=True).std().median()

    views = bots[bots["kind"] == "view_item"]
    assert pace(views) < 0.6 * pace(honest)
    assert evenness(views) < 0.8 * evenness(honest)
    assert length(bots) > 4 * length(honest)
    assert 0.06 < (rows["fraud"] == "scraping_bot").mean() < 0.14


def test_a_takeover_mistypes_passwords_moves_the_address_and_hurries(rows):
    sessions = rows.groupby("session_id", observed=True)
    kinds = sessions["kind"].agg(list)
    who, bought = sessions["fraud"].first(), kinds.map(lambda k: "purchase" in k)
    taken, honest = bought & (who == "account_takeover"), bought & (who == "")

    def share(of, kind):
        return kinds[of].map(lambda k: kind in k).mean()

    assert share(taken, "login_failed") > 3 * share(honest, "login_failed")
    assert share(taken, "change_address") > 3 * share(honest, "change_address") > 0
    views = kinds.map(lambda k: k.count("view_item"))
    assert views[taken].mean() < views[honest].mean()
    # the wrong passwords come first
    tried = kinds[taken & kinds.map(lambda k: "login_failed" in k)]
    assert (tried.map(lambda k: k[0]) == "login_failed").all()


def test_cards_are_tested_in_bursts_with_rising_amounts():
    settings = {
        "fraud.share": 0.15,
        "fraud.stolen_card": 0.0,
        "fraud.account_takeover": 0.0,
        "fraud.mimicry": 0.0,
        "fraud.burst": 5.0,
        "fraud.burst_rise": 2.0,
        "fraud.accounts": 0.1,
    }
    log = simulator.simulate("shop", users=3_000, days=30, seed=4, settings=settings)
    rows = log.events.assign(kind=log.events["event"].astype(str))
    tests = rows[(log.truth["events"]["fraud"].astype(object) == "card_testing").to_numpy()]
    carts = tests[tests["kind"] == "add_to_cart"].groupby("session_id", observed=True)
    session = carts.agg(
        user=("user_id", "first"), time=("timestamp", "first"), amount=("price", "sum")
    ).sort_values(["user", "time"])
    minutes = session.groupby("user", observed=True)["time"].diff().dt.total_seconds() / 60
    later = minutes < 60
    assert later.mean() > 0.4
    assert session["amount"][later].median() > 1.3 * session["amount"][~later].median()
    refused = (tests["kind"] == "payment_failed").sum()
    assert refused > 2 * (tests["kind"] == "add_payment_info").sum() * 0.75


def test_with_mimicry_devices_say_nothing(rows):
    """An account's first session on a device: a takeover's as often as an honest order's."""
    settings = {"fraud.share": 0.3, "fraud.mimicry": 1.0, "fraud.accounts": 0.1}
    log = simulator.simulate("shop", users=3_000, days=40, seed=8, settings=settings)
    rows = log.events.assign(
        kind=log.events["event"].astype(str),
        fraud=log.truth["events"]["fraud"].astype(object).fillna("").to_numpy(),
    )
    seen = rows.groupby(["user_id", "device"], observed=True)["session_id"].transform("first")
    orders = rows[rows["kind"] == "purchase"].drop_duplicates("order_id")
    orders = orders[orders["timestamp"] > log.time_at(0.4)]
    first = (seen.loc[orders.index].astype(str) == orders["session_id"].astype(str)).to_numpy()
    taken, honest = (orders["fraud"] == name for name in ("account_takeover", ""))
    assert taken.sum() > 50
    auc = 0.5 + 0.5 * (first[taken].mean() - first[honest].mean())
    assert abs(auc - 0.5) < 0.1


def test_accounts_with_fraud_have_honest_rows_too(rows):
    honest = set(rows.loc[rows["fraud"] == "", "user"])
    for name in fraudsters.NAMES:
        accounts = rows.loc[rows["fraud"] == name, "user"].unique()
        assert np.mean([u in honest for u in accounts]) > 0.85, name


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    days=st.sampled_from([1, 7, 30, 60]),
    share=st.sampled_from([0.01, 0.02, 0.05, 0.1]),
    refunds=st.sampled_from([0.0, 0.05]),
    seed=st.integers(0, 1_000),
)
def test_the_share_of_fraud_is_that_of_the_scenario_at_any_length(days, share, refunds, seed):
    """To within a tenth, and where orders are few to within two and those of the last minutes."""
    log = simulator.simulate(
        "shop",
        users=max(36_000 // days, 1_200),
        days=days,
        seed=seed,
        settings={"fraud.share": share, "fraud.refund_abuse": refunds, "fraud.accounts": 0.1},
    )
    truth = log.truth["events"]["fraud"].astype(object).fillna("").to_numpy()
    kind = orders_of(log.events.assign(kind=log.events["event"].astype(str), fraud=truth))["fraud"]
    assert len(kind) > 80
    assert abs(kind.isin(PAYMENT).sum() - share * len(kind)) < max(0.1 * share * len(kind), 2.5)
    assert abs((kind == "refund_abuse").sum() - refunds * len(kind)) < max(
        0.1 * refunds * len(kind), 2.0
    )


def test_without_shares_there_is_no_fraud():
    shares = {"share", "refund_abuse", "coupon_abuse", "fake_review", "scraping_bot"}
    off = {f"fraud.{name}": 0.0 for name in shares}
    # What has a share of its own and no setting cannot be switched off.
    left = [t.name for t in fraudsters.TYPOLOGIES if t.share > 0 and not hasattr(Fraud(), t.name)]
    log = simulator.simulate("shop", users=200, days=20, seed=1, settings=off)
    assert set(log.truth["events"]["fraud"].dropna()) <= set(left)
    assert left or log.truth["users"]["ring"].isna().all()
    assert left or len(log.labels) == 0


def test_mimicry_makes_it_harder():
    def away_from_home(mimicry):
        log = simulator.simulate(
            "shop",
            users=2_000,
            days=30,
            seed=6,
            settings={"fraud.share": 0.15, "fraud.accounts": 0.1, "fraud.mimicry": mimicry},
        )
        bad = log.truth["events"]["fraud"].isin(PAYMENT).to_numpy()
        home = log.users.set_index("user_id")["country"].astype(str)
        away = (
            log.events["country"].astype(str).to_numpy()
            != home.loc[log.events["user_id"]].to_numpy()
        )
        return away[bad].mean()

    assert away_from_home(0.0) > 0.3 > 0.15 > away_from_home(1.0)


def test_shares_of_payment_fraud_are_its_weights():
    setting = scenario.load(
        "shop",
        {
            "fraud.share": 0.1,
            "fraud.stolen_card": 0.2,
            "fraud.account_takeover": 0.2,
            "fraud.card_testing": 0.6,
        },
    )
    share = dict(zip(fraudsters.NAMES, fraudsters.shares(setting.fraud), strict=True))
    assert share["card_testing"] == pytest.approx(0.06)
    assert sum(share[name] for name in PAYMENT) == pytest.approx(0.1)


@given(
    ring=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    fresh=st.data(),
    used=st.lists(st.integers(-1, 20), min_size=4, max_size=4),
)
def test_a_ring_goes_on_with_its_newest_device(ring, fresh, used):
    """Against a plain loop over the attacks."""
    renew = fresh.draw(st.lists(st.booleans(), min_size=len(ring), max_size=len(ring)))
    now, free, expected, code = list(used), 100, [], 100
    for r, new in zip(ring, renew, strict=True):
        if new:
            now[r], code = code, code + 1
        expected.append(now[r])
    state = np.array(used)
    got, after = renewed(state, np.array(ring), np.array(renew), free)
    assert got.tolist() == expected
    assert after == code
    assert state.tolist() == now


def test_attacks_keep_their_types():
    both = Attacks.none().pad(2)
    assert len(both) == 2
    assert both.typology.dtype == np.int8
    assert len(both.take(np.array([True, False]))) == 1


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=8))
def test_attacks_keep_their_numbers(sizes):
    """Against lists, for any number of parts of any size."""
    history, expected, given_ = AttackHistory(), [], 0
    for parts in sizes:
        attacks = []
        for n in parts:
            attacks.append(Attacks.none().pad(n))
            attacks[-1].user[:] = np.arange(given_, given_ + n)
            given_ += n
        numbers = history.extend(attacks)
        expected += numbers.tolist()
    assert expected == list(range(given_)) == history.written.user.tolist()
    assert len(history) == given_


@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=20), st.integers(0, 40))
def test_draws_are_those_of_choice(weight, n):
    weight = np.array(weight)
    expected = np.random.default_rng(3).choice(len(weight), n, p=weight / weight.sum())
    assert drawn(np.random.default_rng(3), weight, n).tolist() == expected.tolist()
