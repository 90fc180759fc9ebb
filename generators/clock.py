"""Clock: the span of the log, the weekly cycle, and the gaps between events as a mixture.

A gap is one code: 0 = the user's sequence ends; then points and intervals of gaps inside a session; then those between
sessions, so that the session break is part of the code. A candidate time inside an interval is drawn several times and
one is kept in proportion to the weekly intensity of session starts: that is how the daily and weekly cycle comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from .coders import Bins
from .privacy import Census

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
WEEK_HOURS = 168
SESSION_GAP_S = 1_800.0  # silence that ends a session where the log has no session ids
CANDIDATES = 8           # draws per gap among which the weekly cycle chooses
REMAINING = 32           # levels of 'how much of the span is left'
STEPS_MS = (DAY_MS, HOUR_MS, 60_000, 1_000, 1)
PERIODS = (0, 2, 4, 6, 8)  # log2 of the days of a period, when a span is looked for under a budget
CELLS = 64                 # at the most, in which its ends are then looked for


@dataclass
class Clock:
    """When things can happen. Times are ms since 1970 UTC, gaps are seconds."""

    start_ms: int
    end_ms: int
    step_ms: int             # every timestamp is a multiple of it
    weekly: np.ndarray       # (168,) float64, mean 1: intensity of session starts, hour 0 = Monday 0:00 UTC
    within: Bins
    between: Bins
    _ends: torch.Tensor = field(init=False, repr=False)  # (2, size) float64: lower and upper end of each gap code

    def __post_init__(self) -> None:
        self._weekly = torch.from_numpy(np.asarray(self.weekly, dtype=np.float64))
        low = np.concatenate([[0.0], self.within.ends()[0][1:], self.between.ends()[0][1:]])
        high = np.concatenate([[0.0], self.within.ends()[1][1:], self.between.ends()[1][1:]])
        self._ends = torch.from_numpy(np.stack([low, high]))

    @property
    def size(self) -> int:
        """Number of gap codes, 'end' included."""
        return self.within.size + self.between.size - 1

    @classmethod
    def fit(cls, census: Census, *, user: np.ndarray, time: np.ndarray, gap: np.ndarray, breaks: np.ndarray, intervals: int) -> Self:
        """Learn from all rows: user (n,), time (n,) ms, gap (n,) s with NaN at a user's first row, breaks (n,) bool."""
        if census.private:
            first, last = private_days(census, user, time // DAY_MS)
            start, end, step = first * DAY_MS, (last + 1) * DAY_MS - 1, 1_000
        else:
            step = next(s for s in STEPS_MS if (time % s == 0).all())
            start, end = int(time.min()), int(time.max())
        starts = breaks | np.isnan(gap)
        weekly = census.histogram("weekly cycle of session starts", user[starts], hour_of_week(time[starts]), WEEK_HOURS, per_user=4)
        weekly = _smooth(weekly) if step < DAY_MS else np.ones(WEEK_HOURS)
        known = np.isfinite(gap)
        w, b = known & ~breaks, known & breaks
        within = Bins.fit(census, "gaps within sessions", user[w], gap[w], intervals=intervals, decimals=3, points_only=np.zeros(1))
        between = Bins.fit(census, "gaps between sessions", user[b], gap[b], intervals=intervals, decimals=3)
        return cls(start, end, step, weekly, within, between)

    def encode(self, gap: np.ndarray, breaks: np.ndarray) -> np.ndarray:
        """(n,) gap codes; -1 at a user's first row (its gap is NaN)."""
        within = self.within.encode(gap)
        between = self.between.encode(gap) + self.within.size - 1
        code = np.where(breaks & (self.between.size > 1), between, within)
        return np.where(np.isfinite(gap), code, -1)

    def is_break(self, code: torch.Tensor) -> torch.Tensor:
        """(n,) bool: does the gap begin a new session?"""
        return code >= self.within.size

    def fits(
        self, time: torch.Tensor, until: torch.Tensor, left: torch.Tensor, pending: torch.Tensor, final: torch.Tensor | None = None,
        after: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(n, size) bool: gaps that users who stand at `time` (n,) ms can draw, with `left` (n,) rows to go, the last at `until` (n,) ms.

        The end is for those who have none; the last gap is one that leads to `until`, or the nearest to it. A session is
        not over while what it is about is `pending` (n,) bool. Where last sessions are planned, `left` and `until` are those of the
        rows before it, unless `final` (n,) bool says that it has begun: it is not broken off, and where nothing is left before
        it, it begins. Nothing happens before `after` (n,) ms; who cannot wait so long ends.
        """
        seconds = ((until - time).to(torch.float64) / 1000.0)[:, None]
        low, high = self._ends[0][None, :], self._ends[1][None, :]
        before = torch.zeros(len(time), dtype=torch.bool) if final is None else ~final  # the last session
        begins = before & (left == 0) & ~pending
        can = (low <= seconds) & ((left > 0) | before)[:, None]
        can[:, 0] = False
        if final is not None and self.between.size > 1:
            can[:, 1:self.within.size] &= ~begins[:, None]
            can[:, self.within.size:] &= ~final[:, None] | ~can[:, 1:self.within.size].any(1, keepdim=True)
            can[:, self.within.size] |= begins & ~can.any(1)  # no time is left: the shortest break
        short = torch.where(can, (seconds - high).clamp(min=0), torch.inf)
        meets = (left == 1) if final is None else begins | (final & (left == 1))
        can &= ~meets[:, None] | (short <= short.amin(1, keepdim=True))
        can[:, 0] = (left == 0) & ~can[:, 1:].any(1)
        within = can[:, 1:self.within.size].any(1)
        can[:, self.within.size:] &= ~(pending & within)[:, None]
        if after is not None:
            can[:, 1:] &= high[:, 1:] > ((after - time).to(torch.float64) / 1000.0)[:, None]
            can[:, 0] |= ~can[:, 1:].any(1)
        return can

    def leaves(self, room: torch.Tensor, needed: torch.Tensor) -> torch.Tensor:
        """(n, codes of breaks) bool: of `room` (n,) ms, does the break leave `needed` (n,) ms?"""
        out: torch.Tensor = self._ends[0, self.within.size:][None, :] * 1000 <= (room - needed)[:, None]
        return out

    def move(
        self, time: torch.Tensor, code: torch.Tensor, until: torch.Tensor, meets: torch.Tensor, generator: torch.Generator,
        after: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(n,) ms: the time after a gap of `code`, from `after` to `until`, shaped by the weekly cycle where the interval is wide.

        It is `until` itself where the gap can lead there and `meets` (n,) bool says that it should.
        """
        low, high = self._ends[:, code]
        if after is not None:
            low = torch.maximum(low, (after - time).to(torch.float64) / 1000.0)
        room = (until - time).to(torch.float64) / 1000.0
        high = torch.maximum(torch.minimum(high, room), low)
        u = torch.rand((len(time), CANDIDATES), generator=generator, dtype=torch.float64)
        positive = (low > 0) & (high > low)
        safe_low, safe_high = torch.where(positive, low, 1.0), torch.where(positive, high, 1.0)
        even = low[:, None] + u * (high - low)[:, None]
        gap = torch.where(positive[:, None], safe_low[:, None] * (safe_high / safe_low)[:, None] ** u, even)
        moved = time[:, None] + (gap * 1000.0).round().to(torch.int64)
        moved = torch.div(moved, self.step_ms, rounding_mode="floor") * self.step_ms
        wide = self.is_break(code) & (high - low > 1_800)
        last = meets & (room <= self._ends[1, code]) & (room >= low)
        return torch.where(last, until, torch.minimum(self._choose(moved, wide, generator), torch.maximum(until, time)))

    def arrive(self, low: torch.Tensor, high: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """(n,) ms: first events between `low` and `high` (n,) ms, shaped by the weekly cycle."""
        u = torch.rand((len(low), CANDIDATES), generator=generator, dtype=torch.float64)
        moved = (low[:, None] + u * (high - low)[:, None]).to(torch.int64)
        moved = torch.div(moved, self.step_ms, rounding_mode="floor") * self.step_ms
        return self._choose(moved, torch.ones(len(low), dtype=torch.bool), generator).clamp(self.start_ms, self.end_ms)

    def _choose(self, moved: torch.Tensor, shaped: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        hour = (torch.div(moved, HOUR_MS, rounding_mode="floor") + 72) % WEEK_HOURS
        weight = torch.where(shaped[:, None], self._weekly[hour] + 1e-9, 1.0).cumsum(1)
        draw = torch.rand(len(moved), generator=generator, dtype=torch.float64)[:, None] * weight[:, -1:]
        pick = (weight <= draw).sum(1).clamp(max=CANDIDATES - 1)
        return moved.gather(1, pick[:, None])[:, 0]

    def cycle(self) -> torch.Tensor:
        """(WEEK_HOURS, size) float32: log of the mean weekly intensity where each gap lands, by the hour of the week it starts in.

        Added to the logits of the gap, so that a model need not learn the cycle from what follows it.
        """
        total = torch.cat([torch.zeros(1, dtype=torch.float64), self._weekly.repeat(2).cumsum(0)])  # intensity up to each hour of two weeks

        def until(hours: torch.Tensor) -> torch.Tensor:
            weeks = torch.div(hours, WEEK_HOURS, rounding_mode="floor")
            rest = hours - weeks * WEEK_HOURS
            whole = rest.long()
            return weeks * total[WEEK_HOURS] + total[whole] + (rest - whole) * (total[whole + 1] - total[whole])

        start = torch.arange(WEEK_HOURS, dtype=torch.float64)[:, None] + 0.5
        low, high = self._ends[0][None, :] / 3600, self._ends[1][None, :] / 3600
        high = torch.maximum(high, low + 0.5)  # a point stands for its half hour
        mean = (until(start + high) - until(start + low)) / (high - low)
        bias = torch.log(mean.clamp(min=1e-3))
        bias[:, :self.within.size] = 0.0
        return bias.to(torch.float32)

    def levels(self, time: torch.Tensor) -> torch.Tensor:
        """(n, 3) int64: hour of the day (0..23), day of the week (0..6, Monday first), remaining span (0..REMAINING-1)."""
        hour = (torch.div(time, HOUR_MS, rounding_mode="floor") + 72) % WEEK_HOURS
        left = (self.end_ms - time).to(torch.float64) / max(self.end_ms - self.start_ms, 1)
        return torch.stack([hour % 24, torch.div(hour, 24, rounding_mode="floor"), (left * REMAINING).long().clamp(0, REMAINING - 1)], 1)

    def to_json(self) -> dict[str, Any]:
        """Plain data for `from_json`."""
        return {"start_ms": self.start_ms, "end_ms": self.end_ms, "step_ms": self.step_ms, "weekly": np.asarray(self.weekly).tolist(),
                "within": self.within.to_json(), "between": self.between.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The clock that `to_json` described."""
        return cls(int(data["start_ms"]), int(data["end_ms"]), int(data["step_ms"]), np.array(data["weekly"]),
                   Bins.from_json(data["within"]), Bins.from_json(data["between"]))


def hour_of_week(time: np.ndarray) -> np.ndarray:
    """(n,) int64 0..167 of (n,) ms; 1970-01-01 was a Thursday, hence 72 hours."""
    return (time // HOUR_MS + 72) % WEEK_HOURS


def _smooth(counts: np.ndarray) -> np.ndarray:
    """Mean 1, with a little of the mean mixed in, so that a thin hour is not an impossible one unless it is far from all others."""
    total = counts.sum()
    if total <= 0:
        return np.ones_like(counts)
    return (counts + 0.001 * total / len(counts)) / (total / len(counts)) / 1.001


def private_days(census: Census, user: np.ndarray, day: np.ndarray) -> tuple[int, int]:
    """First and last day of the span, under a budget; user (n,) and day (n,) of all rows, days since 1970.

    Each user votes for one of their days, and so for the periods of 1, 4, 16, 64 and 256 days around it. The shortest periods of
    which enough users are heard hold the span; where these are not days, its ends are looked for in even cells. A log of few
    users over a long time has no day that many share. 2000-01-03 stands where nothing is heard.
    """
    voter, vote = census.draw(user, day, per_user=1)
    periods = np.array(PERIODS)
    shift, base = 1 << 32, 1 << 31  # a period's number, which may be negative, beside its length
    value = np.concatenate([k * shift + base + (vote >> p) for k, p in enumerate(periods)])
    kept, counts = census.popular("periods of the span", np.tile(voter, len(periods)), value, per_user=len(periods))
    if not len(kept):
        nothing = pd.Timestamp("2000-01-03").value // (DAY_MS * 1_000_000)
        return int(nothing), int(nothing)
    length, number = kept // shift, kept % shift - base
    heard = np.bincount(length, counts, minlength=len(periods))
    enough = heard >= 0.95 * min(census.ledger.users, heard.max())
    k = int(np.argmax(enough))
    number = number[length == k]
    first, last = int(number.min()) << int(periods[k]), ((int(number.max()) + 1) << int(periods[k])) - 1
    if periods[k] == 0:
        return first, last
    noise = census.noise_of(weight=1.0, per_user=2)
    n_cells = int(np.clip(2 * census.ledger.users / (6 * noise), 2, min(CELLS, last - first + 1)))
    edges = np.linspace(first, last + 1, n_cells + 1).round().astype(np.int64)
    inside = (day >= first) & (day <= last)
    cell = np.searchsorted(edges, day[inside], side="right") - 1
    found = np.flatnonzero(census.histogram("ends of the span", user[inside], cell, n_cells, per_user=2) > 3 * noise)
    return (int(edges[found[0]]), int(edges[found[-1] + 1]) - 1) if len(found) else (first, last)
