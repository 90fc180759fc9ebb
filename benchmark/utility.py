"""Utility of a synthetic log: models trained on it, tested on real users.

Train on synthetic, test on real (Esteban, Hyland and Rätsch 2017, arXiv:1706.02633). All tasks
have one cut in time. A model learns from what was known at the cut, once from the users that the
generator was fitted on and once from synthetic users; both are asked the same questions about the
time after the cut, of real users whom neither the generator nor the models have seen. Generators
may not import this module; they find it by the entry point "shoptwin.generators.utility".

    found = measure(fitted, synthetic, held_out, seed=1)
    for row in found["rows"]:
        print(row["task"], row["model"], row["share"], row["low"], row["high"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines.base import Model
from eventlog import EventLog, plugins
from eventlog.console import track as show
from eventlog.errors import ShopError, UnknownNameError, WorkError
from eventlog.split import TimeSplit

from . import leakage
from .cells import make, settle
from .task import TEST_SHARE, NotApplicable, Scored, Task, TaskData, leaks

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
    "Every model is asked about real users who were held out from the generator and from the "
    "models, after a cut in time ({cut}). train_on_real: it learnt from the users that the "
    "generator was fitted on, up to the cut; train_on_synthetic: from synthetic users, up to "
    "the cut. base is what a constant answer gets; share = (train_on_synthetic - base) / "
    "(train_on_real - base), with a 95 % bootstrap interval over the users asked about. The "
    "generator saw the fitted users' whole time, so what changes after the cut (an item that "
    "comes into fashion) may show in its log before it."
)

Track = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Logs:
    """The three logs of a measurement, and the cut in time that they share."""

    real: EventLog  # of the users that the generator was fitted on
    synthetic: EventLog
    test: EventLog  # of real users that nothing has seen
    split: TimeSplit


def task_names() -> list[str]:
    """Names of the tasks that `measure` tries, in the order of its rows."""
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
        "how": HOW.format(cut=logs.split.cut.strftime("%Y-%m-%d %H:%M UTC")),
    }


def _prepared(real: EventLog, synthetic: EventLog, test: EventLog, seed: int) -> Logs:
    """At most MAX_USERS of each log, and the cut that Task.split of all real users would have."""
    spans = [log.span for log in (real, test)]
    first, last = min(s[0] for s in spans), max(s[1] for s in spans)
    cut = (first + (last - first) * (1 - TEST_SHARE)).floor("ms")
    rng = np.random.default_rng([seed, 29])
    return Logs(
        _some(real, rng), _some(synthetic, rng), _some(test, rng), TimeSplit(cut=cut, end=last)
    )


def _some(log: EventLog, rng: np.random.Generator) -> EventLog:
    users = np.array(sorted(log.events["user_id"].astype(str).unique()), dtype=object)
    if len(users) <= MAX_USERS:
        return log
    return log.only_users(set(rng.choice(users, MAX_USERS, replace=False)))


def _task(
    name: str, logs: Logs, models: Mapping[str, Sequence[str]], seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Rows of one task, and what of it is left out."""
    class_ = plugins.load("benchmark.tasks", name, Task, kind="task")  # type: ignore[type-abstract]
    task = make(class_, TASK_SETTINGS.get(name, {}), f"setting of {name}")
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
    """The task's data, learnt from `source`, asked about the held-out users.

    Raises NotApplicable, or Leak.
    """
    data = task.prepare(source, logs.test, logs.split)
    if len(data.train) == 0:
        raise NotApplicable("there is no question to learn from before the cut")
    leakage.check(task, data, source, logs.test, logs.split)
    return data


def _scored(task: Task, name: str, model: str, data: TaskData, seed: int) -> Scored:
    """A model fitted on the data's training questions and judged on its test questions."""
    class_ = plugins.load("baselines.models", model, Model, kind="model")  # type: ignore
    if task.kind not in class_.kinds or (class_.tasks is not None and name not in class_.tasks):
        raise NotApplicable(f"the model {model} does not answer {task.kind} questions of {name}")
    settle(seed)
    fitted = make(class_, MODEL_SETTINGS.get(model, {}), f"setting of {model}")
    fitted.fit(data.train, data.valid, encoder=data.encoder, seed=seed)
    if leaks(fitted.score, data.test, rng=np.random.default_rng(0)):
        raise WorkError(
            f"the model {model} reads rows that it must not know; its score means nothing"
        )
    return task.evaluate(fitted.score, data)


def _row(task: Task, real: Scored, synthetic: Scored | None) -> tuple[dict[str, Any], str | None]:
    """The figures of a row, or why there are none. Without `synthetic` its score is the base."""
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
