from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.tiny import tiny_log
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from benchmark.task import NotApplicable, Task
from benchmark.tasks.churn import Churn
from benchmark.tasks.fraud import Fraud
from benchmark.tasks.recommendation import ROLES, Recommendation, steps
from eventlog import EventLog
from eventlog.arrays import DAY_MS
from eventlog.log import to_ms
from eventlog.schema import FUNNEL

TASKS = [Recommendation(), Churn(min_customers=5), Fraud(min_frauds=1)]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda t: type(t).__name__)


def change_after_cut(log: EventLog, cut: pd.Timestamp, seed: int) -> EventLog:
    """The same log with another future: later rows are other items at other prices, later labels
    are turned over.
    """
    rng = np.random.default_rng(seed)
    events = log.events.copy()
    late = (events["timestamp"] >= cut).to_numpy()
    events.loc[late, "item_id"] = rng.choice(events["item_id"].cat.categories, late.sum())
    events.loc[late, "price"] = rng.uniform(1, 9, late.sum()).astype("float32")
    assert log.labels is not None
    labels = log.labels[log.labels["known_at"] < cut]
    wrong = pd.DataFrame(
        {
            "event_id": events["event_id"].sample(50, random_state=seed),
            "kind": "fraud",
            "value": 1.0,
            "known_at": cut + pd.Timedelta(days=1),
        }
    )
    return EventLog(
        events=events, labels=pd.concat([labels, wrong], ignore_index=True), manifest=log.manifest
    )


@each_task
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1_000))
def test_nothing_after_the_cut_reaches_the_training_examples(task: Task, seed: int) -> None:
    log = tiny_log(seed=seed)
    split = task.split(log)
    try:
        one = task.prepare(log, log, split)
    except NotApplicable:  # a draw without a fraud after the cut
        assume(False)
    two = task.prepare(change_after_cut(log, split.cut, seed), log, split)
    assert one.encoder.to_json() == two.encoder.to_json()
    for name in ("train", "valid"):
        a, b = getattr(one, name), getattr(two, name)
        assert (a is None) == (b is None)
        if a is None:
            continue
        assert a.sequences.time.max() < to_ms(split.cut)
        assert np.array_equal(a.sequences.event_id, b.sequences.event_id)
        assert np.array_equal(a.queries.end, b.queries.end)
        assert np.array_equal(a.target, b.target)
        for column in a.sequences.columns:
            assert np.array_equal(a.sequences.columns[column], b.sequences.columns[column])


@each_task
def test_what_a_question_knows_is_of_its_user_and_before_it(task: Task) -> None:
    log = tiny_log()
    data = task.prepare(log, log, task.split(log))
    for examples in (data.train, data.valid, data.test):
        if examples is None:
            continue
        s, q = examples.sequences, examples.queries
        assert (q.end >= s.offsets[q.user]).all()
        assert (q.end <= s.offsets[q.user + 1]).all()
        some = q.end > s.offsets[q.user]
        assert (s.time[q.end[some] - 1] <= q.time[some]).all()


@each_task
def test_the_test_questions_do_not_depend_on_the_source(task: Task) -> None:
    log, other = tiny_log(), tiny_log(seed=5)
    split = task.split(log)
    a, b = task.prepare(log, log, split), task.prepare(other, log, split)
    assert np.array_equal(a.test.queries.end, b.test.queries.end)
    assert np.array_equal(a.test.sequences.event_id, b.test.sequences.event_id)
    if task.kind == "binary":
        assert np.array_equal(a.test.target, b.test.target)


def test_an_item_that_the_source_lacks_is_a_miss() -> None:
    log = tiny_log()
    source = tiny_log()
    source.events = source.events[source.events["item_id"] != "i5"].reset_index(drop=True)
    task = Recommendation()
    data = task.prepare(source, log, task.split(log))
    items = steps(log).events["item_id"].astype(str).to_numpy()[data.test.queries.end]
    assert ((data.test.target == 1) == (items == "i5")).all()
    assert (items == "i5").any()


def test_steps_are_runs_with_their_strongest_event() -> None:
    log = tiny_log(users=8, rows=600, items=3)
    role = pd.Series(log.role())
    expected = []
    last: tuple[str, str] | None = None
    for place, row in enumerate(log.events.itertuples()):
        if role[place] not in ROLES or pd.isna(row.item_id):
            continue
        if last != (row.user_id, row.item_id):
            expected.append([row.event_id, row.timestamp, row.event, place])
        elif FUNNEL.index(role[place]) > FUNNEL.index(role[expected[-1][3]]):
            expected[-1][2:] = [row.event, place]
        last = (row.user_id, row.item_id)
    found = steps(log).events
    assert found["event_id"].tolist() == [e[0] for e in expected]
    assert found["timestamp"].tolist() == [e[1] for e in expected]
    assert found["event"].tolist() == [e[2] for e in expected]


def test_at_most_the_first_ten_steps_of_a_user_are_asked() -> None:
    log = tiny_log()
    task = Recommendation(max_per_user=3)
    data = task.prepare(log, log, task.split(log))
    everything = Recommendation(max_per_user=10**6).prepare(log, log, task.split(log))
    for user in np.unique(everything.test.queries.user):
        all_ends = everything.test.queries.end[everything.test.queries.user == user]
        assert (
            data.test.queries.end[data.test.queries.user == user].tolist() == all_ends[:3].tolist()
        )


def test_churn_labels_are_those_of_a_loop() -> None:
    log = tiny_log()
    task = Churn(min_customers=5, horizon_days=5)
    split = task.split(log)
    data = task.prepare(log, log, split)
    bought = log.events[log.events["event"] == "purchase"]
    for examples, known in (
        (data.test, bought),
        (data.train, bought[bought["timestamp"] < split.cut]),
    ):
        for i in range(len(examples)):
            user = examples.sequences.users[examples.queries.user[i]]
            times = known.loc[known["user_id"] == user, "timestamp"].map(to_ms)
            at = examples.queries.time[i]
            assert (times < at).any()
            assert examples.target[i] == float(not times.between(at, at + 5 * DAY_MS).any())
            assert at + 5 * DAY_MS <= (
                to_ms(split.end) if examples is data.test else to_ms(split.cut)
            )


def test_validation_customers_are_not_trained_on() -> None:
    log = tiny_log()
    task = Churn(min_customers=5)
    data = task.prepare(log, log, task.split(log))
    assert data.valid is not None
    assert not set(data.valid.queries.user) & set(data.train.queries.user)


def test_fraud_labels_and_maturity_are_those_of_a_loop() -> None:
    log = tiny_log()
    task = Fraud(min_frauds=1, maturity_days=6)
    split = task.split(log)
    data = task.prepare(log, log, split)
    assert log.labels is not None
    final = set(log.labels["event_id"])
    known = set(log.labels.loc[log.labels["known_at"] < split.cut, "event_id"])
    orders = log.events[log.events["event"] == "purchase"]
    late = orders[orders["timestamp"] >= split.cut]
    mature = orders[orders["timestamp"] < split.cut - pd.Timedelta(days=6)]
    asked = data.test.sequences.event_id[data.test.queries.end - 1]
    assert sorted(asked) == sorted(late["event_id"])
    assert data.test.target.tolist() == [float(e in final) for e in asked]
    train = [data.train] if data.valid is None else [data.train, data.valid]
    asked = np.concatenate([e.sequences.event_id[e.queries.end - 1] for e in train])
    assert sorted(asked) == sorted(mature["event_id"])
    assert np.concatenate([e.target for e in train]).tolist() == [float(e in known) for e in asked]


def test_rows_of_one_order_are_one_question() -> None:
    log = tiny_log()
    events = log.events.copy()
    bought = np.flatnonzero(
        (events["event"] == "purchase").to_numpy() & (events["user_id"] == "u000").to_numpy()
    )
    first, second = bought[:2]
    events.loc[second, "order_id"] = events.loc[first, "order_id"]
    merged = EventLog(events=events, labels=log.labels, manifest=log.manifest)
    task = Fraud(min_frauds=1, maturity_days=0)
    from benchmark.tasks.fraud import _orders

    assert len(_orders(merged).end) == len(_orders(log).end) - 1
    assert second + 1 in _orders(merged).end
    assert first + 1 not in _orders(merged).end
    assert task.kind == "binary"


@pytest.mark.parametrize(
    ("task", "spoil", "reason"),
    [
        (Recommendation(), lambda e: e.drop(columns="item_id"), "no item_id"),
        (Churn(), lambda e: e[e["event"] != "purchase"].reset_index(drop=True), "no purchases"),
        (Fraud(), lambda e: e.iloc[:0], "no events"),
    ],
)
def test_what_a_log_lacks_is_said(task: Task, spoil, reason: str) -> None:
    log = tiny_log()
    split = task.split(log)
    spoilt = EventLog(events=spoil(log.events), labels=log.labels, manifest=log.manifest)
    with pytest.raises(NotApplicable, match=reason):
        task.prepare(spoilt, spoilt, split)


def test_no_labels_no_fraud_task() -> None:
    log = tiny_log()
    log.labels = None
    with pytest.raises(NotApplicable, match="no fraud labels"):
        Fraud().prepare(log, log, Task.split(log))


@each_task
def test_questions_do_not_depend_on_the_order_of_rows(task: Task) -> None:
    log = tiny_log()
    mixed = EventLog(events=log.events.sample(frac=1, random_state=0), labels=log.labels)
    split = task.split(log)
    one, two = (task.prepare(x, x, split) for x in (log, mixed))
    for a, b in ((one.train, two.train), (one.test, two.test)):
        for name in ("user", "end", "time"):
            np.testing.assert_array_equal(getattr(a.queries, name), getattr(b.queries, name))
        np.testing.assert_array_equal(a.target, b.target)
        np.testing.assert_array_equal(a.sequences.event_id, b.sequences.event_id)
