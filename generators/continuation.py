"""How given users go on: when each comes back, with how many rows, learnt from how users like them went on before.

A log is cut at earlier instants. A user at a cut (a donor) is described by what was known then, and what they did in the days
that followed is known. Each given user goes on as one of the donors did who were most like them: nearest neighbours of a
few logarithms (recency, frequency, tenure), the variables of the models of customer-base analysis (Fader, Hardie and Lee 2005,
doi:10.1287/mksc.1040.0098). A horizon that is long beside the log is gone through in several steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial import cKDTree

from eventlog import EventLog

from .clock import DAY_MS
from .codec import Codec
from .encoding import session_intents
from .gaps import HOUR_MS
from .readers import gaps_and_breaks

CUTS = 3           # earlier instants at which the log is cut
NEIGHBOURS = 3     # donors most like a user, of whom one is taken
FEWEST_DONORS = 50  # below this, users of the generator itself take their place
SAMPLE = 1_000     # of whom there are so many
WEIGHTS = np.array([3.0, 0.5, 1.5, 1.5, 1.0])  # of recency, tenure, rate of rows, rate of sessions, recent rows
NOISE = 0.1        # added to features, so that of many equal donors each is as likely
UNITS_MS = (7 * DAY_MS, DAY_MS, HOUR_MS, 1)  # a cut lies a multiple of one of them before the end, weeks if the log is long enough


@dataclass(frozen=True)
class Activity:
    """When the users of a log had rows, by user and time."""

    key: np.ndarray      # (n_rows,) int64: user * width + ms since `start`; rising
    width: int           # ms, more than the span
    start: int           # ms: the first row of all
    sessions: np.ndarray  # (n_rows + 1,) int64: sessions begun in the rows before
    marks: np.ndarray    # (n_rows + 1,) int64: those of them with a label
    opened: np.ndarray   # (n_rows,) int64: the row at which each row's session began
    offsets: np.ndarray  # (n_users + 1,) int64: rows of each user

    @classmethod
    def of(cls, log: EventLog, codec: Codec) -> Self:
        """What `log`, whose rows are sorted, says of the events that `codec` knows."""
        events = log.events[codec.events.encode(log.events["event"]) > 0]
        code = events["user_id"].astype("category").cat.codes.to_numpy()
        first = np.append(True, code[1:] != code[:-1])[:len(code)]
        user = np.cumsum(first) - 1
        time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
        breaks = gaps_and_breaks(events, user, time)[1]
        marked = session_intents(codec, log, events, user, breaks) > 0
        begins = first | breaks
        start = int(time.min(initial=2**62))
        width = int(time.max(initial=start)) - start + 1
        return cls(
            user * width + time - start, width, start, np.append(0, np.cumsum(begins)), np.append(0, np.cumsum(begins & marked)),
            np.maximum.accumulate(np.where(begins, np.arange(len(code)), 0)), np.append(np.flatnonzero(first), len(code)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def time(self, row: np.ndarray) -> np.ndarray:
        """(n,) int64 ms of (n,) rows."""
        return self.key[row] % self.width + self.start

    def until(self, time: int) -> np.ndarray:
        """(n_users,) int64: the first row of each user that is later than `time` ms, or the end of their rows."""
        within = min(max(time - self.start, -1), self.width - 1)
        return np.searchsorted(self.key, np.arange(len(self)) * self.width + within, side="right")

    def state(self, now: int, lag: int) -> np.ndarray:
        """(n_users, 5) float64 at `now` ms: ms since the last row and the first, rows, sessions, rows in the last `lag` ms."""
        begin, end = self.offsets[:-1], self.until(now)
        seen = end > begin
        last, first = (self.time(np.where(seen, row, 0)) for row in (end - 1, begin))
        recent = end - np.maximum(self.until(now - lag), begin)
        return np.column_stack([now - last, now - first, end - begin, self.sessions[end] - self.sessions[begin], recent]) * seen[:, None]

    def after(self, cut: int, window: int) -> np.ndarray:
        """(n_users, 7) int64 of the `window` ms after `cut`: see the names in `Plan`; zeros for who has no row there."""
        begin, end = self.until(cut), self.until(cut + window)
        some = end > begin
        first, last = np.where(some, begin, 0), np.where(some, end - 1, 0)
        opened = np.maximum(self.opened[last], first)
        return np.column_stack([
            end - begin, np.maximum(self.sessions[end] - self.sessions[begin], 1), self.marks[end] - self.marks[begin],
            self.time(first) - cut, self.time(opened) - cut, self.time(last) - cut, last + 1 - opened]) * some[:, None]


ROWS, SESSIONS, MARKS, FIRST, LAST_START, LAST, LAST_ROWS = range(7)  # columns of `Activity.after`


@dataclass(frozen=True)
class Plan:
    """What is to come of each of n users; of who does not come back all is 0."""

    rows: np.ndarray        # (n,) int64
    marks: np.ndarray       # (n,) int64: sessions with a label
    first: np.ndarray       # (n,) int64 ms: the first row
    last_start: np.ndarray  # (n,) int64 ms: when the last session begins
    until: np.ndarray       # (n,) int64 ms: when it ends
    last_rows: np.ndarray   # (n,) int64: its rows


def plan(
    log: EventLog, codec: Codec, *, now: int, days: float, sample: Callable[[int], EventLog], rng: np.random.Generator
) -> Plan:
    """What the users of `log` do in the `days` after `now` ms, the log's end; its rows are sorted, and so are the users of the plan.

    Donors are the users of `log` themselves, whose past is given anyway; so the pace is theirs, however well the generator has learnt
    it. Where they are too few, donors are users of `sample(n)`.
    """
    given = Activity.of(log, codec)
    window = int(days * DAY_MS)
    source, end = given, now
    if sum(int((given.until(cut) > given.offsets[:-1]).sum()) for cut in _cuts(given, now, window)[0]) < FEWEST_DONORS:
        source, end = Activity.of(sample(SAMPLE), codec), codec.clock.end_ms
    cuts, lag = _cuts(source, end, window)
    state = given.state(now, lag)
    total = np.zeros((len(given), 7), dtype=np.int64)
    for start in range(0, window, lag):
        ahead = min(lag, window - start)
        donors, futures = _donors(source, cuts, lag, ahead)
        step = futures[_nearest(donors, state, lag, rng)]
        back = step[:, ROWS] > 0
        fresh = back & (total[:, ROWS] == 0)
        total[fresh, FIRST] = start + step[fresh, FIRST]
        total[back, LAST_START], total[back, LAST] = (start + step[back, k] for k in (LAST_START, LAST))
        total[back, LAST_ROWS] = step[back, LAST_ROWS]
        total[:, :FIRST] += step[:, :FIRST]
        state[:, 0] = np.where(back, ahead - step[:, LAST], state[:, 0] + ahead)
        state[:, 1] += ahead
        state[:, 2:4] += step[:, [ROWS, SESSIONS]]
        state[:, 4] = step[:, ROWS]
    return _timed(total, codec, now, window, rng)


def _cuts(source: Activity, end: int, window: int) -> tuple[list[int], int]:
    """The instants (ms) at which `source`, which ends at `end`, is cut; and their distance: `window` or a part of it, in whole weeks
    where the log is long enough, so that hours and weekdays stay what they are."""
    room = (end - source.start) // (CUTS + 1)
    unit = next((u for u in UNITS_MS if u <= room), 1)
    lag = max(min(-(-window // unit), room // unit), 1) * unit
    return [end - lag * (k + 1) for k in range(CUTS)], lag


def _donors(source: Activity, cuts: list[int], lag: int, ahead: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, 5) states and (m, 7) futures of all users who had been seen at one of `cuts`."""
    states = np.concatenate([source.state(cut, lag) for cut in cuts])
    futures = np.concatenate([source.after(cut, ahead) for cut in cuts])
    seen = states[:, 2] > 0
    return states[seen], futures[seen]


def _nearest(donors: np.ndarray, state: np.ndarray, lag: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) int64: for each user with `state` (n, 5) one of the nearest of `donors` (m, 5), m > 0; see `Activity.state`."""
    tree, at = (_described(x, lag) + rng.normal(0, NOISE, x.shape) * WEIGHTS for x in (donors, state))
    k = min(NEIGHBOURS, len(donors))
    near = cKDTree(tree).query(at, k=k)[1].reshape(len(state), k)
    return near[np.arange(len(state)), rng.integers(0, k, len(state))]


def _described(state: np.ndarray, lag: int) -> np.ndarray:
    """(n, 5) float64, weighed by WEIGHTS: logarithms of `state` (n, 5), of rows and sessions those in `lag` ms on average.

    Rates stay comparable when a user has been there for longer than any donor; totals would not.
    """
    recency, tenure, rows, sessions, recent = state.T
    lags = tenure / lag + 1
    return WEIGHTS * np.log2(np.column_stack([
        recency / (6 * HOUR_MS) + 1, tenure / (6 * HOUR_MS) + 1, rows / lags + 0.25, sessions / lags + 0.25, recent + 1]))


def _timed(total: np.ndarray, codec: Codec, now: int, window: int, rng: np.random.Generator) -> Plan:
    """The plan that `total` (n, 7) makes. Within its hour a time is drawn anew, and a session is a little shorter or longer: no user
    comes to the millisecond when another did. Who has no room in the window for one step of the clock does not come back."""
    grid = codec.clock.step_ms
    low, high = (now // grid + 1) * grid, (now + window) // grid * grid
    back = (total[:, ROWS] > 0) & (low <= high)

    def on_grid(time: np.ndarray) -> np.ndarray:
        return np.clip(time // grid * grid, low, max(high, low))

    def moved(offset: np.ndarray) -> np.ndarray:
        drawn = (rng.random(len(offset)) * HOUR_MS).astype(np.int64)
        return on_grid((now + offset) // HOUR_MS * HOUR_MS + drawn)

    first = moved(total[:, FIRST])
    one = total[:, FIRST] == total[:, LAST_START]
    start = np.where(one, first, np.maximum(moved(total[:, LAST_START]), first))
    lasts = (total[:, LAST] - total[:, LAST_START]) * rng.uniform(0.8, 1.2, len(total))
    rows = np.minimum(total[:, ROWS], codec.max_rows // 2)
    last_rows = np.minimum(total[:, LAST_ROWS], rows)
    return Plan(*(x * back for x in (rows, total[:, MARKS], first, start, on_grid(start + lasts.astype(np.int64)), last_rows)))
