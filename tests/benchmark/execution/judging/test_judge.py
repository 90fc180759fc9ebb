"""What the judge asks, in which order, and what it finds; against a model in this process."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fixtures.tiny import tiny_log

from baselines.base import Model
from baselines.models.markov import Markov
from benchmark.evaluation import metrics
from benchmark.execution.judging import judge as judges
from benchmark.execution.judging.judge import NOT_REPEATABLE, Local, judge
from benchmark.task import Task, TaskData
from benchmark.tasks.fraud import Fraud
from benchmark.tasks.recommendation import Recommendation
from eventlog._runtime.errors import WorkError
from eventlog.arrays import Examples, Queries, Sequences

TASK = Recommendation(min_targets=1)


@pytest.fixture(scope="module")
def data() -> TaskData:
    log = tiny_log()
    return TASK.prepare(log, log, Task.split(log))


class Script(Model):
    """Answers by a function of (sequences, queries), and keeps what it was told."""

    kinds = frozenset({"next_item", "binary"})

    def __init__(self, answer, *, family: str = "simple", reads_others: bool = False) -> None:
        self.answer, self.told = answer, []
        self.asked: list[Queries] = []
        self.family, self.reads_others = family, reads_others  # type: ignore[misc]

    def fit(self, train, valid=None, *, encoder, seed) -> None: ...

    def observe(self, known: Examples) -> None:
        self.told.append((len(self.asked), known))

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        self.asked.append(queries)
        return self.answer(sequences, queries)


def last_item(sequences: Sequences, queries: Queries) -> np.ndarray:
    return np.eye(60, dtype=np.float32)[sequences.columns["item"][queries.end - 1]]


def items(answer, n: int):
    return lambda s, q: answer(s, q)[:, :n]


def test_an_honest_model_gets_what_asking_all_at_once_gives(data: TaskData) -> None:
    model = Markov()
    model.fit(data.train, data.valid, encoder=data.encoder, seed=0)
    found = judge(TASK, Local(model), data)
    scores = model.score(data.test.sequences, data.test.queries)
    rank, top = metrics.ranks(scores, data.test.target, data.encoder.n_items)
    expected = TASK.judge(rank, data)
    for name, value in expected.metrics.items():
        assert found.scored.metrics[name] == pytest.approx(value, rel=1e-6), name
    assert found.scored.metrics["coverage@10"] == pytest.approx(len(top) / data.catalogue)
    assert found.flags == []
    assert found.shuffled is None


def test_an_order_blind_model_loses_nothing_by_shuffling(data: TaskData) -> None:
    n = data.encoder.n_items

    def bag(sequences: Sequences, queries: Queries) -> np.ndarray:
        out = np.zeros((len(queries), n), dtype=np.float32)
        rows = np.arange(sequences.n_rows)
        np.add.at(out, (sequences.row_user()[rows], sequences.columns["item"]), 1.0)
        return out

    some = len(data.test) // 2
    hybrid = Local(Script(bag, family="hybrid"))
    found = judge(TASK, hybrid, data, shuffled_questions=some).shuffled
    assert found is not None
    assert found.questions == some
    assert found.shuffled.metrics == found.true.metrics
    sequence = Local(Script(items(last_item, n), family="sequence"))
    ordered = judge(TASK, sequence, data, shuffled_questions=some).shuffled
    assert ordered is not None
    assert ordered.shuffled.metrics["ndcg@10"] != ordered.true.metrics["ndcg@10"]


def test_the_record_does_not_depend_on_the_probes(
    data: TaskData, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Script(items(last_item, data.encoder.n_items))
    one = judge(TASK, Local(model), data).scored
    monkeypatch.setattr(judges, "PROBES", 0)
    assert judge(TASK, Local(model), data).scored.metrics == one.metrics


def test_dropout_at_scoring_is_not_called_peeking(data: TaskData) -> None:
    rng, n = np.random.default_rng(0), data.encoder.n_items
    found = judge(TASK, Local(Script(lambda s, q: rng.random((len(q), n)))), data)
    assert found.flags == [NOT_REPEATABLE]


@pytest.mark.parametrize("reads_others", [False, True])
def test_reading_later_rows_of_others_is_an_error(data: TaskData, reads_others: bool) -> None:
    n = data.encoder.n_items

    def trending(sequences: Sequences, queries: Queries, *, honest: bool) -> np.ndarray:
        out = np.zeros((len(queries), n))
        for i, time in enumerate(queries.time):
            near = np.abs(sequences.time - time) < 2 * 86_400_000
            near &= (sequences.time < time) | (not honest)
            out[i] = np.bincount(sequences.columns["item"][near], minlength=n)
        return out

    model = Script(lambda s, q: trending(s, q, honest=False), reads_others=reads_others)
    with pytest.raises(WorkError, match="who else is asked"):
        judge(TASK, Local(model), data)
    if reads_others:
        honest = Script(lambda s, q: trending(s, q, honest=True), reads_others=True)
        assert judge(TASK, Local(honest), data).flags == []


def test_what_is_known_is_told_in_time_and_nothing_early(data: TaskData) -> None:
    log = tiny_log()
    task = Fraud(min_frauds=1)
    fraud = task.prepare(log, log, Task.split(log))
    late = dataclasses.replace(fraud.test, known_at=fraud.test.queries.time + 36_000_000)
    order = np.argsort(late.known_at, kind="stable")
    fraud = dataclasses.replace(
        fraud,
        arriving=Examples(
            late.sequences, late.queries[order], late.target[order], known_at=late.known_at[order]
        ),
    )
    model = Script(lambda s, q: np.full(len(q), 0.5))
    judge(task, Local(model, fraud.valid), fraud)
    told = model.told if fraud.valid is None else model.told[1:]
    assert told
    for asked, known in told:
        assert known.known_at.max() <= model.asked[asked].time.min()
        assert (known.queries.end == known.sequences.offsets[1:]).all()
    count = sum(len(known) for _, known in told)
    begin = fraud.test.queries.time.max() - 6 * 3_600_000
    assert count >= (late.known_at <= begin).sum()
