"""Say which differences the tables of a suite can resolve, before or after it is run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmark.evaluation import power
from benchmark.execution import fingerprint
from benchmark.execution.plan import answers
from benchmark.execution.results import Store
from benchmark.report.aggregate import Board, boards
from benchmark.suite import LogSource, Suite, load, plugin_name
from eventlog._runtime.errors import InputError
from eventlog._runtime.text import one_line

# A score in the middle of what models reach on a headline; of qini, the share who buy.
TYPICAL = {"ndcg@10": 0.3, "roc_auc": 0.8, "pr_auc": 0.5, "pr_auc_returning": 0.5, "qini": 0.15}


class Expected(NamedTuple):
    """Test questions of a task."""

    questions: float
    positives: float = 0.0  # of them, with answer 1; of uplift, those treated


# Measured: scenario `shop` with 55,000 users and 60 days, a user and day; fraud.share was 0.16.
USER_DAYS, FRAUD_SHARE = 55_000 * 60, 0.16
SHOP = {
    "churn": Expected(9_130 / USER_DAYS, 6_290 / USER_DAYS),
    "fraud": Expected(8_396 / USER_DAYS, 1_020 / USER_DAYS),
    "uplift": Expected(9_668 / USER_DAYS, 4_834 / USER_DAYS),
}
# Of recommendation with at most 4 steps a user: 53 % of the users are asked, 3.6 times each.
ASKED, STEPS = 0.534, 3.61
# Logs that do not change.
DATASETS = {"online-retail": {"recommendation": Expected(9_386), "churn": Expected(3_703, 1_911)}}


@dataclass(frozen=True)
class Resolution:
    """What a table can tell apart, and how that is known."""

    log: str
    task: str
    metric: str
    difference: float  # NaN where it is not known
    basis: str

    def __str__(self) -> str:
        size = f"{self.difference:.3g}" if math.isfinite(self.difference) else "?"
        return f"{one_line(self.log):16} {self.task:16} {self.metric:10} {size:>7}  {self.basis}"


def lines(name: str, *, profile: str, results: Path | str) -> Iterator[str]:
    """Yield a line for each table of a suite.

    Args:
        name: of the suite, or its file.
        profile: one of `benchmark.suite.PROFILES`.
        results: a results folder; where it holds this suite under this profile, the figures come
            from its records, otherwise from a planning formula.

    Raises UnknownNameError for a wrong name, InputError where the suite is wrong.
    """
    suite = load(name, profile=profile)
    known = _recorded(suite, profile, results)
    yield (
        f"suite {suite.name}, profile {profile}: differences that are found in "
        f"{power.POWER:.0%} of the cases"
    )
    for log, source in suite.logs.items():
        for task in suite.tasks:
            if plugin_name(task) not in source.skip_tasks:
                yield f"  {resolution(suite, log, source, task, known.get((log, task)))}"


def resolution(
    suite: Suite, log: str, source: LogSource, task: str, board: Board | None
) -> Resolution:
    """Return what the table of a task on a log can tell apart; `board` is what was recorded."""
    metric = str(fingerprint.class_facts("benchmark.tasks", task).get("headline", "?"))
    name = plugin_name(task)
    models = max(2, sum(answers(m, task) for m in suite.models))
    if board is not None and board.facts and math.isfinite(board.resolvable):
        fits = max(len(row.records) for row in board.ranked)
        basis = f"measured: {board.facts['test']:,} questions, {len(board.names)} models, " + (
            "one fit each, so of these fits only" if board.one_fit else f"{fits} fits"
        )
        return Resolution(log, name, metric, board.resolvable, basis)
    expected = _expected(suite, source, name)
    if board is not None and board.facts:
        rate, asked = board.facts.get("base_rate") or 0.0, int(board.facts["test"])
        expected = Expected(asked, asked / 2 if metric == "qini" else rate * asked)
    if expected is None:
        return Resolution(log, name, metric, math.nan, "not known before its questions are made")
    questions, positives = round(expected.questions), round(expected.positives)
    if metric not in TYPICAL or min(questions - positives, questions) < 2:
        return Resolution(log, name, metric, math.nan, f"no formula for {questions:,} questions")
    found = power.planned(
        metric, value=TYPICAL[metric], questions=questions, positives=positives, models=models
    )
    answer = "treated" if metric == "qini" else "with answer 1"
    basis = f"planned: about {questions:,} questions" + (
        f", {positives:,} {answer}" if positives else ""
    )
    return Resolution(log, name, metric, found, f"{basis}, {models} models, users only")


def _expected(suite: Suite, source: LogSource, task: str) -> Expected | None:
    """Return about how many questions a task will ask of a log; None where that is not known."""
    if source.dataset is not None:
        return DATASETS.get(source.dataset, {}).get(task)
    if source.scenario != "shop":
        return None
    if task == "recommendation":
        most = suite.task_settings.get(task, {}).get("max_users", math.inf)
        return Expected(min(ASKED * source.users, most) * STEPS)
    if task not in SHOP:
        return None
    size = source.users * source.days
    # Frauds follow the share that the suite sets; that of the scenario itself is not read.
    share = source.settings.get("fraud.share") if task == "fraud" else FRAUD_SHARE
    if share is None:
        return None
    found = SHOP[task]
    return Expected(found.questions * size, found.positives * size * share / FRAUD_SHARE)


def _recorded(suite: Suite, profile: str, results: Path | str) -> dict[tuple[str, str], Board]:
    """Return the boards of the results folder, if it is of this suite and profile."""
    try:
        store = Store(results)
        plan = store.plan()
    except InputError:
        return {}
    if plan["suite"] != suite.name or plan["profile"] != profile:
        return {}
    return {(board.log, board.task): board for board in boards(store, plan["cells"])}
