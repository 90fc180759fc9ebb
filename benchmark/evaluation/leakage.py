"""Detect leaks in a task's questions: does what models learn from know what happened later?

`check` finds errors of a task: training rows or questions after the cut, values in a vocabulary
that occur only in later rows, training questions that change when the future does. `suspect` finds
what looks like a leak and may have an innocent reason, which is shown beside the results: stretches
of rows that occur on both sides of the cut, and a single column that gives the answer away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmark.task import NotApplicable, Task, TaskData
from eventlog import EventLog
from eventlog._runtime.errors import WorkError
from eventlog.arrays import DAY_MS, FIRST, Examples
from eventlog.encode import source_column
from eventlog.log import to_ms
from eventlog.split import TimeSplit

SEED = 19
SAMPLE = 1_000  # users of the small log on which the future is changed
RUN = 5  # rows of a stretch that is looked for on the other side of the cut
# Share of stretches after the cut that may occur before it, beyond what is usual in the log.
COPIES = 0.01
REVEALING_AUC = 0.995  # of a single column that gives the answer away
MIN_ANSWERS = 20  # of each kind, for a column to be judged


class Leak(WorkError):
    """What a model learns from knows something that was only known later."""


def check(task: Task, data: TaskData, source: EventLog, log: EventLog, split: TimeSplit) -> None:
    """Raise Leak where `data`, made by `task` from `source` and `log`, breaks a rule."""
    found = [*_late_rows(data, split), *_late_values(data, source, split)]
    if source is log:
        found += _future_matters(task, log, split)
    if found:
        raise Leak(f"a leak: {'; '.join(found)}")


def suspect(
    task: Task, data: TaskData, source: EventLog, log: EventLog, split: TimeSplit
) -> list[str]:
    """Return a sentence for each thing that looks like a leak and need not be one."""
    same = source is log
    log = log.grouped()
    source = log if same else source.grouped()
    return [
        *_copies(source, log, split),
        *(_revealing_columns(data.train) if task.kind == "binary" else ()),
    ]


def _late_rows(data: TaskData, split: TimeSplit) -> Iterator[str]:
    cut = to_ms(split.cut)
    late = int((data.train.sequences.time >= cut).sum())
    if late:
        yield f"{late} of the rows to learn from are not before the cut"
    for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test)):
        if part is None:
            continue
        asked, sequences = part.queries, part.sequences
        if name != "test" and (asked.time >= cut).any():
            yield f"{int((asked.time >= cut).sum())} {name} questions are asked at or after the cut"
        if name == "test" and (asked.time < cut).any():
            yield f"{int((asked.time < cut).sum())} test questions are asked before the cut"
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
    events.loc[events.index[rows], columns] = events.iloc[rng.permutation(rows)][columns].to_numpy()
    for name in columns:
        events[name] = events[name].astype(log.events[name].dtype)
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


def _copies(source: EventLog, log: EventLog, split: TimeSplit) -> Iterator[str]:
    """Find stretches of RUN rows of a user after the cut that occur before it too.

    Two stretches are the same where events, items, prices and rough gaps are.
    """
    time = log.events["timestamp"]
    window = split.end - split.cut
    stretches, last, first = _stretches(log)
    late, before = (
        first >= to_ms(split.cut),
        (last < to_ms(split.cut)) & (first >= to_ms(split.cut - window)),
    )
    known = stretches[last < to_ms(split.cut)] if source is log else _stretches(source)[0]
    if late.sum() < 100 or len(known) == 0 or time.empty:
        return
    share = _share_within(stretches[late], known)
    usual = _share_within(stretches[before], stretches[last < to_ms(split.cut - window)])
    if share > COPIES + 3 * usual:
        yield (
            f"{share:.1%} of the stretches of {RUN} rows after the cut occur before it as well "
            f"({usual:.1%} is usual in this log): are rows copied across the cut?"
        )


def _share_within(some: np.ndarray, known: np.ndarray) -> float:
    """Return the share of `some` that is in `known`; the sort is faster than np.isin."""
    if len(some) == 0 or len(known) == 0:
        return 0.0
    known = np.sort(known)
    return float((known[np.minimum(np.searchsorted(known, some), len(known) - 1)] == some).mean())


def _stretches(log: EventLog) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (n,) hashes of the runs of RUN rows of one user that span some time.

    And (n,) the time of each run's last and of its first row, in ms.
    """
    events = log.events
    n = len(events) - RUN + 1
    if n <= 0:
        return (
            np.zeros(0, dtype=np.uint64),
            np.zeros(0, dtype=np.int64),
            np.zeros(0, dtype=np.int64),
        )
    time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    user = events["user_id"].astype("category").cat.codes.to_numpy()
    row = np.zeros(len(events), dtype=np.uint64)
    for name in ("event", "item_id", "price", "quantity"):
        if name in events:
            row = row * np.uint64(1_000_003) + _hashes(events[name])
    gap = np.append(0, np.diff(time)) / 1000.0
    # Gaps count to a factor of two, because a copy may be jittered.
    rough = np.log2(1 + np.maximum(gap, 0)).astype(np.uint64)
    found = row[:n].copy()
    for k in range(1, RUN):
        found = (found * np.uint64(1_000_003) + rough[k : n + k]) * np.uint64(1_000_003) + row[
            k : n + k
        ]
    last = RUN - 1
    keep = (
        (user[:n] == user[last:]) & (time[last:] > time[:n]) & (time[last:] - time[:n] < 7 * DAY_MS)
    )
    return found[keep], time[last:][keep], time[:n][keep]


def _hashes(values: pd.Series) -> np.ndarray:
    """Return (n,) uint64 hashes, the same for the same value in every log."""
    if pd.api.types.is_numeric_dtype(values):
        return pd.util.hash_array(values.to_numpy(dtype=np.float32, na_value=np.nan))
    texts = values.astype("category")
    hashes = pd.util.hash_array(
        texts.cat.categories.astype(str).to_numpy(dtype=object), categorize=False
    )
    return np.append(hashes, np.uint64(7))[texts.cat.codes.to_numpy()]


def _revealing_columns(train: Examples) -> Iterator[str]:
    """Find columns whose last known value alone gives the answer away."""
    answer = train.target > 0
    if min(answer.sum(), (~answer).sum()) < MIN_ANSWERS:
        return
    known = train.queries.end > train.sequences.offsets[train.queries.user]
    row, answer = train.queries.end[known] - 1, answer[known]
    for name, values in train.sequences.columns.items():
        at = values[row]
        if np.issubdtype(at.dtype, np.integer):
            if at.max(initial=0) - FIRST > len(at) / MIN_ANSWERS:
                continue  # with so many values it would reveal the answer by chance
            rate = np.bincount(at, weights=answer) / np.maximum(np.bincount(at), 1)
            at = rate[at]
        auc = _auc(at, answer)
        if max(auc, 1 - auc) > REVEALING_AUC:
            yield (
                f"the column {name} alone gives the answer away (ROC-AUC {max(auc, 1 - auc):.3f}): "
                "is it known when the question is asked?"
            )


def _auc(score: np.ndarray, answer: np.ndarray) -> float:
    """Return the ROC-AUC; 0.5 where a score or one of the two answers is missing."""
    if len(np.unique(answer)) < 2 or np.isnan(score).any():
        return 0.5
    return float(roc_auc_score(answer, score))
