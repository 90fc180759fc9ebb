from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixtures.tiny import tiny_log

from benchmark.adapters import utility
from benchmark.adapters.utility import measure, task_names
from eventlog import EventLog
from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog.split import by_user


@pytest.fixture(scope="module")
def parts() -> tuple[EventLog, EventLog]:
    """Users to fit on, and other users."""
    return by_user(tiny_log(users=240, rows=24_000), share=0.4, rng=np.random.default_rng(1))


def shuffled(log: EventLog) -> EventLog:
    """The same columns, each in an order of its own: nothing that goes together stands together."""
    rng = np.random.default_rng(2)
    mixed = {
        c: log.events[c].to_numpy()[rng.permutation(len(log))]
        for c in ("item_id", "event", "price")
    }
    return replace(
        log, events=log.events.assign(**mixed).astype({"item_id": "category", "event": "category"})
    )


def by_chance(log: EventLog) -> EventLog:
    """Frauds that follow from nothing."""
    bought = log.events[(log.events["event"] == "purchase").to_numpy()]
    bought = bought[np.random.default_rng(3).random(len(bought)) < 0.3]
    labels = bought[["event_id"]].assign(kind="fraud", value=1.0, known_at=bought["timestamp"])
    return replace(log, labels=labels.reset_index(drop=True))


def by_model(found: dict) -> dict:
    return {(row["task"], row["model"]): row for row in found["rows"]}


@pytest.fixture(scope="module")
def same(parts) -> dict:
    return measure(parts[0], parts[0], parts[1], seed=0)


def test_the_real_log_is_worth_as_much_as_itself(same):
    assert {row["task"] for row in same["rows"]} >= {"recommendation", "fraud"}
    for row in same["rows"]:
        assert row["share"] == pytest.approx(1.0)
        assert row["low"] == pytest.approx(1.0)
        assert row["train_on_real"] > row["base"]
        assert row["users"] <= 96


def test_a_log_without_sense_is_worth_less(parts, same):
    worse = by_model(
        measure(parts[0], shuffled(parts[0]), parts[1], seed=0, tasks=["recommendation"])
    )
    assert len(worse) == 2
    for key, row in worse.items():
        assert row["train_on_real"] == by_model(same)[key]["train_on_real"]
        assert row["low"] <= row["share"] <= row["high"]
        assert row["share"] < 0.6, key


def test_what_cannot_be_learnt_from_the_synthetic_log_is_worth_nothing(parts):
    found = measure(parts[0], replace(parts[0], labels=None), parts[1], seed=0, tasks=["fraud"])
    assert found["rows"]
    for row in found["rows"]:
        assert row["share"] == 0.0
        assert "no fraud labels" in row["note"]


def test_what_the_real_log_cannot_answer_is_left_out_with_its_reason(parts, same):
    assert "coupon_offer" in next(r["reason"] for r in same["left_out"] if r["task"] == "uplift")
    found = measure(replace(parts[0], labels=None), parts[0], parts[1], seed=0, tasks=["fraud"])
    assert found["rows"] == []
    assert "no fraud labels" in found["left_out"][0]["reason"]


def test_a_model_that_learns_nothing_from_real_users_is_left_out(parts):
    fit, held = (by_chance(part) for part in parts)
    found = measure(fit, fit, held, seed=0, tasks=["fraud"], models={"binary": ["logistic"]})
    assert found["rows"] == []
    assert "cannot be told from a constant" in found["left_out"][0]["reason"]


def test_the_same_call_gives_the_same_and_a_wrong_task_is_named(parts, same):
    assert measure(parts[0], parts[0], parts[1], seed=0) == same
    with pytest.raises(UnknownNameError, match="churn"):
        measure(parts[0], parts[0], parts[1], seed=0, tasks=["churm"])
    assert "uplift" in task_names()


def test_what_comes_into_fashion_late_is_known_from_real_users_too(parts):
    def with_fashion(log: EventLog) -> EventLog:
        late = log.events["timestamp"] > log.time_at(0.85)
        item = log.events["item_id"].astype(object)
        item = item.where(~late | item.isna(), "new-" + item.astype(str))
        return replace(log, events=log.events.assign(item_id=item.astype("category")))

    fit, held = (with_fashion(part) for part in parts)
    for row in measure(fit, fit, held, seed=0, tasks=["recommendation"])["rows"]:
        assert row["train_on_real"] > 0.1, row
        assert row["share"] == pytest.approx(1.0)


def test_who_is_learnt_from_is_not_asked_about(parts):
    with pytest.raises(InputError, match="others"):
        measure(parts[0], parts[0], parts[0], seed=0)


def test_large_logs_are_measured_on_a_sample_of_their_users(parts, monkeypatch):
    monkeypatch.setattr(utility, "MAX_USERS", 50)
    found = measure(parts[0], parts[0], parts[1], seed=0, tasks=["recommendation"])
    assert all(row["users"] <= 50 for row in found["rows"])
