"""Make the stored ceilings of a suite's simulated logs; see `benchmark.evaluation.ceilings`.

Models learn from users of the log, up to the cut. Where it has too few, a second simulation with
the same scenario, days and seed and another number of users gives further ones of the same shop:
the catalogue and its hidden qualities are the same, and the users are other ones, which is checked.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from baselines.base import Model
from benchmark.evaluation import ceilings
from benchmark.evaluation.ceilings import StoredCeiling
from benchmark.evaluation.slates import Slates, slates_of
from benchmark.execution import sampled_log
from benchmark.execution.ceilings.reranker import reranked_ranks
from benchmark.execution.cells.loading import load_task_class
from benchmark.execution.judging.judge import Local, judge
from benchmark.execution.results import pack
from benchmark.suite import LogSource, Suite, plugin_name
from benchmark.task import NotApplicable, Scored, Task, TaskData
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError
from eventlog.log import drop_unused_categories, sort_events
from eventlog.split import draw_users

SEED = 0
# What the best observer of a log may be; the better on the test questions is taken.
MODELS = {
    "next_item": ("markov_repeats",),
    "binary": ("lightgbm", "lightgbm_order"),
    "uplift": ("s_learner", "t_learner", "x_learner", "dr_learner"),
}
RERANKED = "trees over the candidates of markov_repeats"
OWN_IDS = ("user_id", "session_id", "order_id", "device")  # of the further users: other ids
FURTHER = "further-"


@dataclass(frozen=True)
class _Found:
    model: str
    scored: Scored
    cpu_s: float


def make(suite: Suite, *, users: int, out: Path | None = None) -> Iterator[str]:
    """Make and store the ceilings of every simulated log of a suite; yield a line for each.

    Args:
        suite: whose logs, tasks and settings count.
        users: of the same shop, to learn from.
        out: the folder; None: that of the program.

    Raises InputError where the suite has no simulated log.
    """
    simulated = {name: s for name, s in suite.logs.items() if s.scenario is not None}
    if not simulated:
        raise InputError(f"suite {suite.name} has no simulated log, so there are no ceilings.")
    for source in simulated.values():
        log, learnt = _simulated(source, users)
        path = ceilings.path_of(Path(str(source.scenario)).stem)
        path = path if out is None else out / path.name
        for name in suite.tasks:
            if plugin_name(name) in source.skip_tasks:
                continue
            spec = {"task": name, "settings": suite.task_settings.get(plugin_name(name), {})}
            try:
                task = load_task_class(spec)
                asked = _asked(task, log, source.learn_users)
                found = _of_task(task, plugin_name(name), log, asked, learnt)
            except NotApplicable as reason:
                yield f"{plugin_name(name)} left out: {reason}"
                continue
            entries = [
                _entry(rung, plugin_name(name), found, source, users) for rung in found.rungs
            ]
            ceilings.store(path, entries)
            for entry in entries:
                value = entry.metrics[found.headline]
                yield (
                    f"{entry.task} {entry.rung}: {found.headline} {value:.4f} "
                    f"({entry.made['model']}, {entry.made['cpu_s']} CPU s)"
                )


def together(log: EventLog, further: EventLog) -> EventLog:
    """Return one log of both, the further users under ids of their own. Raises InputError."""
    known = ["user_id", "timestamp", "event"]
    rows = log.events[known].astype({"user_id": str, "event": str})
    if len(rows.merge(further.events[known].astype({"user_id": str, "event": str}), on=known)):
        raise InputError("The further users are those of the log; give another number of users.")
    shift = int(log.events["event_id"].max()) + 1
    events = further.events.assign(event_id=further.events["event_id"] + shift)
    for name in OWN_IDS:
        events[name] = events[name].cat.rename_categories(lambda text: FURTHER + text)
    labels = further.labels
    if labels is not None and log.labels is not None:
        labels = labels.assign(event_id=labels["event_id"] + shift)
        labels = pd.concat([log.labels.astype({"kind": str}), labels.astype({"kind": str})])
    joined = _joined(log.events, events)
    truth = {}
    if "exposures" in log.truth:
        shown = further.truth["exposures"]
        names = shown["session_id"].cat.rename_categories(lambda text: FURTHER + text)
        ids = shown["exposure_id"] + int(log.truth["exposures"]["exposure_id"].max()) + 1
        shown = shown.assign(session_id=names, exposure_id=ids)
        truth["exposures"] = _joined(log.truth["exposures"], shown)
    return EventLog(events=sort_events(joined), labels=labels, truth=truth, manifest=log.manifest)


def _only(log: EventLog, users: np.ndarray) -> EventLog:
    """Return the users' part of a log, with the truth of all."""
    return replace(log.only_users(users), truth=log.truth)


@dataclass(frozen=True)
class _OfTask:
    rungs: dict[str, _Found]
    questions: str
    headline: str


def _asked(task: Task, log: EventLog, learn_users: int | None) -> EventLog:
    """Return the log that the suite's own cell asks its questions of; see `SampledLog.asked`."""
    split = task.split(log)
    asked = task.asked_users(log, split)
    if learn_users is None or asked is None:
        return log
    rng = np.random.default_rng(sampled_log.SEED)
    learners = draw_users(log, learn_users, before=split.cut, rng=rng)
    return _only(log, np.union1d(learners, asked))


def _of_task(task: Task, name: str, log: EventLog, asked: EventLog, learnt: EventLog) -> _OfTask:
    data = task.prepare(learnt, asked, task.split(log))
    models = (_fitted(task, name, model, data) for model in MODELS[task.kind])
    tried = [found for found in models if found is not None]
    rungs: dict[str, _Found] = {}
    if task.kind == "next_item":
        tried.append(_reranked(task, data, None))
        if "exposures" in log.truth and data.valid is not None:
            pages = _slates(data, asked, learnt)
            rungs[ceilings.SLATE] = _reranked(task, data, pages)
    best = max(tried, key=lambda found: found.scored.metrics[task.headline])
    rungs[ceilings.HISTORY] = replace(best, cpu_s=sum(found.cpu_s for found in tried))
    return _OfTask(rungs, ceilings.identity(task, data), task.headline)


def _fitted(task: Task, name: str, model: str, data: TaskData) -> _Found | None:
    began = time.process_time()
    class_ = plugins.load("baselines.models", model, Model, kind="model")
    if class_.tasks is not None and name not in class_.tasks:
        return None
    learner = class_()
    learner.fit(data.train, data.valid, encoder=data.encoder, seed=SEED)
    scored = judge(task, Local(learner, data.valid), data).scored
    return _Found(model, scored, time.process_time() - began)


def _reranked(task: Task, data: TaskData, pages: tuple[Slates, Slates] | None) -> _Found:
    began = time.process_time()
    scored = task.judge(reranked_ranks(data, pages, seed=SEED), data)
    return _Found(RERANKED, scored, time.process_time() - began)


def _slates(data: TaskData, log: EventLog, learnt: EventLog) -> tuple[Slates, Slates]:
    assert data.valid is not None
    return (
        slates_of(learnt, data.valid.sequences, data.valid.queries, data.encoder),
        slates_of(log, data.test.sequences, data.test.queries, data.encoder),
    )


def _simulated(source: LogSource, users: int) -> tuple[EventLog, EventLog]:
    """Return the suite's log with its slates, and the log of the users to learn from."""
    import simulator

    def simulated(n: int) -> EventLog:
        return simulator.simulate(
            str(source.scenario),
            users=n,
            days=source.days,
            seed=source.seed,
            settings={**source.settings, "truth.exposures": True},  # the events stay the same
        ).grouped()

    log = simulated(source.users)
    if users < source.users:
        rng = np.random.default_rng(SEED)
        drawn = draw_users(log, users, before=Task.split(log).cut, rng=rng)
        return log, _only(log, drawn)
    return log, together(log, simulated(users - source.users)) if users > source.users else log


def _joined(one: pd.DataFrame, two: pd.DataFrame) -> pd.DataFrame:
    """Return both tables' rows, with one list of categories per column."""
    columns = {}
    for name in one:
        if isinstance(one[name].dtype, pd.CategoricalDtype):
            columns[name] = pd.api.types.union_categoricals([one[name], two[name]])
        else:
            columns[name] = np.concatenate([one[name].to_numpy(), two[name].to_numpy()])
    joined = pd.DataFrame(columns)
    if "timestamp" in joined:
        joined["timestamp"] = pd.concat([one["timestamp"], two["timestamp"]], ignore_index=True)
    return drop_unused_categories(joined)


def _entry(rung: str, task: str, of_task: _OfTask, source: LogSource, users: int) -> StoredCeiling:
    found = of_task.rungs[rung]
    scored = found.scored
    made = {
        "model": found.model,
        "users": users,
        "seed": SEED,
        "cpu_s": round(found.cpu_s),
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    log = _in_words(source)
    more = users - source.users
    who = f"{users:,} users" if more < 0 else "all users"
    others = f" and {more:,} further users of the same shop" if more > 0 else ""
    page = "" if rung == ceilings.HISTORY else ", with the page on the screen,"
    return StoredCeiling(
        rung=rung,
        task=task,
        questions=of_task.questions,
        log=log,
        metrics={n: float(v) if np.isfinite(v) else None for n, v in scored.metrics.items()},
        replicates={n: pack(r) for n, r in scored.replicates.items()},
        chance=scored.chance,
        provenance=(
            f"{found.model}{page} fitted on {who} of {log}{others}, up to the cut (seed {SEED}, "
            f"{made['cpu_s']} CPU s, commit {made['commit']}, {made['date']})"
        ),
        made=made,
    )


def _in_words(source: LogSource) -> str:
    changed = "".join(f", {k} = {v}" for k, v in sorted(source.settings.items()))
    return (
        f"{Path(str(source.scenario)).stem} ({source.users:,} users, {source.days} days, seed "
        f"{source.seed}{changed})"
    )


def _commit() -> str:
    """Return the commit of the program, or "unknown" outside a checkout."""
    folder: Any = plugins.folder("benchmark")
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
