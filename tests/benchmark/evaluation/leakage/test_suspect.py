"""Leaks planted in a simulated log are suspected, wherever they lie; a clean log is not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from fixtures import planted

import simulator
from benchmark.evaluation.leakage import suspect
from benchmark.task import Task
from benchmark.tasks.churn import Churn
from benchmark.tasks.fraud import Fraud
from benchmark.tasks.recommendation import Recommendation
from benchmark.tasks.uplift import Uplift
from eventlog import EventLog
from eventlog.log import sort_events

CHURN, FRAUD = Churn(min_customers=10), Fraud(min_frauds=5, maturity_days=7)
UPLIFT = Uplift(min_arm=10)
TASKS = (Recommendation(), CHURN, FRAUD, UPLIFT)
# What a column may be called; nothing may depend on it.
NAMES = ("review_queue", "zz", "segment 7", "score")


@pytest.fixture(scope="module")
def shop() -> EventLog:
    """Some 60,000 events of 1,400 shoppers, with enough frauds and offers to plant answers in."""
    settings = {"fraud.share": 0.3, "coupons.every": 6, "coupons.window": 2.0, "coupons.reach": 1.0}
    return simulator.simulate("shop", users=1_400, days=40, seed=3, settings=settings)


def suspected(task: Task, log: EventLog) -> list[str]:
    split = task.split(log)
    return suspect(task, task.prepare(log, log, split), log, log, split)


@pytest.mark.parametrize("task", TASKS, ids=lambda t: type(t).__name__)
def test_a_clean_shop_is_not_suspected(task: Task, shop: EventLog) -> None:
    assert suspected(task, shop) == []


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("task", [CHURN, FRAUD, UPLIFT], ids=lambda t: type(t).__name__)
def test_a_column_with_noisy_answers_is_suspected(task: Task, noise: float, shop: EventLog) -> None:
    rng = np.random.default_rng(round(1000 * noise))
    forms = [("text", 0), ("number", 1)] if noise != 0.05 else [("number", 0), ("text", 2)]
    for name, (form, back) in zip(rng.permutation(NAMES), forms, strict=False):
        log = planted.with_answer(shop, task, name, noise=noise, form=form, back=back, rng=rng)
        found = suspected(task, log)
        assert any(name in text and "is it known" in text for text in found), (name, form, back)
        assert all(name in text for text in found), "innocent columns are not suspected"


def test_an_answer_among_random_values_is_suspected(shop: EventLog) -> None:
    rng = np.random.default_rng(0)
    for back in (0, 2):
        log = planted.with_answer(
            shop, FRAUD, "flag", noise=0.05, form="text", back=back, elsewhere="random", rng=rng
        )
        assert any("flag" in text for text in suspected(FRAUD, log))


def test_a_column_of_noise_is_not_suspected(shop: EventLog) -> None:
    rng = np.random.default_rng(0)
    for task in (CHURN, FRAUD):
        log = planted.with_answer(
            shop, task, "flag", noise=0.5, form="text", elsewhere="random", rng=rng
        )
        assert suspected(task, log) == []


@pytest.mark.parametrize(
    ("task", "name", "part", "said"),
    [
        (FRAUD, "ticket", "digit", "the last digit of ticket"),
        (FRAUD, "session_id", "digit", "the last digit of session_id"),
        (CHURN, "comment", "length", "the length of comment"),
        (FRAUD, "ref", "prefix", "the alphabetic prefix of ref"),
        (UPLIFT, "ref", "first word", "the first word of ref"),
        (CHURN, "ref", "last word", "the last word of ref"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_answer_in_a_part_of_a_text_is_suspected(
    task: Task, name: str, part: str, said: str, shop: EventLog
) -> None:
    rng = np.random.default_rng(4)
    log = planted.with_answer_in_text(shop, task, name, part=part, noise=0.1, rng=rng)
    assert [said in text for text in suspected(task, log)] == [True]
    random = planted.with_answer_in_text(shop, task, name, part=part, noise=0.5, rng=rng)
    assert suspected(task, random) == []


def test_an_answer_in_the_parity_of_a_whole_number_is_suspected(shop: EventLog) -> None:
    rng = np.random.default_rng(5)
    row, answer = planted.answers_of(shop, FRAUD)
    number = rng.integers(10**6, 10**7, len(shop))
    number[row] += (answer.astype(int) - number[row]) % 2
    log = dataclasses.replace(shop, events=shop.events.assign(number=number.astype(float)))
    (found,) = suspected(FRAUD, log)
    assert "the last digit of number" in found


@pytest.mark.parametrize("task", [CHURN, FRAUD], ids=lambda t: type(t).__name__)
def test_a_strong_honest_column_is_not_suspected(task: Task, shop: EventLog) -> None:
    row, answer = planted.answers_of(shop, task)
    value = np.random.default_rng(6).normal(size=len(shop))
    value[row] += 1.66 * answer  # ROC-AUC .88
    log = dataclasses.replace(shop, events=shop.events.assign(rating_of_us=value))
    assert suspected(task, log) == []


def test_what_a_users_activity_tells_is_no_leak_of_a_column() -> None:
    """Half of the customers have stopped long ago: whatever is known of them says so."""
    rng = np.random.default_rng(7)
    day, user = np.meshgrid(np.arange(90), np.arange(300))
    last = np.where(rng.random(300) < 0.5, 90, rng.integers(20, 50, 300))
    here = (rng.random(day.shape) < 0.3) & (day < last[user])
    day, user = day[here], user[here]
    time = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(day * 24.0, unit="h")
    events = pd.DataFrame(
        {
            "user_id": pd.Categorical(np.char.add("u", user.astype(str))),
            "timestamp": pd.Series(time).astype("datetime64[ms, UTC]"),
            "event": pd.Categorical(["purchase"] * len(day)),
            "visits": pd.Series(day).groupby(user).cumcount().to_numpy(dtype=float),
            "terminal": pd.Categorical(np.char.add("t", rng.integers(0, 9, len(day)).astype(str))),
        }
    )
    events = sort_events(events)
    events.insert(0, "event_id", np.arange(len(events)))
    assert suspected(CHURN, EventLog(events=events, labels=None, manifest={})) == []


@pytest.mark.parametrize(("unit_ms", "part"), [(1, "milliseconds"), (1000, "seconds")])
@pytest.mark.parametrize("task", [CHURN, FRAUD], ids=lambda t: type(t).__name__)
def test_an_answer_in_the_timestamp_is_suspected(
    task: Task, unit_ms: int, part: str, shop: EventLog
) -> None:
    log = planted.with_answer_in_time(
        shop, task, unit_ms=unit_ms, noise=0.02, rng=np.random.default_rng(1)
    )
    (found,) = suspected(task, log)
    assert part in found
    assert "timestamp" in found


@pytest.mark.parametrize(("form", "noise"), [("text", 0.05), ("renamed", 0.1), ("number", 0.1)])
@pytest.mark.parametrize("of", ["item_id", "category"])
def test_a_column_with_the_next_item_or_category_is_suspected(
    of: str, form: str, noise: float, shop: EventLog
) -> None:
    name = NAMES[len(form) % 4]
    log = planted.with_next(shop, name, of=of, form=form, noise=noise, rng=np.random.default_rng(1))
    (found,) = suspected(Recommendation(), log)
    assert name in found


def test_the_next_item_inside_a_text_is_suspected(shop: EventLog) -> None:
    rng = np.random.default_rng(1)
    log = planted.with_next(shop, "address", of="item_id", form="inside", noise=0.3, rng=rng)
    (found,) = suspected(Recommendation(), log)
    assert "the column address holds the next item" in found


@pytest.mark.parametrize("form", ["text", "inside"])
def test_a_column_of_random_items_is_not_suspected(form: str, shop: EventLog) -> None:
    rng = np.random.default_rng(1)
    log = planted.with_next(shop, "advert", of="item_id", form=form, noise=1.0, rng=rng)
    assert suspected(Recommendation(), log) == []


@pytest.mark.parametrize("ids", [True, False])
def test_single_copied_rows_are_suspected(ids: bool, shop: EventLog) -> None:
    rng = np.random.default_rng(2)
    if not ids:
        kept = [c for c in shop.events if c not in ("session_id", "order_id")]
        shop = dataclasses.replace(shop, events=shop.events[kept])
    cut = CHURN.split(shop).cut
    for days in (8, 13):
        log = planted.with_copied_rows(shop, cut, share=0.005, days=days, rng=rng)
        if days == 13:
            log = planted.in_capitals(log, ~log.events["event_id"].isin(shop.events["event_id"]))
        (found,) = suspected(CHURN, log)
        assert "copied across the cut" in found


@pytest.mark.parametrize("jitter_s", [0, 3])
def test_a_person_under_two_ids_is_suspected(jitter_s: int, shop: EventLog) -> None:
    log = planted.with_second_ids(shop, people=2, jitter_s=jitter_s, rng=np.random.default_rng(3))
    (found,) = suspected(CHURN, log)
    assert "under two ids" in found
    assert "second u" in found


def test_ids_that_differ_in_writing_only_are_suspected(shop: EventLog) -> None:
    user = shop.events["user_id"]
    first = user.cat.categories[0]
    # the later half of one user's rows has the id in capitals
    rows = np.flatnonzero((user == first).to_numpy())
    renamed = user.astype(str)
    renamed.iloc[rows[len(rows) // 2 :]] = f" {first.upper()}"
    log = dataclasses.replace(
        shop, events=shop.events.assign(user_id=pd.Categorical(renamed))
    ).grouped()
    (found,) = suspected(CHURN, log)
    assert "in case, spaces" in found
    assert first in found
