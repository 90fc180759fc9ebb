from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.coupons import coupon_log, email_log

from benchmark.evaluation import leakage
from benchmark.execution import runner
from benchmark.execution.results import Store
from benchmark.report import leaderboard
from benchmark.task import NotApplicable, TaskData
from benchmark.tasks.uplift import Uplift
from eventlog import EventLog
from eventlog.log import to_ms


@pytest.fixture(scope="module")
def log() -> EventLog:
    return coupon_log()


def prepared(log: EventLog, **settings) -> TaskData:
    task = Uplift(**settings)
    return task.prepare(log, log, task.split(log))


def test_questions_are_those_of_a_loop(log: EventLog) -> None:
    data, split = prepared(log), Uplift.split(log)
    window, bought = pd.Timedelta(days=5), log.events[log.events["event"] == "purchase"]
    expected = {"train": {}, "test": {}}
    for offer in log.events[log.events["event"] == "coupon_offer"].itertuples():
        times = bought.loc[bought["user_id"] == offer.user_id, "timestamp"]
        answer = (
            float(times.between(offer.timestamp, offer.timestamp + window).any()),
            float(offer.discount > 0),
        )
        if offer.timestamp + window < split.cut:
            expected["train"][offer.event_id] = answer
        elif (
            offer.timestamp >= split.cut
            and offer.timestamp + window <= split.end
            and offer.coupon_id != "coupon_1"
        ):
            expected["test"][offer.event_id] = answer
    for name, parts in (("train", [data.train, data.valid]), ("test", [data.test])):
        found = {
            int(p.sequences.event_id[p.queries.end[i]]): (float(p.target[i]), float(p.treatment[i]))
            for p in parts
            for i in range(len(p))
        }
        assert found == expected[name]
    assert not set(data.valid.queries.user) & set(data.train.queries.user)


def test_whether_an_offer_is_a_ghost_is_not_to_be_seen(log: EventLog) -> None:
    data = prepared(log)
    for part in (data.train, data.valid, data.test):
        offer = part.sequences.event_id[part.queries.end]
        known = part.queries.end - 1
        assert (part.sequences.time[part.queries.end] == part.queries.time).all()
        mine = known >= part.sequences.offsets[part.queries.user]
        assert (part.sequences.event_id[known][mine] != offer[mine]).all()


def test_the_true_effect_stands_beside_its_question(log: EventLog) -> None:
    data = prepared(log)
    truth = log.truth["coupons"].set_index(["user_id", "coupon_id"])
    for i in range(0, len(data.test), 7):
        user = data.test.sequences.users[data.test.queries.user[i]]
        row = truth.loc[(user, "coupon_2")]
        assert data.effect[i] == float(row["y1"]) - float(row["y0"])
        assert to_ms(row["offered_at"]) == data.test.queries.time[i]
    assert prepared(dataclasses.replace(log, truth={})).effect is None


def test_targeted_campaigns_may_be_left_out_of_training(log: EventLog) -> None:
    everything, randomised = prepared(log), prepared(log, randomised_only=True)
    assert len(randomised.train) < len(everything.train)
    assert len(randomised.test) == len(everything.test)


def test_what_is_missing_is_told(log: EventLog) -> None:
    without = dataclasses.replace(
        log, events=log.events[log.events["event"] != "coupon_offer"].reset_index(drop=True)
    )
    with pytest.raises(NotApplicable, match="no coupon_offer rows"):
        prepared(without)
    with pytest.raises(NotApplicable, match="ghost offers"):
        prepared(log, min_arm=10_000)


def test_learners_are_ranked_below_the_oracle(log: EventLog, tmp_path: Path) -> None:
    folder = log.write(tmp_path / "shop")
    outcome = runner.run_suite(
        "uplift",
        log=folder,
        models=["s_learner", "t_learner"],
        out=tmp_path / "out",
        engine_name="serial",
    )
    assert not outcome.failed
    store = Store(tmp_path / "out")
    found = {
        r["label"]["model"]: r["metrics"]
        for r in store.records
        if r["kind"] in ("model", "reference") and r["status"] == "ok"
    }
    assert found["ceiling:clairvoyant"]["qini"] > found["t_learner"]["qini"] > 0.02
    average = np.mean(log.truth["coupons"]["y1"]) - np.mean(log.truth["coupons"]["y0"])
    assert found["t_learner"]["true_uplift@20%"] > 1.5 * average
    page = leaderboard.write(store, tmp_path, plots=False).read_text()
    assert "### Uplift on `shop`" in page
    assert "true_uplift@20%" in page


# --- offers at one time ---------------------------------------------------------------------------


def test_a_test_of_one_email_divides_users() -> None:
    log = email_log()
    data = prepared(log)
    assert data.split_by == "user"
    leakage.check(Uplift(), data, log, log, Uplift.split(log))
    offer = log.events[log.events["event"] == "coupon_offer"].set_index("user_id")
    sent = to_ms(offer["timestamp"].iloc[0])
    bought = set(log.events.loc[log.events["event"] == "purchase", "user_id"].astype(str))
    users = []
    for part in (data.train, data.valid, data.test):
        names = part.sequences.users[part.queries.user].astype(str)
        users.append(set(names))
        assert (part.queries.time == sent).all()
        assert (part.treatment == (offer.loc[names, "discount"] > 0).to_numpy()).all()
        answers = np.array([n in bought for n in names])
        window = part.target.astype(bool)
        assert (answers >= window).all() and 0 < window.sum() < answers.sum()  # 7 of 14 days
        known = np.where(part.queries.end > part.sequences.offsets[part.queries.user])[0]
        assert (part.sequences.time[part.queries.end[known] - 1] < sent).all()
    assert sum(map(len, users)) == len(set.union(*users)) == len(offer)
    assert 0.25 < len(users[2]) / len(offer) < 0.42
    assert (data.train.sequences.time < sent).all()


def test_nothing_that_happens_after_the_offer_is_learnt_but_the_answer() -> None:
    log = email_log()
    other = dataclasses.replace(log, events=log.events.copy())
    late = (log.events["event"] == "purchase").to_numpy()
    other.events.loc[late, "item_id"] = "i1"
    other.events["price"] = np.where(late, 99.0, np.nan).astype(np.float32)
    one, two = prepared(log), prepared(dataclasses.replace(other))
    assert "price" not in one.encoder.scales
    assert two.encoder.scales["price"] == (False, 0.0, 1.0)  # no price is known
    assert (one.train.target == two.train.target).all()
    assert (one.train.sequences.event_id == two.train.sequences.event_id).all()


def test_learners_find_who_is_moved_by_an_email(tmp_path: Path) -> None:
    log = email_log(users=2_000)
    data = prepared(log, window_days=14.0)
    from baselines.models.uplift.t_learner import TLearner

    model = TLearner()
    model.fit(data.train, data.valid, encoder=data.encoder, seed=0)
    scored = Uplift().judge(model.score(data.test.sequences, data.test.queries), data)
    assert scored.metrics["qini"] > 0.02
    alone = TLearner()
    alone.fit(data.train, None, encoder=data.encoder, seed=0)
    one, two = (m.score(data.test.sequences, data.test.queries) for m in (model, alone))
    assert not np.allclose(one, two)  # the validation part is learnt from, too


def test_a_log_that_was_learnt_from_all_users_is_refused() -> None:
    log, twin = email_log(), email_log(seed=1)
    task = Uplift()
    with pytest.raises(NotApplicable, match="users are divided"):
        task.prepare(twin, log, task.split(log))
    bare = dataclasses.replace(
        log, events=log.events[log.events["event"] != "view_item"].reset_index(drop=True)
    )
    with pytest.raises(NotApplicable, match="nothing is known"):
        prepared(bare)
