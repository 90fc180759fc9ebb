"""What a log consists of, learnt under a privacy budget: its days, event names and label kinds.

Event names that are not in the schema must pass a threshold; names of a single user pass it with a
probability of at most a share of delta (Gopi et al. 2020, arXiv:2002.09745).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.special import ndtri

from eventlog._runtime.errors import InputError
from eventlog.check import EARLIEST, LATEST
from eventlog.log import EventLog
from eventlog.privacy.noise import grid_of
from eventlog.schema import ROLES, TIME, roles_of
from simulator.calibration.statistics import BOUNDS, DAY_MS, Answer, SummaryStatistics
from simulator.calibration.window import Outline
from simulator.fraud.labels import KINDS

NAMES_PER_USER = 16  # event names of a user that count: those of most rows
# Thresholds, in sds of the noise.
NAME_THRESHOLD = 3.5  # that a name or kind of the schema must exceed to count as there
DAYS_THRESHOLD = 5.5  # that a stretch of days must exceed: chance alone does in 0.3 % of logs
# The same for days apart from the others: a false one would make the span far too long.
MORE_DAYS_THRESHOLD = 6.5
DAYS, NAMES, LABELS = "days", "event names", "label kinds"
OUTLINE_BOUNDS = {DAYS: BOUNDS[DAYS], NAMES: 1.0, LABELS: 1.0}  # see statistics.BOUNDS
# The days that are asked about: the first one, counted since 1970, and how many they are.
FIRST_DAY = EARLIEST.value // (DAY_MS * 1_000_000)
N_DAYS = LATEST.value // (DAY_MS * 1_000_000) - FIRST_DAY


def foreign_names(log: EventLog) -> list[str]:
    """Return the event names that occur and are not in the schema, sorted."""
    return sorted(set(log.events["event"].astype(str).unique()) - ROLES.keys())


def outline_answers(log: EventLog, foreign: list[str]) -> dict[str, Answer]:
    """Return what each user adds to the questions that the outline follows from.

    Cells of the days: those from `eventlog.check.EARLIEST` to LATEST. Of the event names: those of
    the schema, then `foreign`. Of the label kinds: those that the simulator knows; a log without a
    table of labels has no such question.
    """
    events = log.events
    user = events["user_id"].astype("category").cat.codes.to_numpy(dtype=np.int64)
    day = events["timestamp"].astype(TIME).astype("int64").to_numpy() // DAY_MS - FIRST_DAY
    known = (day >= 0) & (day < N_DAYS)
    answers = {DAYS: _counts(user[known], day[known], N_DAYS)}

    cells = pd.Index([*ROLES, *foreign])
    name = events["event"].astype("category").cat
    rows = _counts(user, cells.get_indexer(name.categories.astype(str))[name.codes], len(cells))
    most_first = np.lexsort((rows.cell, -rows.value, rows.user))
    owner = rows.user[most_first]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    kept = most_first[rank < NAMES_PER_USER]
    answers[NAMES] = Answer(rows.user[kept], rows.cell[kept], np.ones(len(kept)), len(cells))

    if log.labels is not None:
        event, kind = log.labels["event_id"].to_numpy(), log.labels["kind"].astype(str).to_numpy()
        owners = [
            np.unique(user[np.isin(events["event_id"], event[kind == name])]) for name in KINDS
        ]
        cell = np.repeat(np.arange(len(KINDS)), [len(owner) for owner in owners])
        answers[LABELS] = Answer(np.concatenate(owners), cell, np.ones(len(cell)), len(KINDS))
    return answers


def _counts(user: np.ndarray, cell: np.ndarray, size: int) -> Answer:
    """Answer that counts the rows of each user (n,) in each cell (n,)."""
    pair, rows = np.unique(user * size + cell, return_counts=True)
    return Answer(pair // size, pair % size, rows.astype(np.float64), size)


def outline_from(
    sums: SummaryStatistics,
    sd: dict[str, float],
    foreign: list[str],
    roles: dict[str, str] | None,
    *,
    delta: float,
) -> Outline:
    """Return the outline that noisy sums of `outline_answers` show.

    `roles`: event name -> role, as the manifest says; only names that pass are looked up. `delta`:
    the probability with which any name of a single user may pass.
    """
    span = covered(sums[DAYS], sd[DAYS])
    if span is None:
        raise InputError(
            "The noise hides which days the log covers; it takes more users or a larger epsilon."
        )
    first, last = (EARLIEST + pd.Timedelta(days=day) for day in span)
    cells = [*ROLES, *foreign]
    least = np.full(len(cells), name_threshold(sd[NAMES], delta))
    least[: len(ROLES)] = NAME_THRESHOLD * sd[NAMES]
    passing = np.flatnonzero(sums[NAMES] > least)
    if not len(passing):
        raise InputError(
            "The noise hides every event name of the log; it takes more users or a larger epsilon."
        )
    events = [cells[k] for k in passing[np.argsort(-sums[NAMES][passing], kind="stable")]]
    kinds: list[str] = []
    if LABELS in sums:
        kinds = [KINDS[k] for k in np.flatnonzero(sums[LABELS] > NAME_THRESHOLD * sd[LABELS])]
    return Outline(first, last, roles_of(events, roles), kinds)


def name_threshold(sd: float, delta: float) -> float:
    """Return the noisy sum above which a name is shown.

    Any name that one user alone has passes it with probability `delta` at most. A user with t names
    of their own adds at most 1 / sqrt(t) to each (Gopi et al. 2020).
    """
    t = np.arange(1, NAMES_PER_USER + 1)
    # probability of one of t names, such that none passes with probability 1 - delta
    each = -np.expm1(np.log1p(-delta) / t)
    rounding = grid_of(sd)  # of the noise
    return float((1 / np.sqrt(t) - sd * ndtri(each)).max()) + rounding


def covered(counts: np.ndarray, sd: float) -> tuple[int, int] | None:
    """Return the first and last day that a log covers, from noisy `counts` (n,) of all days.

    The stretch of days that stands out most from the noise (the scan statistic, sum / sqrt(days))
    is widened by further ones before and after it for as long as they stand out, too. None where
    no stretch does.
    """
    total = np.append(0.0, np.cumsum(counts)) / sd
    found = _stretch(total, 0, len(counts), above=DAYS_THRESHOLD)
    if found is None:
        return None
    first, end = found
    while (more := _stretch(total, 0, first, above=MORE_DAYS_THRESHOLD)) is not None:
        first = more[0]
    while (more := _stretch(total, end, len(counts), above=MORE_DAYS_THRESHOLD)) is not None:
        end = more[1]
    return first, end - 1


def _stretch(total: np.ndarray, low: int, high: int, *, above: float) -> tuple[int, int] | None:
    """Start and end of the days in low..high that stand out most, if by more than `above` sds.

    `total` (n + 1,): cumulated counts in sds. Lengths are tried in steps of a tenth, then both ends
    are moved.
    """
    size = high - low
    if size < 1:
        return None
    lengths = np.unique(np.round(1.1 ** np.arange(math.log(size, 1.1) + 1)).astype(np.int64))
    best, start, end = -np.inf, low, low
    for length in lengths[lengths <= size]:
        score = (total[low + length : high + 1] - total[low : high + 1 - length]) / math.sqrt(
            length
        )
        k = int(score.argmax())
        if score[k] > best:
            best, start, end = float(score[k]), low + k, low + k + int(length)
    for _ in range(20):
        before = start, end
        start = low + int(
            ((total[end] - total[low:end]) / np.sqrt(end - np.arange(low, end))).argmax()
        )
        ends = np.arange(start + 1, high + 1)
        end = int(ends[((total[ends] - total[start]) / np.sqrt(ends - start)).argmax()])
        if before == (start, end):
            break
    return (start, end) if (total[end] - total[start]) / math.sqrt(end - start) > above else None
