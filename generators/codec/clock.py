"""Clock: the span of the log, the weekly cycle, and the gaps between events as a mixture.

A gap is one code: 0 ends the user's sequence; then come points and intervals of gaps inside a
session; then those between sessions, so that the code says whether a session starts. The time to
which a gap leads is drawn in `generators.sampling.timing`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Self

import numpy as np
import pandas as pd
import torch

from eventlog._runtime.errors import InputError
from eventlog.check import EARLIEST, LATEST
from generators.codec.coders import Bins
from generators.codec.rhythms import MOST_RHYTHMS, learn_rhythms
from generators.codec.timing_params import HOUR_MS, WEEK_HOURS
from generators.privacy.queries import PrivateQueries
from generators.validation import Record

DAY_MS = 86_400_000
STEPS_MS = (DAY_MS, HOUR_MS, 60_000, 1_000, 1)
FINEST_PRIVATE_MS = 1_000  # under a budget
PERIODS = (0, 2, 4, 6, 8)  # log2 of the days of a period, when a span is looked for under a budget
# halvings of the highest interval of gaps: within it they would be drawn too long
TAIL = 4
CELLS = 64  # at the most, in which its ends are then looked for
BESIDE = 3  # cells that say how full one is that the log covers
# of any event: those of `eventlog check`
FIRST_MS, LAST_MS = EARLIEST.value // 1_000_000, LATEST.value // 1_000_000 - 1
LONGEST_GAP_S = 2.0**33  # the grid of gaps under a budget ends at half of it
BUSIEST = 1e6  # of the weekly cycle, whose mean is 1
STEP_WEIGHT = 0.5  # of the question on which step times are: it is far from close in most logs
OFF_STEP = 0.01  # share of users whose row may lie off the step of all others
SURE = 3.0  # standard deviations of noise by which the share may be exceeded


class Passed(IntEnum):
    """What has passed since a user's row before."""

    NO_TIME = 0
    TIME = 1
    SESSION = 2  # the row begins another one, or is the first


@dataclass(frozen=True)
class Clock:
    """When things can happen. Times are ms since 1970 UTC, gaps are seconds."""

    start_ms: int
    end_ms: int
    step_ms: int  # every timestamp is a multiple of it
    # (168,) float64, mean 1: intensity of session starts, hour 0 = Monday 0:00 UTC
    weekly: np.ndarray
    within: Bins
    between: Bins
    # (classes of users, 168) float64, mean 1: the same of each class; there may be none
    rhythms: np.ndarray = field(default_factory=lambda: np.zeros((0, WEEK_HOURS)))

    def gap_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper end of each gap code, (size,) float64 s each."""
        low, high = (
            np.concatenate([[0.0], w[1:], b[1:]])
            for w, b in zip(self.within.ends(), self.between.ends(), strict=True)
        )
        return low, high

    def weekly_of_rhythms(self) -> np.ndarray:
        """Return the weekly intensity of each class of users, (classes, 168); one where none is."""
        weekly = self.rhythms if len(self.rhythms) else self.weekly[None]
        return np.ascontiguousarray(weekly, dtype=np.float64)

    def shortest_between(self) -> float:
        """Return the shortest time between the beginnings of two sessions in s, inf if none is."""
        low = self.gap_ends()[0][self.within.size :]
        return float(low.min()) if len(low) else np.inf

    def seconds(self) -> float:
        """Return how long the span is, its last step included."""
        return (self.end_ms - self.start_ms + self.step_ms) / 1000

    @property
    def size(self) -> int:
        """Number of gap codes, 'end' included."""
        return self.within.size + self.between.size - 1

    @classmethod
    def fit(
        cls,
        queries: PrivateQueries,
        *,
        user: np.ndarray,
        time: np.ndarray,
        gap: np.ndarray,
        is_session_start: np.ndarray,
        intervals: int,
    ) -> Self:
        """Learn from all rows, (n,) each.

        `time` is in ms, `gap` in s with NaN at a user's first row, `is_session_start` bool.
        """
        if queries.private:
            first, last = np.clip(
                private_days(queries, user, time // DAY_MS), FIRST_MS // DAY_MS, LAST_MS // DAY_MS
            ).tolist()
            step = private_step(queries, user, time)
            start, end = first * DAY_MS, (last + 1) * DAY_MS - step
        else:
            step = next(s for s in STEPS_MS if (time % s == 0).all())
            start, end = int(time.min()), int(time.max())
            if start < FIRST_MS or end > LAST_MS:
                raise InputError(
                    "The log has events before 1990 or after 2100; 'python -m eventlog check' "
                    "names them, remove them first."
                )
        starts = is_session_start | np.isnan(gap)
        weekly = queries.histogram(
            "weekly cycle of session starts",
            user[starts],
            hour_of_week(time[starts]),
            WEEK_HOURS,
            per_user=4,
        )
        weekly = _smooth(weekly if step < DAY_MS else np.repeat(weekly.reshape(7, 24).sum(1), 24))
        rhythms = np.zeros((0, WEEK_HOURS))
        if not queries.private:
            rhythms = learn_rhythms(
                user[starts],
                hour_of_week(time[starts]),
                daily=step >= DAY_MS,
                min_users=queries.min_users,
            )
        known = np.isfinite(gap)
        w, b = known & ~is_session_start, known & is_session_start
        within = Bins.fit(
            queries,
            "gaps within sessions",
            user[w],
            gap[w],
            intervals=intervals,
            decimals=3,
            points_only=np.zeros(1),
            tail=TAIL,
        )
        between = Bins.fit(
            queries,
            "gaps between sessions",
            user[b],
            gap[b],
            intervals=intervals,
            decimals=3,
            tail=TAIL,
        )
        if queries.private:
            within, between = on_step(within, step), on_step(between, step)
        return cls(start, end, step, weekly, within, between, rhythms)

    def encode(self, gap: np.ndarray, is_session_start: np.ndarray) -> np.ndarray:
        """Return gap codes (n,); -1 at a user's first row, whose gap is NaN."""
        within = self.within.encode(gap)
        between = self.between.encode(gap) + self.within.size - 1
        code = np.where(is_session_start & (self.between.size > 1), between, within)
        return np.where(np.isfinite(gap), code, -1)

    def starts_session(self, code: torch.Tensor) -> torch.Tensor:
        """Return whether each gap starts a new session, (n,) bool."""
        return code >= self.within.size

    def passed(self) -> np.ndarray:
        """Return what has passed with each gap code, (size,) int64: see `Passed`."""
        some = self.gap_ends()[1] > 0
        begins = np.arange(self.size) >= self.within.size
        return np.where(begins, int(Passed.SESSION), some.astype(np.int64))

    def cycle(self, weekly: np.ndarray) -> torch.Tensor:
        """Return the log of the mean intensity `weekly` (WEEK_HOURS,) where each gap ends.

        It is (WEEK_HOURS, size) float32, by the hour of the week in which the gap begins, and is
        added to the logits of the gap, so that a model need not learn the weekly cycle.
        """
        # intensity up to each hour of two weeks
        hourly = np.tile(weekly, 2)
        total = torch.from_numpy(np.append(0.0, np.cumsum(hourly)))

        def until(hours: torch.Tensor) -> torch.Tensor:
            weeks = torch.div(hours, WEEK_HOURS, rounding_mode="floor")
            rest = hours - weeks * WEEK_HOURS
            whole = rest.long()
            return (
                weeks * total[WEEK_HOURS]
                + total[whole]
                + (rest - whole) * (total[whole + 1] - total[whole])
            )

        start = torch.arange(WEEK_HOURS, dtype=torch.float64)[:, None] + 0.5
        low, high = (torch.from_numpy(end)[None, :] / 3600 for end in self.gap_ends())
        high = torch.maximum(high, low + 0.5)  # a point covers its half hour
        mean = (until(start + high) - until(start + low)) / (high - low)
        bias = torch.log(mean.clamp(min=1e-3))
        bias[:, : self.within.size] = 0.0
        return bias.to(torch.float32)

    @classmethod
    def from_json(cls, data: Record) -> Self:
        """Read a clock from model.json. Raises StateError where it is not valid."""
        data.only(("start_ms", "end_ms", "step_ms", "weekly", "within", "between", "rhythms"))
        start = data.integer("start_ms", FIRST_MS, LAST_MS)
        end = data.integer("end_ms", start, LAST_MS)
        step = data.integer("step_ms", 1, DAY_MS)
        if step not in STEPS_MS:
            data.fail("step_ms", f"is {step}; it must be one of {', '.join(map(str, STEPS_MS))}")
        weekly = data.numbers("weekly", size=WEEK_HOURS, low=0, high=BUSIEST)
        if not weekly.any():
            data.fail("weekly", "has only zeros")
        within, between = (
            Bins.from_json(data.record(n), low=0, high=LONGEST_GAP_S) for n in ("within", "between")
        )
        classes = data.value("rhythms")
        n = len(classes) if isinstance(classes, list) and len(classes) <= MOST_RHYTHMS else 0
        rhythms = data.table("rhythms", (n, WEEK_HOURS), low=0, high=BUSIEST)
        if n == 1 or not rhythms.any(1).all():
            data.fail("rhythms", "is one rhythm, or has one that is only zeros")
        return cls(start, end, step, weekly, within, between, rhythms)


def hour_of_week(time: np.ndarray) -> np.ndarray:
    """Return the hour of the week of (n,) ms, int64 0..167."""
    return (time // HOUR_MS + 72) % WEEK_HOURS  # 1970-01-01 was a Thursday


def _smooth(counts: np.ndarray) -> np.ndarray:
    """Scale counts to mean 1 and mix in a little of the mean: a rare hour stays possible."""
    total = counts.sum()
    if total <= 0:
        return np.ones_like(counts)
    return (counts + 0.001 * total / len(counts)) / (total / len(counts)) / 1.001


def on_step(bins: Bins, step_ms: int) -> Bins:
    """Return `bins` of seconds under a budget, each interval from the least multiple of the step.

    Times are cut to the step: a gap of half a day would end on the day on which it began.
    """
    if step_ms == FINEST_PRIVATE_MS:
        return bins
    low, high = (np.ceil(end * 1000 / step_ms) * step_ms / 1000 for end in (bins.low, bins.high))
    there = low < high
    return replace(bins, low=low[there], high=high[there])


def private_step(queries: PrivateQueries, user: np.ndarray, time: np.ndarray) -> int:
    """Return the coarsest of STEPS_MS on which nearly all times are, a second at the finest.

    Each user votes for the step of one of their rows. `time` (n,) is in ms, of all rows. Where the
    noise hides what users vote for the result is a second.
    """
    voter, vote = queries.draw("step of times", user, time, per_user=1)
    steps = np.array([step for step in STEPS_MS if step > FINEST_PRIVATE_MS])
    off = vote[:, None] % steps != 0  # coarse steps first: off a step is off all before it
    counts = queries.histogram(
        "step of times", voter, off.sum(1), len(steps) + 1, per_user=1, weight=STEP_WEIGHT
    )
    noise = queries.noise_of(weight=STEP_WEIGHT, per_user=1)
    by_chance = OFF_STEP * queries.n_users + SURE * noise
    finer = counts.sum() - np.cumsum(counts)[:-1]
    fits = steps[(finer <= by_chance) & (queries.n_users > 3 * by_chance)]
    return int(fits[0]) if len(fits) else FINEST_PRIVATE_MS


def private_days(queries: PrivateQueries, user: np.ndarray, day: np.ndarray) -> tuple[int, int]:
    """Return the first and last day of the span, under a budget.

    `user` and `day` (n,) are those of all rows, in days since 1970. Each user votes for one of
    their days, and so for the periods of 1, 4, 16, 64 and 256 days around it. The shortest periods
    with enough votes hold the span; where these are not days, its ends are looked for in even
    cells, because a log of few users over a long time has no day that many share. A twentieth of
    the votes may lie outside, as where a log ends quietly: it goes on as long as cells are not
    empty. Without enough votes the result is 2000-01-03.
    """
    voter, vote = queries.draw("day of the span", user, day, per_user=1)
    periods = np.array(PERIODS)
    shift, base = 1 << 32, 1 << 31  # a period's number, which may be negative, beside its length
    value = np.concatenate([k * shift + base + (vote >> p) for k, p in enumerate(periods)])
    kept, counts = queries.popular(
        "periods of the span", np.tile(voter, len(periods)), value, per_user=len(periods)
    )
    if not len(kept):
        nothing = pd.Timestamp("2000-01-03").value // (DAY_MS * 1_000_000)
        return int(nothing), int(nothing)
    length, number = kept // shift, kept % shift - base
    above_noise = np.bincount(length, counts, minlength=len(periods))
    enough = above_noise >= 0.95 * min(queries.ledger.users, above_noise.max())
    k = int(np.argmax(enough))
    first, last = _covered(number[length == k], int(periods[k]))
    if periods[k] == 0:
        return first, last
    noise = queries.noise_of(weight=1.0, per_user=2)
    most = int(np.clip(2 * queries.ledger.users / (6 * noise), 2, CELLS))
    start, stop = first, last
    if (length == k + 1).any():
        wider = _covered(number[length == k + 1], int(periods[k + 1]))
        if wider[1] - wider[0] < most << int(periods[k]):  # cells no longer than the periods
            start, stop = min(first, wider[0]), max(last, wider[1])
    edges = np.linspace(start, stop + 1, min(most, stop - start + 1) + 1).round().astype(np.int64)
    inside = (day >= start) & (day <= stop)
    cell = np.searchsorted(edges, day[inside], side="right") - 1
    found = queries.histogram("ends of the span", user[inside], cell, len(edges) - 1, per_user=2)
    within = (edges[:-1] <= last) & (edges[1:] > first)
    return _ends(found, edges, within, SURE * noise) or (first, last)


def _ends(
    counts: np.ndarray, edges: np.ndarray, within: np.ndarray, above: float
) -> tuple[int, int] | None:
    """Return the first and last day of the cells that are not empty; None where all are.

    Args:
        counts: (n,) of cells.
        edges: (n + 1,) days between which they lie.
        within: (n,) which cells the log has without doubt, if any; it goes on beyond them as long
            as cells are not empty.
        above: counts that are more are not chance.
    """
    full = counts > above
    found = np.flatnonzero(full & within)
    if not len(found):
        return None
    begin, end = int(found[0]), int(found[-1])
    while begin > 0 and full[begin - 1]:
        begin -= 1
    while end + 1 < len(counts) and full[end + 1]:
        end += 1
    width, known = np.diff(edges), counts[begin : end + 1]
    early = (1 - _filled(known)) * width[begin]
    late = (1 - _filled(known[::-1])) * width[end]
    return int(edges[begin] + early), int(edges[end + 1] - np.floor(late)) - 1


def _covered(number: np.ndarray, period: int) -> tuple[int, int]:
    """Return the first and last day of periods of 2^`period` days, by their numbers."""
    return int(number.min()) << period, ((int(number.max()) + 1) << period) - 1


def _filled(counts: np.ndarray) -> float:
    """Return which part of the first of the cells the log covers, by the emptiest beside it."""
    usual = counts[1 : 1 + BESIDE].min() if len(counts) > 1 else counts[0]
    return float(np.clip(counts[0] / max(usual, 1e-9), 0.0, 1.0))
