from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.coupons import coupon_log
from fixtures.tiny import tiny_log

from benchmark.execution.sampled_log import SampledLog
from benchmark.task import Task, TaskData
from benchmark.tasks.churn import Churn
from benchmark.tasks.fraud import Fraud
from benchmark.tasks.recommendation import Recommendation
from benchmark.tasks.uplift import Uplift
from eventlog import EventLog
from eventlog.log import to_ms

LEARN = 120
TASKS = (
    Churn(min_customers=5),
    Fraud(min_frauds=1),
    Recommendation(max_per_user=3),
    Recommendation(max_users=70, min_targets=1),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_log(users=300, rows=6_000).write(tmp_path_factory.mktemp("sampled") / "log")


def prepared(folder: Path, task: Task, learn_users: int | None) -> tuple[TaskData, SampledLog]:
    sampled = SampledLog(folder, learn_users)
    log = sampled.asked(task)
    learnt = log if sampled.learners is None else log.only_users(sampled.learners)
    return task.prepare(learnt, log, sampled.split), sampled


def questions(data: TaskData) -> list[tuple[str, int, int, int]]:
    """Who was asked, when, after which row, and after how many rows of his."""
    asked, sequences = data.test.queries, data.test.sequences
    known = asked.end - sequences.offsets[asked.user]
    last = sequences.event_id[np.maximum(asked.end - 1, 0)]
    return sorted(
        zip(sequences.users[asked.user], asked.time, np.where(known, last, -1), known, strict=True)
    )


@pytest.mark.parametrize("task", TASKS, ids=lambda t: f"{type(t).__name__}{len(vars(t))}")
def test_a_sample_is_learnt_from_and_everybody_is_asked(folder: Path, task: Task) -> None:
    whole, _ = prepared(folder, task, None)
    some, sampled = prepared(folder, task, LEARN)
    assert questions(some) == questions(whole)
    assert len(sampled.learners) == LEARN
    for part in filter(None, (some.train, some.valid)):
        assert set(part.sequences.users) <= set(sampled.learners)
        assert (part.sequences.time < to_ms(sampled.split.cut)).all()
    assert set(some.train.sequences.users) < set(whole.train.sequences.users)
    # The encoder has seen the learners alone.
    learnt = EventLog.read(folder, truth=False, users=sampled.learners)
    known = task.view(learnt.before(sampled.split.cut)).events
    for name, vocabulary in some.encoder.vocabularies.items():
        assert set(vocabulary) == set(known[name].dropna().astype(str))


@pytest.mark.parametrize("task", TASKS, ids=lambda t: f"{type(t).__name__}{len(vars(t))}")
def test_rows_are_read_of_who_is_needed_alone(folder: Path, task: Task) -> None:
    some, sampled = prepared(folder, task, LEARN)
    there = set(some.test.sequences.users)
    asked = set(some.test.sequences.users[some.test.queries.user])
    may_be = set(task.asked_users(sampled.outline, sampled.split))
    assert asked <= there == may_be | set(sampled.learners)


def test_who_is_asked_is_drawn_by_id_and_no_more_than_so_many(folder: Path) -> None:
    few = prepared(folder, Recommendation(max_users=40, min_targets=1), LEARN)[0]
    more = prepared(folder, Recommendation(max_users=70, min_targets=1), LEARN)[0]
    asked = [set(d.test.sequences.users[d.test.queries.user]) for d in (few, more)]
    assert len(asked[0]) <= 40 < len(asked[1]) <= 70
    assert asked[0] < asked[1]


def test_the_learners_are_the_same_for_every_task_and_reader(folder: Path) -> None:
    assert (SampledLog(folder, LEARN).learners == SampledLog(folder, LEARN).learners).all()
    assert SampledLog(folder, None).learners is None


def test_every_offer_is_asked_about_though_few_users_are_learnt_from(tmp_path: Path) -> None:
    folder = coupon_log().write(tmp_path / "log")
    task = Uplift(min_arm=5)
    whole, _ = prepared(folder, task, None)
    some, sampled = prepared(folder, task, 200)
    assert questions(some) == questions(whole)
    assert set(some.train.sequences.users) == set(sampled.learners)
