import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simulator
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import read_json
from eventlog.log import EventLog
from eventlog.schema import COLUMNS
from simulator.output import arrow_columns, shards
from simulator.scenario import load

DAY = pd.Timedelta(days=1)


def digests(folder):
    return {
        name: entry["sha256"]
        for name, entry in read_json(folder / "manifest.json")["files"].items()
    }


def test_same_seed_same_bytes_for_any_number_of_workers(tmp_path, monkeypatch):
    many = {
        "shoppers.visits": 20.0,
        "catalogue.items": 120,
        "catalogue.categories": 6,
        "coupons.every": 4,
        "coupons.days": 2,
        "coupons.window": 1.0,
    }
    given_ = {"users": 240, "days": 12, "seed": 11, "settings": many}
    # read by the parent only: the cut is part of each task
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 100_000)
    one = digests(simulator.run("small", out=tmp_path / "one", **given_))
    two = digests(simulator.run("small", out=tmp_path / "two", workers=2, **given_))
    other = digests(simulator.run("small", out=tmp_path / "other", **{**given_, "seed": 12}))
    assert len([n for n in one if n.startswith("events/")]) > 1
    assert one == two
    assert all(one[name] != other[name] for name in one)


def test_the_shop_does_not_depend_on_the_size_of_the_population():
    few, many = (simulator.simulate("small", users=n, days=3, seed=4).items for n in (5, 50))
    pd.testing.assert_frame_equal(few, many)


def test_simulate_and_run_give_the_same_log(tmp_path):
    arguments = {"users": 60, "days": 15, "seed": 2}
    held, written = (
        simulator.simulate("small", **arguments),
        EventLog.read(simulator.run("small", out=tmp_path / "log", **arguments)),
    )
    assert held.truth.keys() == written.truth.keys()
    for a, b in (
        (held.events, written.events),
        (held.labels, written.labels),
        (held.users, written.users),
        (held.items, written.items),
        *((held.truth[k], written.truth[k]) for k in held.truth),
    ):
        assert list(a.columns) == list(b.columns)
        for name in a:
            x, y = (f[name].astype(object).where(f[name].notna(), None).tolist() for f in (a, b))
            assert x == y, name


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    users=st.integers(1, 120),
    days=st.integers(1, 30),
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.1, 0.4]),
    refund=st.sampled_from([0.0, 0.2, 0.9]),
    mimicry=st.sampled_from([0.0, 1.0]),
    slate=st.sampled_from([4, 12]),
    present=st.sampled_from([0.0, 0.6, 1.0]),
)
def test_what_must_hold_in_every_log(users, days, seed, share, refund, mimicry, slate, present):
    log = simulator.simulate(
        "small",
        users=users,
        days=days,
        seed=seed,
        settings={
            "fraud.share": share,
            "checkout.refund": refund,
            "fraud.mimicry": mimicry,
            "sessions.slate": slate,
            "shoppers.present": present,
            "checkout.cart": -1.0,
            "shoppers.visits": 0.5,
        },
    )
    events, truth = log.events, log.truth
    assert set(events.columns) <= {*COLUMNS, "device_type", "logged_in"}
    assert (events["timestamp"] < pd.Timestamp("2025-01-06", tz="UTC") + days * DAY).all()
    assert events["event_id"].is_monotonic_increasing
    assert events["event_id"].is_unique
    assert (truth["events"]["event_id"].to_numpy() == events["event_id"].to_numpy()).all()
    assert len(log.users) == users
    assert log.users["user_id"].is_unique
    assert events["user_id"].isin(log.users["user_id"]).all()
    assert events["item_id"].dropna().isin(log.items["item_id"]).all()
    assert (events["price"].dropna() > 0).all()
    assert events["rating"].dropna().between(1, 5).all()
    # users stand together, in time; sessions are contiguous and belong to one user
    code = events["user_id"].cat.codes.to_numpy()
    time = events["timestamp"].astype("int64").to_numpy()
    same = code[1:] == code[:-1]
    assert len(np.unique(code)) == (~same).sum() + (len(code) > 0)
    assert (np.diff(time)[same] >= 0).all()
    session = events["session_id"].cat.codes.to_numpy()
    assert len(np.unique(session)) == (session[1:] != session[:-1]).sum() + (len(session) > 0)
    assert (events.groupby("session_id", observed=True)["user_id"].nunique() == 1).all()
    # nobody acts before the first day as a customer or after death
    life = truth["users"].set_index("user_id").loc[events["user_id"]]
    first_day = pd.Timestamp("2025-01-06", tz="UTC")
    assert events["timestamp"].between(first_day, first_day + pd.Timedelta(days=days)).all()
    # who joins during the log signs up first; what others do may have begun before it
    opened = log.users.set_index("user_id")["signup"].loc[events["user_id"]]
    is_new = (opened >= first_day).to_numpy()
    signs_up = events["event"].astype(str).to_numpy() == "sign_up"
    first_row = ~events["user_id"].duplicated().to_numpy()
    assert (signs_up == (first_row & is_new)).all()
    assert (events["timestamp"].to_numpy() == opened.to_numpy())[signs_up].all()
    floor = pd.Timedelta(milliseconds=1)
    assert (events["timestamp"].to_numpy() >= (life["born"] - floor).to_numpy())[
        life["born"].notna().to_numpy()
    ].all()
    gone = life["died"].notna().to_numpy()
    assert (events["timestamp"].to_numpy() <= (life["died"] + floor).to_numpy())[gone].all()
    assert (truth["users"]["died"].isna() == truth["users"]["reason"].isna()).all()
    # refunds follow a purchase of the same user, order and item; a review follows a look at the
    # item
    kind = events["event"].astype(str).to_numpy()
    bought = events[kind == "purchase"].assign(
        order=lambda f: f["order_id"].astype(str), item=lambda f: f["item_id"].astype(str)
    )
    after = events[(kind == "refund") & is_new]
    reviewed = events[kind == "review"]
    viewed = set(
        zip(
            code[kind == "view_item"],
            events["item_id"].astype(str)[kind == "view_item"],
            strict=True,
        )
    )
    assert set(zip(code[kind == "review"], reviewed["item_id"].astype(str), strict=True)) <= viewed
    after = after.assign(order=after["order_id"].astype(str), item=after["item_id"].astype(str))
    assert bought["order_id"].notna().all()
    joined = after.merge(
        bought.drop_duplicates(["order", "item"]),
        on=["order", "item"],
        suffixes=("", "_bought"),
        how="left",
    )
    assert (joined["timestamp"] > joined["timestamp_bought"]).all()
    assert (joined["user_id"].astype(str) == joined["user_id_bought"].astype(str)).all()
    assert not after.duplicated(["order", "item"]).any()
    # a purchase comes out of a checkout with a payment in the same session; what is bought was put
    # into a cart
    per_session = pd.crosstab(session, kind)
    if "purchase" in per_session:
        paying = per_session[per_session["purchase"] > 0]
        orders = bought.groupby(session[kind == "purchase"])["order"].nunique()
        assert (paying["begin_checkout"] >= orders.loc[paying.index]).all()
        assert (paying["add_payment_info"] >= orders.loc[paying.index]).all()
    carted = set(
        zip(
            code[kind == "add_to_cart"],
            events["item_id"].astype(str)[kind == "add_to_cart"],
            strict=True,
        )
    )
    assert (
        set(
            zip(
                code[(kind == "purchase") & is_new],
                events["item_id"].astype(str)[(kind == "purchase") & is_new],
                strict=True,
            )
        )
        <= carted
    )
    # labels point to what they are about, and come later than it
    labelled = log.labels.merge(events[["event_id", "event", "timestamp"]], on="event_id")
    assert len(labelled) == len(log.labels)
    about = {
        "fraud": "purchase",
        "coupon_abuse": "purchase",
        "refund_abuse": "refund",
        "fake_review": "review",
    }
    assert (labelled["event"].astype(str) == labelled["kind"].astype(str).map(about)).all()
    assert (labelled["known_at"] > labelled["timestamp"]).all()
    if share == 0:
        assert (
            not truth["events"]["fraud"]
            .isin(["stolen_card", "account_takeover", "card_testing"])
            .any()
        )


def test_numbers_out_of_range_are_refused(tmp_path):
    for wrong in ({"users": 0}, {"days": 0}, {"seed": -1}, {"workers": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            simulator.run(
                "small", **{"users": 5, "days": 2, "seed": 1, "out": tmp_path / "x", **wrong}
            )
    for start in ("0001-01-03", "9999-12-30"):
        with pytest.raises(InputError, match=f"calendar.start is {start}"):
            simulator.simulate("small", users=5, days=9, seed=1, settings={"calendar.start": start})
    with pytest.raises(InputError, match="at work on none of the 2 days"):
        simulator.simulate("small", users=5, days=2, seed=1, policy="random", policy_from=2)
    assert not list(tmp_path.iterdir())


@given(keys=st.lists(st.integers(0, 2**40), max_size=200))
def test_stable_order_is_a_stable_sort(keys):
    key = np.array(keys + keys, dtype=np.int64)
    assert (arrow_columns.stable_order(key) == np.argsort(key, kind="stable")).all()


@given(users=st.integers(1, 10**6), days=st.integers(1, 400), visits=st.floats(0.001, 20.0))
def test_shards_share_out_the_users_and_none_is_large(users, days, visits):
    scenario = load("shop", {"shoppers.visits": visits})
    tasks = shards.tasks(scenario, users=users, days=days, seed=1)
    sizes = [task.users for task in tasks]
    assert sum(sizes) == users
    assert max(sizes) <= min(sizes) + 1
    assert max(sizes) <= shards.USERS_PER_SHARD
