"""What a model learns from does not tell what it lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.tiny import tiny_log
from sklearn.metrics import roc_auc_score

from benchmark.execution.prepared_task import LEARN, load_learn, load_task, save_task
from benchmark.task import TaskData
from benchmark.tasks.churn import Churn
from eventlog.arrays import Sequences


@pytest.fixture(scope="module")
def churn() -> TaskData:
    task, log = Churn(min_customers=5), tiny_log(users=400, rows=12_000)
    return task.prepare(log, log, task.split(log))


def rows_to_come(learnt: Sequences, users: np.ndarray) -> np.ndarray:
    """Guess how many rows each of `users` has later, (n,): ids that are missing before the next."""
    begins, ends = learnt.event_id[learnt.offsets[:-1]], learnt.event_id[learnt.offsets[1:] - 1]
    missing = np.append(begins[1:], begins[-1]) - ends
    place = {user: missing[k] for k, user in enumerate(learnt.users)}
    return np.array([place.get(user, 0) for user in users])


def test_event_ids_do_not_count_the_rows_to_come(churn: TaskData, tmp_path: Path) -> None:
    users, answer = churn.test.sequences.users[churn.test.queries.user], churn.test.target
    gives_away = roc_auc_score(answer, -rows_to_come(churn.train.sequences, users))
    assert gives_away > 0.9  # with the ids of the log
    save_task(tmp_path, churn)
    _, train, _ = load_learn(tmp_path / LEARN)
    assert len(np.unique(rows_to_come(train.sequences, users))) <= 2
    kept = load_task(tmp_path).test.sequences  # the judge's, which finds rows by their ids
    np.testing.assert_array_equal(kept.event_id, churn.test.sequences.event_id)
