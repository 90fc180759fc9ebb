"""Tasks that break a rule are caught, and clean tasks on clean logs are not suspected."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.benchmark_runs import go
from fixtures.coupons import coupon_log
from fixtures.tiny import tiny_log

from benchmark.evaluation import leakage
from benchmark.evaluation.leakage import Leak
from benchmark.task import Task, TaskData
from benchmark.tasks.churn import Churn
from benchmark.tasks.fraud import Fraud
from benchmark.tasks.recommendation import Recommendation
from benchmark.tasks.uplift import Uplift
from eventlog import EventLog
from eventlog.encode import Encoder
from eventlog.log import sort_events


def examine(
    task: Task, log: EventLog, change: Callable[[TaskData], TaskData] = lambda d: d
) -> list[str]:
    split = task.split(log)
    data = change(task.prepare(log, log, split))
    leakage.check(task, data, log, log, split)
    return leakage.suspect(task, data, log, log, split)


@pytest.mark.parametrize(
    ("task", "log"),
    [
        (Recommendation(), tiny_log(users=400, rows=12_000)),
        (Churn(), tiny_log(users=400, rows=12_000)),
        (Uplift(min_arm=10), coupon_log()),
    ],
    ids=lambda x: type(x).__name__,
)
def test_clean_tasks_on_clean_logs_are_not_suspected(task: Task, log: EventLog) -> None:
    assert examine(task, log) == []


def test_a_column_that_nearly_decides_is_shown_though_it_may_be_innocent() -> None:
    (found,) = examine(Fraud(min_frauds=1), tiny_log(users=400, rows=12_000))
    assert "the column price alone gives the answer away" in found  # dear orders are frauds there


def test_rows_after_the_cut_are_caught() -> None:
    def whole_log(data: TaskData) -> TaskData:  # as if a task had forgotten `before`
        return dataclasses.replace(
            data, train=dataclasses.replace(data.train, sequences=data.test.sequences)
        )

    with pytest.raises(Leak, match="rows to learn from are not before the cut"):
        examine(Churn(min_customers=5), tiny_log(), whole_log)


def test_questions_that_know_later_rows_are_caught() -> None:
    def one_row_more(data: TaskData) -> TaskData:
        queries, stop = data.test.queries, data.test.sequences.offsets[1:]
        more = dataclasses.replace(queries, end=np.minimum(queries.end + 1, stop[queries.user]))
        return dataclasses.replace(data, test=dataclasses.replace(data.test, queries=more))

    with pytest.raises(Leak, match="test questions know rows that are later"):
        examine(Churn(min_customers=5), tiny_log(), one_row_more)


def test_values_known_only_later_are_caught() -> None:
    log = tiny_log()
    cut = Task.split(log).cut
    late = log.events.index[log.events["timestamp"] >= cut][:5]
    log.events["item_id"] = log.events["item_id"].cat.add_categories(["new"])
    log.events.loc[late, "item_id"] = "new"

    def fitted_on_everything(data: TaskData) -> TaskData:
        return dataclasses.replace(data, encoder=Encoder.fit(log))

    assert examine(Recommendation(), log) == []
    with pytest.raises(
        Leak, match="values of item_id in the vocabulary occur only after the cut, such as new"
    ):
        examine(Recommendation(), log, fitted_on_everything)


def test_labels_that_came_after_the_cut_are_caught() -> None:
    class Impatient(Fraud):
        """Takes final labels for training, too."""

        def prepare(self, source: EventLog, log: EventLog, split) -> TaskData:
            assert log.labels is not None
            early = dataclasses.replace(
                log, labels=log.labels.assign(known_at=split.cut - pd.Timedelta(days=1))
            )
            return super().prepare(early, log, split)

    with pytest.raises(Leak, match="depend on rows or labels after the cut"):
        examine(Impatient(min_frauds=1, maturity_days=0), tiny_log(users=400, rows=12_000))


def test_a_view_that_looks_ahead_is_caught() -> None:
    class Ahead(Churn):
        """Adds how much a user will have bought in the end: seen in every row, and before the
        cut.
        """

        def prepare(self, source: EventLog, log: EventLog, split) -> TaskData:
            bought = log.events["user_id"].map(
                log.events[log.events["event"] == "purchase"]
                .groupby("user_id", observed=False)
                .size()
            )
            told = dataclasses.replace(
                log, events=log.events.assign(bought=bought.astype("float32"))
            )
            return super().prepare(told, told, split)

    with pytest.raises(Leak, match="depend on rows"):
        examine(Ahead(), tiny_log(users=400, rows=12_000))


def test_rows_copied_across_the_cut_are_suspected() -> None:
    log = tiny_log(users=150, rows=18_000)
    assert examine(Churn(), log) == []
    cut = Task.split(log).cut
    late = log.events[log.events["timestamp"] >= cut]
    users = late["user_id"].unique()[:30]
    copies = late[late["user_id"].isin(users)].copy()
    rng = np.random.default_rng(0)
    # the same people under new names, some seconds off
    copies["timestamp"] = copies["timestamp"] - pd.Timedelta(days=20)
    copies["timestamp"] += pd.to_timedelta(rng.integers(-3, 4, len(copies)), unit="s").astype(
        "timedelta64[ms]"
    )
    copies["user_id"] = "copy-" + copies["user_id"].astype(str)
    both = pd.concat([log.events.astype({"user_id": str}), copies], ignore_index=True).astype(
        {"user_id": "category"}
    )
    events = sort_events(both)
    events["event_id"] = np.arange(len(events))
    planted = EventLog(events=events, labels=None, manifest=log.manifest)
    found = examine(Churn(), planted)
    across, pairs = found
    assert "copied across the cut" in across
    assert "pair(s) of users" in pairs
    assert "under two ids" in pairs


def test_a_column_that_gives_the_answer_away_is_suspected_and_shown(tmp_path: Path) -> None:
    log = tiny_log(users=200, rows=8_000)
    assert log.labels is not None
    log.events["review_queue"] = np.where(
        log.events["event_id"].isin(log.labels["event_id"]), "yes", "no"
    )
    log.events["review_queue"] = log.events["review_queue"].astype("category")
    assert any(
        "review_queue alone" in text for text in examine(Fraud(min_frauds=1, maturity_days=5), log)
    )
    outcome = go(
        log.write(tmp_path / "queue"),
        tmp_path / "out",
        models=["logistic"],
        engine_name="serial",
        settings=[
            "tasks=['fraud']",
            "settings.tasks.fraud.min_frauds=1",
            "settings.tasks.fraud.maturity_days=5",
        ],
    )
    assert not outcome.failed
    from benchmark.execution.results import Store
    from benchmark.report import leaderboard

    page = leaderboard.write(Store(tmp_path / "out"), tmp_path, plots=False).read_text()
    assert "**A leak?** the column review_queue alone gives the answer away" in page
