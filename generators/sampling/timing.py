"""When the next row is: which gaps a user can draw, the gap, and the time it leads to; compiled.

Of several times inside an interval one is kept in proportion to the weekly intensity of session
starts.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventlog._runtime.compiled import inner, inner_with_arrays
from generators.codec.timing_params import HOUR_MS, WEEK_HOURS, clock_levels
from generators.sampling.constraints import drawn
from generators.sequences import codes
from generators.sequences import feature_layout as layout
from generators.sequences import row_columns as col
from generators.sequences.levels import level_of_rows, level_of_time
from generators.sequences.user_record import (
    HAD_EVENTS,
    is_final,
    response_at,
    rows_left,
    sessions_left,
    target_of,
)

CANDIDATES = 64  # times among which the weekly cycle chooses
DRAWS = 2  # uniform numbers for one time
ALL_DRAWS = 1 + DRAWS  # those for the gap and its time
FEWEST_TO_BUY = 2  # rows left of a user who is to buy while an offer is open
MOST_OVER = 8  # rows by which an unfinished session outlasts those planned before the last one
WIDE_S = 1_800  # seconds: wider gaps between sessions follow the weekly cycle


@inner_with_arrays
def _one_of(time, low, high, geometric, shaped, rhythm, u, timing_params):
    """Return `time` plus a gap between `low` and `high` s, from the uniform numbers `u` (DRAWS,).

    Where `shaped`, the weekly cycle of a `rhythm` chooses among times at even distances, of which
    the first is random: few independent ones would leave quiet hours too many (they are chosen
    where no better one is among them).
    """
    n = CANDIDATES if shaped else 1
    gap, step = low + u[0] / n * (high - low), (high - low) / n
    if geometric:
        gap, step = low * (high / low) ** (u[0] / n), (high / low) ** (1.0 / n)
    moved, weight, total = np.empty(n, dtype=np.int64), np.empty(n), 0.0
    for k in range(n):
        moved[k] = (
            (time + np.int64(np.rint(gap * 1000.0))) // timing_params.step * timing_params.step
        )
        total += timing_params.weekly[rhythm, (moved[k] // HOUR_MS + 72) % WEEK_HOURS] + 1e-9
        weight[k] = total
        gap = gap * step if geometric else gap + step
    for k in range(n):
        if weight[k] > u[1] * total:
            return moved[k]
    return moved[n - 1]


@inner
def _between(low, high, rhythm, u, timing_params):
    """Draw a time between `low` and `high` ms, by the weekly cycle and inside the span."""
    found = _one_of(low, 0.0, (high - low) / 1000, False, True, rhythm, u, timing_params)
    return min(max(found, timing_params.start), timing_params.end)


@njit(cache=True)
def arrive(low, high, rhythm, u, timing_params):
    """Draw times between `low` and `high` (n,) int64 ms, from uniform numbers `u` (n, DRAWS).

    `rhythm` (n,) int64 is each user's row of `TimingParams.weekly`.
    """
    out = np.empty(len(low), dtype=np.int64)
    for i in range(len(low)):
        out[i] = _between(low[i], high[i], rhythm[i], u[i], timing_params)
    return out


@njit(cache=True)
def late_users(users, timing_params, out):
    """Write to `out` (n,) the users with too little time for their rows to come; return how many.

    A planned last session that is too short is made longer instead.
    """
    found = 0
    for i in range(len(users)):
        u = users[i]
        time, left = u.time, rows_left(u)
        level = level_of_rows(left)
        late = left > 1 and level_of_time(target_of(u) - time) < timing_params.least[level]
        if u.n_sessions > 0 and sessions_left(u) == 0:
            late = False
        if timing_params.planned and is_final(u):
            late = False
            if left > 0:
                u.until = max(u.until, min(time + timing_params.short[level], timing_params.end))
        if late:
            out[found] = i
            found += 1
    return found


@njit(cache=True)
def postpone(users, late, timing_params, u, over):
    """Give the users `late` (m,) a later end of their rows, from `u` (m, DRAWS).

    Writes to `over` (n,) for whom the span of the log leaves no time.
    """
    for k in range(len(late)):
        user = users[late[k]]
        time = user.time
        span = user.until - target_of(user)
        latest = max(timing_params.end - span, time)
        later = max(_between(time, latest, user.rhythm, u[k], timing_params), time)
        over[late[k]] = (
            level_of_time(timing_params.end - time)
            < timing_params.least[level_of_rows(rows_left(user))]
        )
        user.until, user.last_start = min(later + span, timing_params.end), later


@inner
def _keep_short(u, timing_params, can):
    """Remove from `can` (size,) gaps within a session that would make it longer than any was."""
    full = timing_params.longest_rows > 0 and u.in_session >= timing_params.longest_rows
    for g in range(1, timing_params.within):
        late = (
            timing_params.longest_ms > 0
            and u.time + timing_params.low[g] * 1000 > u.session_start + timing_params.longest_ms
        )
        can[g] = can[g] and not full and not late


@inner
def _is_to_buy(u):
    """Is there an open offer that the user has still to answer?"""
    return response_at(u, u.time) in (codes.TO_BUY, codes.DUE)


@inner
def _is_due(u):
    """Does the session go on until the user buys?"""
    return response_at(u, u.time) == codes.DUE


@inner
def _is_unfinished(u, timing_params):
    """Is the event before never the last of a session?"""
    last = u.row[layout.LAST_EVENT]
    return 0 < last <= HAD_EVENTS and timing_params.unfinished & (1 << (last - 1)) != 0


@inner
def _keep_open(u, timing_params, can):
    """Remove from `can` (size,) gaps after which an offer that the user is to answer is over.

    They stay where there is no other gap.
    """
    if not _is_to_buy(u):
        return
    seconds, some = (u.offer_until - u.time) / 1000.0, False
    for g in range(1, len(can)):
        some = some or (can[g] and timing_params.low[g] <= seconds)
    for g in range(1, len(can)):
        can[g] = can[g] and (timing_params.low[g] <= seconds or not some)


@inner_with_arrays
def _fitting_sessions(u, timing_params, can):
    """Write to `can` (size,) the gaps of a user whose sessions are planned.

    There are rows enough left for the sessions to come, and time. The last of them begins when it
    is to, or as near to it as a gap leads; it goes on until no row is left. Where no time is left
    for another session, the one that has begun goes on.
    """
    within, left, to_begin = timing_params.within, rows_left(u), sessions_left(u)
    stays = u.label_pending != 0 or left > to_begin
    until = u.until if to_begin > 0 else timing_params.end
    seconds = (until - u.time) / 1000.0
    for g in range(len(can)):
        can[g] = g > 0 and left > 0 and timing_params.low[g] <= seconds
    can[0] = left == 0
    if left == 0 or len(can) == within:
        return
    room = seconds - (to_begin - 1) * timing_params.low[within]
    nearest = np.inf
    for g in range(within, len(can)):
        can[g] = to_begin > 0 and timing_params.low[g] <= room
        if can[g]:
            nearest = min(nearest, max(seconds - timing_params.high[g], 0.0))
    if to_begin == 1:
        for g in range(within, len(can)):
            can[g] = can[g] and max(seconds - timing_params.high[g], 0.0) <= nearest
    if not stays and can[within:].any():
        can[1:within] = False
    goes_on = u.label_pending != 0 or _is_unfinished(u, timing_params)
    if goes_on and can[1:within].any():
        can[within:] = False


@inner_with_arrays
def _fitting(u, timing_params, can):
    """Write to `can` (size,) the gaps that a user can draw.

    The end is for users who have no row left; the last gap is one that leads to the target, or the
    nearest to it. A session goes on while its label is pending, or a purchase is due. Where last
    sessions are planned, rows left and target are those before the last session until it has begun:
    it is not broken off, and it begins where nothing is left before it, or some rows later, where
    the session before is not finished. A session as long as any in the log ends, and a user who has
    rows left begins another.
    """
    within, size = timing_params.within, len(can)
    final, left = is_final(u), rows_left(u)
    room = target_of(u) - u.time
    seconds = room / 1000.0
    begins = not final and left == 0 and u.label_pending == 0
    can[0] = False
    for g in range(1, size):
        can[g] = timing_params.low[g] <= seconds and (left > 0 or not final)
    _keep_short(u, timing_params, can)
    _keep_open(u, timing_params, can)
    goes_on = _is_unfinished(u, timing_params) and can[1:within].any()
    if begins and goes_on and u.rows + u.last_rows < u.length + MOST_OVER:
        begins = False
    if timing_params.planned and size > within:
        if begins:
            can[1:within] = False
        if final and can[1:within].any() and response_at(u, u.time) != codes.TO_BUY:
            can[within:] = False
        if begins and not can.any():  # no time is left: the shortest gap between sessions
            can[within] = True
    if begins or (final and left == 1):
        nearest = np.inf
        for g in range(1, size):
            if can[g]:
                nearest = min(nearest, max(seconds - timing_params.high[g], 0.0))
        for g in range(1, size):
            can[g] = can[g] and max(seconds - timing_params.high[g], 0.0) <= nearest
    can[0] = left == 0 and not can[1:].any()
    goes_on = goes_on or u.label_pending != 0 or _is_due(u)
    if goes_on and can[1:within].any():
        can[within:] = False


@inner
def _in_time(u, timing_params, can, gap):
    """Return `gap` if the rest of the session still fits before the planned last session.

    Otherwise return the longest allowed gap that fits this session's share (by rows) of the
    remaining time, or the shortest allowed gap if none fits. Whether the rest fits is judged by the
    pace of the fastest users. Only gaps that begin a session are changed.
    """
    left = rows_left(u)
    if not timing_params.planned or is_final(u) or left == 0 or gap < timing_params.within:
        return gap
    room = (target_of(u) - u.time) / 1000.0
    if timing_params.low[gap] <= room - timing_params.fast[level_of_rows(left - 1)] / 1000.0:
        return gap
    room *= u.in_session / (u.in_session + left)
    if timing_params.low[gap] <= room:
        return gap
    best = gap
    for g in range(timing_params.within, len(can)):
        if can[g] and (
            timing_params.low[best] < timing_params.low[g] <= room
            or (timing_params.low[g] < timing_params.low[best] and timing_params.low[best] > room)
        ):
            best = g
    return best


@njit(cache=True)
def draw_gaps(users, timing_params, over, logits, u, row):
    """Write a gap code to each row (n, columns), from `logits` (n, size) and the numbers u[:, 0].

    Users who are `over` (n,) end, unless they are to buy: then they always have rows left.
    """
    can = np.empty(logits.shape[1], dtype=np.bool_)
    weight = np.empty(logits.shape[1], dtype=np.float32)
    for i in range(len(users)):
        row[i, col.GAP] = 0
        if _is_to_buy(users[i]):
            users[i].length += max(FEWEST_TO_BUY - rows_left(users[i]), 0)
        if not over[i] or _is_to_buy(users[i]):
            if users[i].n_sessions > 0:
                _fitting_sessions(users[i], timing_params, can)
            else:
                _fitting(users[i], timing_params, can)
            gap = drawn(logits[i], can, u[i, 0], weight)
            row[i, col.GAP] = _in_time(users[i], timing_params, can, gap)


@njit(cache=True)
def move(users, timing_params, u, row):
    """Write to each row (n, columns) the time after its gap, from the numbers u[:, 1:ALL_DRAWS].

    It is the target itself where the gap can lead there and the last row before it is due. What
    follows from the time is written by `complete_clock`.
    """
    for i in range(len(users)):
        user, gap = users[i], row[i, col.GAP]
        final, left, until, is_session_start = (
            is_final(user),
            rows_left(user),
            target_of(user),
            gap >= timing_params.within,
        )
        if not is_session_start and timing_params.longest_ms > 0:
            until = min(until, user.session_start + timing_params.longest_ms)
        if _is_to_buy(user):
            until = max(
                min(until, user.offer_until), user.time + np.int64(timing_params.low[gap] * 1000)
            )
        low = timing_params.low[gap]
        if is_session_start and sessions_left(user) > 1:  # the others must find time as well
            later = (sessions_left(user) - 1) * timing_params.low[timing_params.within]
            until = max(until - np.int64(later * 1000), user.time + np.int64(low * 1000))
        room = (until - user.time) / 1000.0
        high = max(min(timing_params.high[gap], room), low)
        due = left == 1 if final else left == 0 and is_session_start
        if user.n_sessions > 0:
            due = is_session_start and sessions_left(user) == 1
            if sessions_left(user) == 0:
                until = timing_params.end
                high = max(min(timing_params.high[gap], (until - user.time) / 1000.0), low)
        if due and low <= room <= timing_params.high[gap]:
            row[i, col.TIME] = until
        else:
            found = _one_of(
                user.time,
                low,
                high,
                low > 0 and high > low,
                is_session_start and high - low > WIDE_S,
                user.rhythm,
                u[i, 1:ALL_DRAWS],
                timing_params,
            )
            row[i, col.TIME] = min(found, max(until, user.time))


@njit(cache=True)
def complete_clock(users, timing_params, row):
    """Write to each row (n, columns) whether it starts a session, and the levels of the clock."""
    for i in range(len(users)):
        row[i, col.IS_SESSION_START] = 1 if row[i, col.GAP] >= timing_params.within else 0
        row[i, col.HOUR], row[i, col.WEEKDAY], row[i, col.SPAN_LEFT] = clock_levels(
            row[i, col.TIME], timing_params
        )
