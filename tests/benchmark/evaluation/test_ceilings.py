"""A stored ceiling is found for the very questions that it was measured on, and for no others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark.evaluation import ceilings
from benchmark.evaluation.ceilings import HISTORY, StoredCeiling
from benchmark.task import NotApplicable, TaskData
from benchmark.tasks.churn import Churn
from benchmark.tasks.recommendation import Recommendation
from eventlog import EventLog

ENTRY = StoredCeiling(
    rung=HISTORY,
    task="churn",
    questions="abc",
    log="shop (10 users, 60 days, seed 7)",
    metrics={"roc_auc": 0.8},
    replicates={"roc_auc": ""},
    chance=0.5,
    provenance="lightgbm fitted on many",
    made={"users": 10},
)


def prepared(log: EventLog, source: EventLog | None = None) -> TaskData:
    task = Churn(min_customers=5)
    return task.prepare(log if source is None else source, log, task.split(log))


def test_what_is_stored_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    ceilings.store(path, [ENTRY])
    ceilings.store(path, [dataclasses.replace(ENTRY, questions="def")])
    better = dataclasses.replace(ENTRY, metrics={"roc_auc": 0.9})
    ceilings.store(path, [better])
    assert len(ceilings.read(path)) == 2
    assert ceilings.stored(path, task="churn", rung=HISTORY, questions="abc") == better


def test_without_a_stored_one_the_reason_is_said(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    with pytest.raises(NotApplicable, match="for these questions of churn; 'python"):
        ceilings.stored(path, task="churn", rung=HISTORY, questions="abc")
    ceilings.store(path, [ENTRY])
    with pytest.raises(NotApplicable, match=r"shop \(10 users, 60 days, seed 7\).*makes one"):
        ceilings.stored(path, task="churn", rung=HISTORY, questions="other")


def test_questions_are_the_same_whatever_is_learnt_from(tiny: EventLog) -> None:
    task, data = Churn(min_customers=5), prepared(tiny)
    users = tiny.events["user_id"].cat.categories[:45]
    assert ceilings.identity(task, prepared(tiny, tiny.only_users(users))) == ceilings.identity(
        task, data
    )
    items = Recommendation(min_targets=5)
    split = items.split(tiny)
    few, all_ = (items.prepare(s, tiny, split) for s in (tiny.only_users(users), tiny))
    assert ceilings.identity(items, few) == ceilings.identity(items, all_)


def test_another_answer_or_question_is_another_identity(tiny: EventLog) -> None:
    task, data = Churn(min_customers=5), prepared(tiny)
    test = data.test
    flipped = np.concatenate([1 - test.target[:1], test.target[1:]])
    fewer = dataclasses.replace(test, queries=test.queries[1:], target=test.target[1:])
    known = {ceilings.identity(task, data)}
    for other in (dataclasses.replace(test, target=flipped), fewer):
        known.add(ceilings.identity(task, dataclasses.replace(data, test=other)))
    assert len(known) == 3
