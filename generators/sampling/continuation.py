"""How given users continue: when each comes back, and with how many rows.

A log is cut at earlier instants. Of each user at a cut (a donor) it is known what they had done by
then and what they did next. A given user continues as one of the most similar donors did, by
recency, tenure and rate, the variables of customer-base analysis (Fader, Hardie and Lee 2005,
doi:10.1287/mksc.1040.0098). A horizon that is long compared with the log is covered in steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial import cKDTree

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from generators.codec.clock import DAY_MS
from generators.codec.codec import Codec
from generators.codec.features import gaps_and_session_starts, session_labels_of_rows
from generators.codec.timing_params import HOUR_MS

CUTS = 3  # earlier instants at which the log is cut
NEIGHBOURS = 3  # donors most like a user, of whom one is drawn
FEWEST_DONORS = 50  # with fewer, users sampled from the generator are the donors
SAMPLE = 1_000  # users sampled as donors
MOST_STEPS = 1_000  # in which a horizon is covered
# Of recency, tenure, rate of rows, rate of sessions, recent rows: how much each counts.
WEIGHTS = np.array([3.0, 0.5, 1.5, 1.5, 1.0])
NOISE = 0.1  # added to these, so that of many equal donors each is as likely
UNITS_MS = (7 * DAY_MS, DAY_MS, HOUR_MS, 1)  # cuts are a multiple of one of them apart
# Columns of `Activity.after` and of a total.
ROWS, SESSIONS, LABELLED, FIRST, LAST_START, LAST, LAST_ROWS = range(7)


@dataclass(frozen=True)
class Activity:
    """When the users of a log had rows, by user and time."""

    key: np.ndarray  # (n_rows,) int64: user * width + ms since `start`; rising
    width: int  # ms, more than the span
    start: int  # ms: the first row of all
    sessions: np.ndarray  # (n_rows + 1,) int64: sessions that began in the rows before
    n_labelled_sessions: np.ndarray  # (n_rows + 1,) int64: those of them with a label
    opened: np.ndarray  # (n_rows,) int64: the row at which each row's session began
    offsets: np.ndarray  # (n_users + 1,) int64: where the rows of each user begin

    @classmethod
    def of(cls, log: EventLog, codec: Codec) -> Self:
        """Read the events of `log` that `codec` knows; its rows are sorted by user and time."""
        events = log.events[codec.events.encode(log.events["event"]) > 0]
        code = events["user_id"].astype("category").cat.codes.to_numpy()
        first = np.append(True, code[1:] != code[:-1])[: len(code)]
        user = np.cumsum(first) - 1
        time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
        is_session_start = gaps_and_session_starts(events, user, time)[1]
        begins = first | is_session_start
        labelled = begins & (session_labels_of_rows(codec, log, events, user, is_session_start) > 0)
        start = int(time.min())
        width = int(time.max()) - start + 1
        return cls(
            key=user * width + time - start,
            width=width,
            start=start,
            sessions=np.append(0, np.cumsum(begins)),
            n_labelled_sessions=np.append(0, np.cumsum(labelled)),
            opened=np.maximum.accumulate(np.where(begins, np.arange(len(code)), 0)),
            offsets=np.append(np.flatnonzero(first), len(code)),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def time(self, row: np.ndarray) -> np.ndarray:
        """Return the time of (n,) rows, int64 ms."""
        return self.key[row] % self.width + self.start

    def until(self, time: int) -> np.ndarray:
        """Return each user's first row after `time` ms, or the end of their rows: (n_users,)."""
        within = min(max(time - self.start, -1), self.width - 1)
        return np.searchsorted(self.key, np.arange(len(self)) * self.width + within, side="right")

    def state(self, now: int, lag: int) -> np.ndarray:
        """Describe users at `now` ms, (n_users, 5) float64; zeros for users without a row by then.

        Ms since the last row and since the first, rows, sessions, rows in the last `lag` ms.
        """
        begin, end = self.offsets[:-1], self.until(now)
        seen = end > begin
        last, first = (self.time(np.where(seen, row, 0)) for row in (end - 1, begin))
        recent = end - np.maximum(self.until(now - lag), begin)
        sessions = self.sessions[end] - self.sessions[begin]
        found = np.column_stack([now - last, now - first, end - begin, sessions, recent])
        return (found * seen[:, None]).astype(np.float64)

    def after(self, cut: int, window: int) -> np.ndarray:
        """Return what users did in the `window` ms after `cut`, (n_users, 7) int64; zeros: nothing.

        Rows, sessions, sessions with a label; ms from `cut` to the first row, to the begin of the
        last session and to the last row; rows of the last session.
        """
        begin, end = self.until(cut), self.until(cut + window)
        some = end > begin
        first, last = np.where(some, begin, 0), np.where(some, end - 1, 0)
        opened = np.maximum(self.opened[last], first)
        sessions = np.maximum(self.sessions[end] - self.sessions[begin], 1)
        times = (self.time(row) - cut for row in (first, opened, last))
        n_labelled_sessions = self.n_labelled_sessions[end] - self.n_labelled_sessions[begin]
        found = np.column_stack(
            [end - begin, sessions, n_labelled_sessions, *times, last + 1 - opened]
        )
        return found * some[:, None]


@dataclass(frozen=True)
class Plan:
    """What each of n users will do; all is 0 for a user who does not come back."""

    rows: np.ndarray  # (n,) int64
    n_sessions: np.ndarray  # (n,) int64
    n_labelled_sessions: np.ndarray  # (n,) int64: sessions with a label
    first: np.ndarray  # (n,) int64 ms: the first row
    last_start: np.ndarray  # (n,) int64 ms: when the last session begins
    until: np.ndarray  # (n,) int64 ms: when it ends
    last_rows: np.ndarray  # (n,) int64: its rows


def plan(
    log: EventLog,
    codec: Codec,
    *,
    now: int,
    days: float,
    sample: Callable[[int], EventLog],
    rng: np.random.Generator,
) -> Plan:
    """Draw what the users of `log`, which ends at `now` ms, do in the `days` after it.

    Rows of `log` are sorted by user and time; the plan has its users in the same order. Donors are
    the users of `log` itself, whose rows are given anyway: the pace is theirs, however well the
    generator has learnt it. Where they are too few, donors are users of `sample(n)`.

    Raises InputError where neither covers enough time to show how users continue.
    """
    given = Activity.of(log, codec)
    window = int(days * DAY_MS)
    source, end = given, now
    cuts, lag = _cuts(source, end, window)
    if sum(int((given.until(cut) > given.offsets[:-1]).sum()) for cut in cuts) < FEWEST_DONORS:
        source, end = Activity.of(sample(SAMPLE), codec), codec.clock.end_ms
        cuts, lag = _cuts(source, end, window)
    if lag * MOST_STEPS < window:
        raise InputError(
            "The log that is to be continued covers too short a time to go on for "
            f"{days:g} days; give a longer log or fewer days."
        )
    state = given.state(now, lag)
    total = np.zeros((len(given), 7), dtype=np.int64)
    for start in range(0, window, lag):
        ahead = min(lag, window - start)
        donors, futures = _donors(source, cuts, lag, ahead)
        step = futures[_nearest(donors, state, lag, rng)]
        _add_step(total, step, start)
        back = step[:, ROWS] > 0
        state[:, 0] = np.where(back, ahead - step[:, LAST], state[:, 0] + ahead)
        state[:, 1] += ahead
        state[:, 2:4] += step[:, [ROWS, SESSIONS]]
        state[:, 4] = step[:, ROWS]
    return _timed(total, codec, now, window, rng)


def _cuts(source: Activity, end: int, window: int) -> tuple[list[int], int]:
    """Choose where to cut `source`, which ends at `end` ms; also returns how far apart cuts are.

    That is `window` or a part of it, in whole weeks where the log is long enough (otherwise days,
    then hours), so that weekday and hour of what donors did stay the same.
    """
    room = max((end - source.start) // (CUTS + 1), 1)
    unit = next(u for u in UNITS_MS if u <= room)
    lag = min(-(-window // unit), room // unit) * unit
    return [end - lag * (k + 1) for k in range(CUTS)], lag


def _donors(
    source: Activity, cuts: list[int], lag: int, ahead: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (m, 5) states and (m, 7) futures of all users who had rows before one of `cuts`."""
    states = np.concatenate([source.state(cut, lag) for cut in cuts])
    futures = np.concatenate([source.after(cut, ahead) for cut in cuts])
    seen = states[:, 2] > 0
    return states[seen], futures[seen]


def _nearest(
    donors: np.ndarray, state: np.ndarray, lag: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw for each user with `state` (n, 5) one of the nearest `donors` (m, 5): (n,) int64."""
    tree, at = (
        _described(x, lag) + rng.normal(0, NOISE, x.shape) * WEIGHTS for x in (donors, state)
    )
    k = min(NEIGHBOURS, len(donors))
    near = cKDTree(tree).query(at, k=k)[1].reshape(len(state), k)
    return near[np.arange(len(state)), rng.integers(0, k, len(state))]


def _described(state: np.ndarray, lag: int) -> np.ndarray:
    """Scale `state` (n, 5) for distances: weighted logarithms, rows and sessions as rates.

    Rates stay comparable for users who have been there for longer than any donor; totals do not.
    """
    recency, tenure, rows, sessions, recent = state.T
    lags = tenure / lag + 1
    return WEIGHTS * np.log2(
        np.column_stack(
            [
                recency / (6 * HOUR_MS) + 1,
                tenure / (6 * HOUR_MS) + 1,
                rows / lags + 0.25,
                sessions / lags + 0.25,
                recent + 1,
            ]
        )
    )


def _add_step(total: np.ndarray, step: np.ndarray, start: int) -> None:
    """Add to `total` (n, 7) what users did in a `step` (n, 7) that begins `start` ms from now."""
    back = step[:, ROWS] > 0
    fresh = back & (total[:, ROWS] == 0)
    total[fresh, FIRST] = start + step[fresh, FIRST]
    total[back, LAST_START] = start + step[back, LAST_START]
    total[back, LAST] = start + step[back, LAST]
    total[back, LAST_ROWS] = step[back, LAST_ROWS]
    total[:, :FIRST] += step[:, :FIRST]


def _timed(
    total: np.ndarray, codec: Codec, now: int, window: int, rng: np.random.Generator
) -> Plan:
    """Turn `total` (n, 7) into times on the grid of the clock, all after `now` ms and in `window`.

    Within its hour a time is drawn anew, and a session is a little shorter or longer, so that no
    user has another's times to the millisecond.
    """
    grid = codec.clock.step_ms
    low, high = (now // grid + 1) * grid, (now + window) // grid * grid
    back = (total[:, ROWS] > 0) & (low <= high)  # a window shorter than the grid has no time

    def on_grid(time: np.ndarray) -> np.ndarray:
        return np.clip(time // grid * grid, low, max(high, low))

    def moved(offset: np.ndarray) -> np.ndarray:
        drawn = (rng.random(len(offset)) * HOUR_MS).astype(np.int64)
        return on_grid((now + offset) // HOUR_MS * HOUR_MS + drawn)

    first = moved(total[:, FIRST])
    one = total[:, FIRST] == total[:, LAST_START]
    start = np.where(one, first, np.maximum(moved(total[:, LAST_START]), first))
    lasts = (total[:, LAST] - total[:, LAST_START]) * rng.uniform(0.8, 1.2, len(total))
    until = on_grid(start + lasts.astype(np.int64))
    rows = np.minimum(total[:, ROWS], codec.max_rows // 2)
    last_rows = np.minimum(total[:, LAST_ROWS], rows)
    sessions = np.minimum(total[:, SESSIONS], rows)
    found = (rows, sessions, total[:, LABELLED], first, start, until, last_rows)
    return Plan(*(x * back for x in found))
