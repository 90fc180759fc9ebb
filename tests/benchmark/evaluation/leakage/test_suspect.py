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


def test_a_column_of_random_items_is_not_suspected(shop: EventLog) -> None:
    log = planted.with_next(
        shop, "advert", of="item_id", form="text", noise=1.0, rng=np.random.default_rng(1)
    )
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
