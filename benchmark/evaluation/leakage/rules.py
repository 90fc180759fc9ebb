"""Check that a task breaks no rule: nothing that models learn from depends on what came later.

Errors are training rows or questions after the cut, values in a vocabulary that occur only in later
rows, and training questions that change when the future does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmark.task import NotApplicable, Task, TaskData
from eventlog import EventLog
from eventlog._runtime.errors import WorkError
from eventlog.arrays import Examples
from eventlog.encode import source_column
from eventlog.log import to_ms
from eventlog.split import TimeSplit

SEED = 19
SAMPLE = 1_000  # users of the small log on which the future is changed


class Leak(WorkError):
    """What a model learns from knows something that was only known later."""


def check(task: Task, data: TaskData, source: EventLog, log: EventLog, split: TimeSplit) -> None:
    """Raise Leak where `data`, made by `task` from `source` and `log`, breaks a rule."""
    if data.split_by == "user":
        found = [*_shared_users(data), *_late_rows(data, None)]
    else:
        found = [*_late_rows(data, split), *_late_values(data, source, split)]
    if source is log and data.split_by == "time":
        found += _future_matters(task, log, split)
    if found:
        raise Leak(f"a leak: {'; '.join(found)}")


def _shared_users(data: TaskData) -> Iterator[str]:
    """Look for users who are learnt from and asked about, and for rows after the first question."""
    test = data.test.sequences
    shared = np.intersect1d(
        data.train.sequences.users.astype(str), test.users[data.test.queries.user].astype(str)
    )
    if len(shared):
        yield f"{len(shared)} users are both learnt from and asked about, such as {shared[0]}"
    late = int((data.train.sequences.time > data.train.queries.time.max(initial=0)).sum())
    if late:
        yield f"{late} of the rows to learn from are later than the last question"


def _late_rows(data: TaskData, split: TimeSplit | None) -> Iterator[str]:
    """Look for rows and questions on the wrong side of the cut (None: there is no cut)."""
    if split is not None:
        yield from _beyond(data, to_ms(split.cut))
    for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test)):
        if part is None:
            continue
        asked, sequences = part.queries, part.sequences
        begin, stop = sequences.offsets[asked.user], sequences.offsets[asked.user + 1]
        foreign = (asked.end < begin) | (asked.end > stop)
        if foreign.any():
            yield f"{int(foreign.sum())} {name} questions know rows of another user"
            continue
        some = asked.end > begin
        early = sequences.time[asked.end[some] - 1] > asked.time[some]
        if early.any():
            yield (
                f"{int(early.sum())} {name} questions know rows that are later than they are asked"
            )


def _beyond(data: TaskData, cut: int) -> Iterator[str]:
    late = int((data.train.sequences.time >= cut).sum())
    if late:
        yield f"{late} of the rows to learn from are not before the cut"
    for name, part in (("train", data.train), ("valid", data.valid)):
        if part is not None and (part.queries.time >= cut).any():
            late = int((part.queries.time >= cut).sum())
            yield f"{late} {name} questions are asked at or after the cut"
    if (data.test.queries.time < cut).any():
        early = int((data.test.queries.time < cut).sum())
        yield f"{early} test questions are asked before the cut"


def _late_values(data: TaskData, source: EventLog, split: TimeSplit) -> Iterator[str]:
    late = (source.events["timestamp"] >= split.cut).to_numpy()
    users = set(source.events["user_id"].astype(str)[~late])
    unknown = [u for u in data.train.sequences.users if str(u) not in users]
    if unknown:
        yield (
            f"{len(unknown)} users to learn from are not known before the cut, such as {unknown[0]}"
        )
    for name, vocabulary in data.encoder.vocabularies.items():
        if (column := source_column(name)) not in source.events:
            continue
        values = source.events[column].astype("category")
        code, texts = values.cat.codes.to_numpy(), values.cat.categories.astype(str).to_numpy()
        only_later = (
            set(texts[np.setdiff1d(code[late], code[~late])]) & set(vocabulary)
            if late.any()
            else set()
        )
        if only_later:
            yield (
                f"{len(only_later)} values of {name} in the vocabulary occur only after the cut, "
                f"such as {min(only_later)}"
            )


def _future_matters(task: Task, log: EventLog, split: TimeSplit) -> Iterator[str]:
    """Prepare the questions of some users twice, the second time with another future.

    What models learn from must not change.
    """
    rng = np.random.default_rng(SEED)
    users = (
        log.events["user_id"].cat.categories
        if isinstance(log.events["user_id"].dtype, pd.CategoricalDtype)
        else pd.unique(log.events["user_id"])
    )
    some = log
    if len(users) > SAMPLE:
        late = set(log.events.loc[log.events["timestamp"] == log.span[1], "user_id"]) | set(
            # the span, and with it the cut, stay
            log.events.loc[log.events["timestamp"] == log.span[0], "user_id"]
        )
        some = log.only_users(late | set(rng.permutation(np.asarray(users, dtype=object))[:SAMPLE]))
    for part in (some, log) if some is not log else (log,):
        try:
            one, two = (task.prepare(p, p, split) for p in (part, _other_future(part, split, rng)))
        except NotApplicable:
            continue  # too few users for its questions: with all of them
        if one.encoder.to_json() != two.encoder.to_json():
            yield "what the encoder learns depends on rows after the cut"
        if not (
            _same(one.train, two.train)
            and (one.valid is None) == (two.valid is None)
            and _same(one.valid, two.valid)
        ):
            yield "the questions or answers to learn from depend on rows or labels after the cut"
        return


def _other_future(log: EventLog, split: TimeSplit, rng: np.random.Generator) -> EventLog:
    """Return the log with its rows after the cut shuffled among users, and later labels turned."""
    events = log.events.copy()
    columns = [c for c in events.columns if c not in ("event_id", "user_id", "timestamp")]
    rows = np.flatnonzero((events["timestamp"] >= split.cut).to_numpy())
    order = np.arange(len(events))
    order[rows] = rng.permutation(rows)
    for name in columns:
        events[name] = events[name].take(order).set_axis(events.index)
    labels = log.labels
    if labels is not None:
        labels = labels.copy()
        known_late = (labels["known_at"] >= split.cut).to_numpy()
        value = labels["value"].to_numpy(dtype=np.float64)
        labels["value"] = np.where(
            known_late & (rng.random(len(labels)) < 0.5), (value <= 0).astype(np.float64), value
        )
    return dataclasses.replace(log, events=events, labels=labels)


def _same(one: Examples | None, two: Examples | None) -> bool:
    if one is None or two is None:
        return one is two
    pairs = [(one.target, two.target), (one.treatment, two.treatment)]
    pairs += [(getattr(one.queries, f), getattr(two.queries, f)) for f in ("user", "end", "time")]
    pairs += [(one.sequences.columns[c], two.sequences.columns[c]) for c in one.sequences.columns]
    return all(
        a is b or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs
    )
