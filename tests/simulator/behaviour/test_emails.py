"""The shop's mails: what leads to what, who opens them, and that they move nobody."""

import numpy as np
import pandas as pd
import pytest

import simulator
from eventlog.check import check
from eventlog.log import EventLog
from simulator.output import shards
from simulator.truth.fraud_features import traces

SHOP = {"users": 1_200, "days": 30, "seed": 4}
LEAVING = {"churn.hazard": 0.06, "churn.win_back": 0.0, "churn.disengagement": 0.7}
BOTH = {"output.emails": True, "output.tags": True}


@pytest.fixture(scope="module")
def log():
    return simulator.simulate("shop", **SHOP, settings={**LEAVING, **BOTH})


def is_mail(log):
    return log.events["event"].astype(str).str.startswith("email_")


def times(log, event):
    """Times of the rows of an event, by mail; of several the first."""
    rows = log.events[log.events["event"].astype(str) == event]
    return rows.groupby(rows["email_id"].astype(str), sort=False)["timestamp"].first()


def begun(log):
    """The first row of each session."""
    rows = log.events[log.events["session_id"].notna()]
    return rows.drop_duplicates("session_id")


def test_all_other_rows_are_those_of_a_log_without_mails_and_tags(log):
    plain = simulator.simulate("shop", **SHOP, settings=LEAVING)
    rest = log.events[~is_mail(log)]
    for name in plain.events.columns.drop("event_id"):
        assert (rest[name].astype(str).to_numpy() == plain.events[name].astype(str)).all(), name
    assert (log.labels["known_at"].to_numpy() == plain.labels["known_at"].to_numpy()).all()
    for name in ("users", "coupons", "items"):
        pd.testing.assert_frame_equal(log.truth[name], plain.truth[name])
    assert not [f for f in check(log) if "role" in f.text]
    assert set(plain.manifest["event_names"]) == set(log.manifest["event_names"]) - {
        "email_sent",
        "email_opened",
        "email_clicked",
    }
    assert set(log.events.columns) - set(plain.events.columns) == {
        *("email_id", "email_kind", "referrer", "utm_source", "utm_medium", "utm_campaign")
    }


def test_a_mail_is_sent_then_opened_then_clicked(log):
    sent, opened, clicked = (times(log, f"email_{what}") for what in ("sent", "opened", "clicked"))
    truth = log.truth["emails"].set_index(log.truth["emails"]["email_id"].astype(str))
    first_day = pd.Timestamp("2025-01-06", tz="UTC")
    # What is opened was sent in the log, or in the days before it.
    assert (truth.loc[opened.index.difference(sent.index), "sent_at"] < first_day).all()
    both = opened.index.intersection(sent.index)
    assert (opened[both] > sent[both]).all()
    assert (truth.loc[both, "opened_at"] == opened[both]).all()
    both = clicked.index.intersection(opened.index)
    assert (clicked[both] > opened[both]).all()
    assert (truth.loc[clicked.index.difference(both), "opened_at"] < first_day).all()
    mails = log.events[is_mail(log)]
    assert mails["session_id"].isna().all() and mails["channel"].isna().all()
    assert mails["device"].isna().all() and mails["item_id"].isna().all()
    assert mails["email_id"].notna().all() and mails["email_kind"].notna().all()


def test_each_visit_by_mail_of_a_known_shopper_follows_a_click(log):
    by_mail = begun(log).query("channel == 'email'")
    joined = log.users.set_index("user_id")["signup"].loc[by_mail["user_id"]].to_numpy()
    known = by_mail[by_mail["timestamp"].to_numpy() > joined]
    clicks = log.events[log.events["event"].astype(str) == "email_clicked"]
    found = pd.merge_asof(
        known[["timestamp", "user_id", "session_id"]].sort_values("timestamp"),
        clicks[["timestamp", "user_id", "email_kind"]]
        .assign(clicked=clicks["timestamp"])
        .sort_values("timestamp"),
        on="timestamp",
        by="user_id",
    )
    # The first row of a session may come some time after its first page.
    wait = (found["timestamp"] - found["clicked"]).dt.total_seconds()
    assert found["clicked"].notna().mean() > 0.99
    assert wait.median() < 120
    other = by_mail[by_mail["timestamp"].to_numpy() <= joined]
    assert (other["utm_source"] == "partner").all()
    assert len(clicks) >= len(known) * 0.99


def test_mails_stay_unopened_before_a_shopper_leaves(log):
    mails = log.truth["emails"]
    mails = mails[mails["kind"] == "newsletter"]
    opened = mails["opened_at"].notna()
    engaged, leaving, gone = (
        opened[kind].mean()
        for kind in (
            mails["engagement"] == 1,
            mails["engagement"].between(0.1, 0.6),
            mails["engagement"] == 0,
        )
    )
    assert gone == 0
    assert 0 < leaving < 0.6 * engaged
    # Of those who leave: on the way out, and before.
    users = log.truth["users"].set_index("user_id").loc[mails["user_id"]].reset_index()
    mails, opened = mails.reset_index(), opened.reset_index(drop=True)
    left = mails["sent_at"] < users["died"]
    on_the_way = left & (mails["sent_at"] > users["leaving_since"])
    before = left & (mails["sent_at"] <= users["leaving_since"])
    assert opened[on_the_way].mean() < 0.75 * opened[before].mean()


def test_openings_come_with_their_stated_probabilities(log):
    idle = log.truth["emails"].query("visits == 0")
    end = idle["sent_at"].max() - pd.Timedelta(days=25)  # later ones may be opened after the log
    idle = idle[idle["sent_at"] < end]
    opened = idle["opened_at"].notna()
    expected, sd = idle["p_open"].sum(), np.sqrt((idle["p_open"] * (1 - idle["p_open"])).sum())
    assert abs(opened.sum() - expected) < 4 * sd + 0.03 * expected  # some take over 25 days
    for group, mine in idle.groupby(pd.qcut(idle["p_open"], 4, duplicates="drop"), observed=True):
        assert abs(mine["opened_at"].notna().mean() - mine["p_open"].mean()) < 0.05, group


def test_open_and_click_rates_are_like_published_ones():
    log = simulator.simulate("shop", users=1_500, days=20, seed=9, settings=BOTH)
    mails = log.truth["emails"].groupby("kind", observed=True)
    opened = mails["opened_at"].agg(lambda at: at.notna().mean())
    assert 0.2 < opened["newsletter"] < 0.26  # GetResponse 2019: 20 %, in Europe 26 %
    assert opened["welcome"] > 0.35  # triggered mails: 44 %
    clicked = mails["visits"].agg(lambda n: (n > 0).mean())
    assert 0.028 < clicked["newsletter"] < 0.047  # the same source
    sent, read = times(log, "email_sent"), times(log, "email_opened")
    hours = (read - sent.reindex(read.index)).dropna().dt.total_seconds() / 3_600
    assert 0.1 < (hours < 1).mean() < 0.35 and 0.4 < (hours < 6).mean() < 0.65


def test_a_reminder_is_about_a_coupon_in_hand(log):
    reminders = log.events[
        (log.events["event"].astype(str) == "email_sent") & (log.events["email_kind"] == "coupon")
    ]
    coupons = log.truth["coupons"].set_index(["user_id", "coupon_id"])
    about = coupons.loc[list(zip(reminders["user_id"], reminders["coupon_id"], strict=True))]
    assert len(reminders) > 20 and about["treated"].all()
    assert (about["offered_at"].to_numpy() < reminders["timestamp"].to_numpy()).all()
    redeemed = log.events[log.events["event"].astype(str) == "coupon_redeem"]
    used = redeemed.set_index(["user_id", "coupon_id"])["timestamp"]
    used = used[~used.index.duplicated()]
    when = used.reindex(about.index)
    assert (when.isna() | (when.to_numpy() > reminders["timestamp"].to_numpy())).all()


def test_segments_open_differently():
    def rates(settings):
        log = simulator.simulate("small", users=600, days=20, seed=2, settings=BOTH | settings)
        mails = log.truth["emails"].query("kind == 'newsletter' and visits == 0")
        users = log.users.set_index("user_id").loc[mails["user_id"]]
        won = (users["acquisition"] == "email").to_numpy()
        before = log.truth["users"].set_index("user_id")["orders_before"].loc[mails["user_id"]]
        return (mails["p_open"][won].mean(), mails["p_open"][~won].mean()), (
            mails["p_open"][(before > 0).to_numpy()].mean(),
            mails["p_open"][(before == 0).to_numpy()].mean(),
        )

    same = {"emails.open_sigma": 0.0, "emails.customers_open": 0.0, "emails.won_open": 0.0}
    (won, others), _ = rates(same | {"emails.won_open": 2.0})
    assert won > 2 * others
    _, (customers, prospects) = rates(same | {"emails.customers_open": 2.0})
    assert customers > 1.5 * prospects


def test_mails_are_the_same_for_any_number_of_workers_and_when_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS_PER_SHARD", 400)
    given = {"users": 90, "days": 12, "seed": 3, "settings": BOTH}
    one = EventLog.read(simulator.run("small", out=tmp_path / "one", **given))
    two = EventLog.read(simulator.run("small", out=tmp_path / "two", workers=2, **given))
    held = simulator.simulate("small", **given)
    files = ({n: e["sha256"] for n, e in log.manifest["files"].items()} for log in (one, two))
    assert next(files) == next(files)
    assert len({n for n in one.manifest["files"] if n.startswith("events/")}) > 1
    for name in ("email_id", "utm_campaign"):
        assert (held.events[name].astype(str) == one.events[name].astype(str)).all()
    assert held.truth["emails"]["email_id"].is_unique


def test_the_oracle_of_fraud_reads_a_log_with_mails_as_one_without():
    fraud = {"fraud.share": 0.1, "checkout.cart": -1.0, "checkout.begin": -1.0}
    plain, mailed = (
        traces(simulator.simulate("small", users=150, days=20, seed=5, settings=fraud | more))
        for more in ({}, BOTH)
    )
    pd.testing.assert_frame_equal(mailed.table, plain.table)
    np.testing.assert_array_equal(mailed.kind, plain.kind)
