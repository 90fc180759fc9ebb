"""Utility of a synthetic log: models trained on it, tested on real users.

Train on synthetic, test on real (Esteban, Hyland and Rätsch 2017, arXiv:1706.02633). A model
learns once from the users that the generator was fitted on and once from synthetic users, over
the whole time of the log; both are asked the same questions about the last sixth of that time, of
other real users whom neither the generator nor the models have seen. Both learn from the whole
time because the generator did: against real users up to the cut only, a synthetic log that knows
the Christmas to come was worth 1.4 times the real one. Generators may not import this module;
they find it by the entry point "shoptwin.generators.utility".

Example::

    found = measure(fitted, synthetic, held_out, seed=1)
    for row in found["rows"]:
        print(row["task"], row["model"], row["share"], row["low"], row["high"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from baselines.base import Model
from benchmark.execution.cells.loading import make
from benchmark.execution.judging.judge import Local, judge
from benchmark.execution.seeding import seed_everything
from benchmark.task import TEST_SHARE, NotApplicable, Scored, Task, TaskData
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog._runtime.console import track as show
from eventlog._runtime.errors import InputError, ShopError, UnknownNameError
from eventlog.split import TimeSplit

# By kind of question: a strong model that knows no order, and a simple one. All take seconds.
MODELS: dict[str, tuple[str, ...]] = {
    "next_item": ("ease", "markov"),
    "binary": ("lightgbm", "logistic"),
    "uplift": ("s_learner", "t_learner"),
}
MODEL_SETTINGS: dict[str, dict[str, Any]] = {"ease": {"max_items": 4_000}}
TASK_SETTINGS: dict[str, dict[str, Any]] = {"recommendation": {"max_per_user": 4}}
MAX_USERS = 20_000  # of each log, drawn at random: more cost time and settle nothing
HOW = (
    "Every model is asked about the time after {cut}, of real users who were held out from the "
    "generator and from the models. train_on_real: it learnt from the users that the generator "
    "was fitted on; train_on_synthetic: from synthetic users; both over the whole time, as the "
    "generator did. base is what a constant answer gets; share = (train_on_synthetic - base) / "
    "(train_on_real - base), with a 95 % bootstrap interval over the users asked about."
)

Track = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Logs:
    """The three logs of a measurement, and what time is asked about and learnt from."""

    real: EventLog  # of the users that the generator was fitted on
    synthetic: EventLog
    test: EventLog  # of real users that nothing has seen
    asked: TimeSplit  # of the last sixth of the time
    learnt: TimeSplit  # of as long a time after the log's end: everything is learnt from


def task_names() -> list[str]:
    """Return the names of the tasks that `measure` tries, in the order of its rows."""
    return plugins.names("benchmark.tasks")


def measure(
    real_fit: EventLog,
    synthetic: EventLog,
    real_test: EventLog,
    *,
    seed: int,
    tasks: Sequence[str] | None = None,
    models: Mapping[str, Sequence[str]] | None = None,
    track: Track = show,
) -> dict[str, Any]:
    """Measure all `tasks` (default: every one) that the logs can answer.

    `models`: names by kind of question, MODELS where not given. Returns {"rows", "left_out",
    "how"}: a row holds task, model, metric, train_on_real, train_on_synthetic, base, share with
    its interval low..high, questions and users; a task or a model that is left out has its reason.
    A task that real users can train and synthetic users cannot (no labels, no purchases) counts as
    nothing learnt: share 0. Raises UnknownNameError for a wrong task.
    """
    known = task_names()
    for name in tasks or ():
        if name not in known:
            raise UnknownNameError("task", name, known)
    logs = _prepared(real_fit, synthetic, real_test, seed)
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    chosen = list(known if tasks is None else tasks)
    for name in track(chosen, "utility", total=len(chosen)):
        found, missing = _task(name, logs, {**MODELS, **(models or {})}, seed)
        rows += found
        left_out += missing
    return {
        "rows": rows,
        "left_out": left_out,
        "how": HOW.format(cut=logs.asked.cut.strftime("%Y-%m-%d %H:%M UTC")),
    }


def _prepared(real: EventLog, synthetic: EventLog, test: EventLog, seed: int) -> Logs:
    """Take at most MAX_USERS of each log; the cut is that of Task.split for all real users."""
    both = set(real.events["user_id"].astype(str)) & set(test.events["user_id"].astype(str))
    if both:
        raise InputError(
            f"{len(both)} user(s) are learnt from and asked about, such as {min(both)}; the users "
            "who are asked about must be others."
        )
    spans = [log.span for log in (real, test)]
    first, last = min(s[0] for s in spans), max(s[1] for s in spans)
    cut = (first + (last - first) * (1 - TEST_SHARE)).floor("ms")
    end = last + pd.Timedelta(milliseconds=1)
    rng = np.random.default_rng([seed, 29])
    return Logs(
        real=_some(real, rng),
        synthetic=_some(synthetic, rng),
        test=_some(test, rng),
        asked=TimeSplit(cut=cut, end=last),
        learnt=TimeSplit(cut=end, end=end + (last - cut)),
    )


def _some(log: EventLog, rng: np.random.Generator) -> EventLog:
    users = np.array(sorted(log.events["user_id"].astype(str).unique()), dtype=object)
    if len(users) <= MAX_USERS:
        return log
    return log.only_users(set(rng.choice(users, MAX_USERS, replace=False)))


def _task(
    name: str, logs: Logs, models: Mapping[str, Sequence[str]], seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return the rows of one task, and what of it is left out."""
    class_ = plugins.load("benchmark.tasks", name, Task, kind="task")
    task = make(class_, TASK_SETTINGS.get(name, {}), where=f"task {name}")
    try:
        real = _data(task, logs.real, logs)
    except NotApplicable as reason:
        return [], [{"task": name, "reason": str(reason)}]
    try:
        synthetic, lacks = _data(task, logs.synthetic, logs), None
    except NotApplicable as reason:
        synthetic, lacks = None, f"the synthetic log cannot train it: {reason}"
    rows, left_out = [], []
    for model in models[task.kind]:
        try:
            one = _scored(task, name, model, real, seed)
            two = None if synthetic is None else _scored(task, name, model, synthetic, seed)
        except ShopError as reason:
            left_out.append({"task": name, "model": model, "reason": str(reason)})
            continue
        row, reason_why_not = _row(task, one, two)
        if reason_why_not:
            left_out.append({"task": name, "model": model, "reason": reason_why_not})
            continue
        asked = real.test.queries
        rows.append(
            {
                "task": name,
                "model": model,
                "metric": task.headline,
                **row,
                "questions": len(asked),
                "users": len(np.unique(asked.user)),
                **({"note": lacks} if lacks else {}),
            }
        )
    return rows, left_out


def _data(task: Task, source: EventLog, logs: Logs) -> TaskData:
    """Return the task's data: learnt from `source`, asked about held-out users.

    Raises NotApplicable.
    """
    data = task.prepare(source, logs.test, logs.asked, learn=logs.learnt)
    if len(data.train) == 0:
        raise NotApplicable("there is no question to learn from")
    return data


def _scored(task: Task, name: str, model: str, data: TaskData, seed: int) -> Scored:
    """Fit a model on the data's training questions, and judge it on its test questions."""
    class_ = plugins.load("baselines.models", model, Model, kind="model")  # type: ignore
    if task.kind not in class_.kinds or (class_.tasks is not None and name not in class_.tasks):
        raise NotApplicable(f"the model {model} does not answer {task.kind} questions of {name}")
    seed_everything(seed)
    fitted = make(class_, MODEL_SETTINGS.get(model, {}), where=f"model {model}")
    fitted.fit(data.train, data.valid, encoder=data.encoder, seed=seed)
    return judge(task, Local(fitted, data.valid), data).scored


def _row(task: Task, real: Scored, synthetic: Scored | None) -> tuple[dict[str, Any], str | None]:
    """Return the figures of a row, or why there are none.

    Without `synthetic` its score is the base.
    """
    metric, base = task.headline, real.chance
    best, on_real = real.metrics[metric], real.replicates[metric].astype(np.float64) - base
    if not np.isfinite(best) or not np.nanpercentile(on_real, 2.5) > 0:
        return {}, (
            f"trained on real users it reaches {metric} {best:.3f}, which cannot be told from a "
            f"constant answer's {base:.3f} with so few held-out users"
        )
    reached = base if synthetic is None else synthetic.metrics[metric]
    if not np.isfinite(reached):
        return {}, f"trained on synthetic users it has no {metric}"
    on_synthetic = (
        np.zeros_like(on_real)
        if synthetic is None
        else synthetic.replicates[metric].astype(np.float64) - base
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(
            on_real > 0, on_synthetic / on_real, np.nan
        )  # the resamples of both are of the same users
    low, high = np.nanpercentile(shares, [2.5, 97.5])
    return {
        "train_on_real": float(best),
        "train_on_synthetic": float(reached),
        "base": float(base),
        "share": float((reached - base) / (best - base)),
        "low": float(low),
        "high": float(high),
    }, None
