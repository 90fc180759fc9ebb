"""Offers of campaigns: when they are made, in which arm, and what users do about them; compiled.

The calendar is an input. An offer is made at a visit in the days of its campaign, or between two
visits. Its arm follows from what the user did before it, and from nothing else. What the user does
about it, buy while it is open or not, is drawn from the arm and the past; it is part of the user's
state from then on, until the offer ends. A user who is to buy gets the rows and the time for it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numba import njit

from eventlog._runtime.compiled import inner, inner_with_arrays
from generators.sequences import codes
from generators.sequences import row_columns as col
from generators.sequences.user_record import response_at, rows_left

N_PAST = 8  # numbers that describe what a user did before an offer; the first is 1
QUANTILES = 19  # of the rows and the time until a purchase
HOUR_MS = 3_600_000.0
MADE = ("user", "row", "time", "campaign", "treated")  # columns of the offers that were made
WAITING, VISITED, OVER = 0, 1, 2  # of a user and a campaign: no visit in its days yet, one, over
_REACH, _ALONE, _ARM, _RESPONSE, _TIME, _LAG = range(6)  # what is drawn for an offer


class OfferParams(NamedTuple):
    """The calendar of K campaigns, and what is known of their offers."""

    first: np.ndarray  # (K,) int64 ms
    last: np.ndarray  # (K,) int64 ms: no offer at or after it
    window: int  # ms: how long an offer is open
    first_visit: np.ndarray  # (K,) float64: chance of an offer at the first visit in the days
    later_visit: np.ndarray  # (K,) float64: at each later one, as long as there was none
    others: np.ndarray  # (K,) float64: chance of one between two visits
    gap: np.ndarray  # (q,) float64 ms: quantiles of the time from an offer to its visit
    arm: np.ndarray  # (K, N_PAST) float64: log-odds of a treatment, given the past
    # (K, 2, N_PAST) float64: log-odds to buy, by arm, given the past; (K, 0, 0) = not known
    response: np.ndarray
    # (q,) float64: quantiles of the rows from an offer to the purchase, of the ms to its visit
    rows: np.ndarray
    lag: np.ndarray


@inner
def describe_past(u, time, out):
    """Write to `out` (N_PAST,) what a user did before an offer at `time`."""
    cart = 0
    for slot in range(codes.N_RECENT):
        if u.item[slot] > 0 and u.flags[slot] & codes.CART > 0:
            cart += 1
    silent = max(time - u.time, 0) / HOUR_MS if u.rows > 0 else 0.0
    out[0] = 1.0
    out[1] = 1.0 if u.purchases > 0 else 0.0
    out[2] = min(u.purchases, 8) / 4.0
    out[3] = 1.0 if cart > 0 else 0.0
    out[4] = math.log2(u.rows + 1.0) / 4.0
    out[5] = math.log2(u.since_purchase + 1.0) / 4.0
    out[6] = math.log2(silent + 1.0) / 4.0
    out[7] = min(u.treated, 4) / 2.0


@inner
def open_offer(u, until, treated, buys, due):
    """Note an offer that is open until `until`; who `buys` does so at a visit from `due` on."""
    u.response = codes.TO_BUY if buys else codes.NOT_BUYING
    u.offer_until, u.due = until, due
    u.treated += treated


class KnownOffers(NamedTuple):
    """The offers of a log, by user and time; (m,) each unless noted otherwise."""

    starts: np.ndarray  # (n_users + 1,) int64: first offer of each user
    row: np.ndarray  # int64: row of the user before which the offer was made
    time: np.ndarray  # int64 ms
    campaign: np.ndarray  # int64
    treated: np.ndarray  # int64: 0 or 1
    buys: np.ndarray  # int64: 0 or 1, is there a purchase while it is open?
    rows: np.ndarray  # int64: rows from the offer to that purchase
    lag: np.ndarray  # int64 ms: time from the offer to its visit; 0 = the visit had begun
    described: np.ndarray  # (m, N_PAST) float64: see `describe_past`
    window: int  # ms

    @classmethod
    def of(
        cls,
        offers: pd.DataFrame,
        *,
        user: np.ndarray,
        time: np.ndarray,
        opened: np.ndarray,
        is_purchase: np.ndarray,
        window: int,
        n_users: int,
    ) -> KnownOffers:
        """Find the place of `offers` among the rows (n,) of `n_users` users, sorted by both.

        `opened` (n,) ms is when each row's session began.
        `offers` has a column `user` of codes, and those of MADE but `row`.
        """
        order = np.lexsort((offers["time"], offers["user"]))
        who, at, campaign, treated = (
            offers[n].to_numpy(dtype=np.int64)[order]
            for n in ("user", "time", "campaign", "treated")
        )
        span = 2**43  # ms, more than a log has
        axis, start = user * span + time, who * span + at
        bought = np.flatnonzero(is_purchase)
        first = np.searchsorted(axis, start)
        next_ = np.searchsorted(axis[bought], start)
        purchase = np.append(bought, len(axis))[next_]
        buys = np.append(axis, 2**62)[purchase] - start <= window
        visit = np.append(opened, 0)[purchase] - at
        return cls(
            starts=np.searchsorted(who, np.arange(n_users + 1)),
            row=first - np.searchsorted(user, who),
            time=at,
            campaign=campaign,
            treated=treated,
            buys=buys.astype(np.int64),
            rows=purchase - first + 1,
            lag=np.maximum(visit, 0),
            described=np.zeros((len(who), N_PAST)),
            window=window,
        )


@inner
def replay_offers(u, of_user, at, known, is_last):
    """Make the offers from `at` on that come before the user's next row; return the next one.

    `of_user` is the user's place; with `is_last` there is no next row.
    """
    while at < known.starts[of_user + 1] and (known.row[at] <= u.rows or is_last):
        until = known.time[at] + known.window
        describe_past(u, known.time[at], known.described[at])
        due = known.time[at] + known.lag[at]
        open_offer(u, until, known.treated[at], known.buys[at] != 0, due)
        at += 1
    return at


@njit(cache=True)
def responses_at(users, row):
    """Return what users (n,) do about the offers that are open at the times of `row`, (n, 1)."""
    out = np.empty((len(users), 1), dtype=np.int64)
    for i in range(len(users)):
        out[i, 0] = response_at(users[i], row[i, col.TIME])
    return out


@inner
def _uniform(key, campaign, what):
    """Return a uniform number that belongs to a user's `key`, a campaign and what is drawn.

    Splitmix64 (Steele, Lea and Flood 2014, doi:10.1145/2714064.2660195).
    """
    z = np.uint64(key) + np.uint64(campaign * 8 + what + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) / 9007199254740992.0


@inner
def _chance(weights, x):
    """Return the logistic function of the product of `weights` and the first numbers of `x`."""
    total = 0.0
    for k in range(len(weights)):
        total += weights[k] * x[k]
    return 1.0 / (1.0 + math.exp(-min(max(total, -30.0), 30.0)))


@inner
def _quantile(values, share):
    """Return a quantile, its `share` from 0 to 1, from `values` (q,) that are equally far apart."""
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


@inner
def _time_at_visit(u, k, time, params, share):
    """Return when the offer of a visit that begins at `time` is made: just before it."""
    earliest = max(params.first[k], u.time + 1 if u.rows > 0 else params.first[k])
    return min(max(time - np.int64(_quantile(params.gap, share)), earliest), time)


@inner_with_arrays
def _make(u, k, at, params, key, x):
    """Make an offer of campaign `k` at the time `at`; return whether it is treated."""
    until = at + params.window
    describe_past(u, at, x)
    treated = _uniform(key, k, _ARM) < _chance(params.arm[k], x)
    if params.response.shape[1] > 0:
        chance = _chance(params.response[k, 1 if treated else 0], x)
        due = at + np.int64(_quantile(params.lag, _uniform(key, k, _LAG)))
        open_offer(u, until, treated, _uniform(key, k, _RESPONSE) < chance, due)
    return treated


@inner
def _plan_again(u, row, key, k, params, timing_params):
    """Give a user who is to buy the rows and the time for it; the next row may come earlier.

    `row` (columns,) is the next one; its gap is 0 where there was to be none.
    """
    rows = int(_quantile(params.rows, _uniform(key, k, _LAG)))
    u.length += max(rows - rows_left(u), 0)
    u.until = max(u.until, u.due)
    if row[col.GAP] != 0 and row[col.TIME] <= u.offer_until:
        return
    u.last_start = max(u.last_start, u.due)
    row[col.TIME] = u.due
    seconds, size = (row[col.TIME] - u.time) / 1000.0, len(timing_params.low)
    row[col.GAP] = min(timing_params.within, size - 1)
    for g in range(timing_params.within, size):
        if timing_params.low[g] <= seconds:
            row[col.GAP] = g


@inner
def _time_of_offer(u, k, begins, time, waiting, params, key):
    """Return when campaign `k` makes an offer before the next row, at `time`; -1 = not.

    Also how the user waits for one after the row.
    """
    first, last = params.first[k], params.last[k]
    alone = first + np.int64(_uniform(key, k, _TIME) * (last - first))
    if u.rows > 0 and u.time < alone < time and _uniform(key, k, _ALONE) < params.others[k]:
        return alone, OVER
    if time >= last:
        return np.int64(-1), OVER
    if time < first or not begins:
        return np.int64(-1), waiting
    chance = params.first_visit[k] if waiting == WAITING else params.later_visit[k]
    if _uniform(key + np.uint64(u.sessions), k, _REACH) < chance:
        return _time_at_visit(u, k, time, params, _uniform(key, k, _TIME)), OVER
    return np.int64(-1), VISITED


@njit(cache=True)
def make_offers(users, row, which, keys, waiting, params, timing_params):
    """Make the offers before the next row of the users `which` (m,); return (offers, MADE) int64.

    `row` (n, columns) are the next rows of all users (n,), with their gaps and times. A user whose
    gap is 0 ends, and gets the offers of all campaigns that are left. `keys` (n,) uint64 belong to
    users, and `waiting` (n, K) is updated.
    """
    made, found = np.empty((64, len(MADE)), dtype=np.int64), 0
    x, never = np.empty(N_PAST), np.int64(2**42)
    for i in which:
        u = users[i]
        for k in range(len(params.first)):
            ends = u.rows > 0 and row[i, col.GAP] == 0
            time = never if ends else row[i, col.TIME]
            if waiting[i, k] == OVER or params.first[k] > time:
                continue
            begins = u.rows == 0 or row[i, col.GAP] >= timing_params.within
            at, waiting[i, k] = _time_of_offer(u, k, begins, time, waiting[i, k], params, keys[i])
            if at < 0:
                continue
            if found == len(made):
                made = np.concatenate((made, np.empty_like(made)))
            made[found, 0], made[found, 1], made[found, 2], made[found, 3] = i, u.rows, at, k
            made[found, 4] = _make(u, k, at, params, keys[i], x)
            found += 1
            if u.offer_until == at + params.window and u.response == codes.TO_BUY:
                _plan_again(u, row[i], keys[i], k, params, timing_params)
    return made[:found]
