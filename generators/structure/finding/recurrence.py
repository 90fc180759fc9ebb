"""Find recurrences: items that users have again after the same time, in a session of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from generators.structure.finding.evidence import quantiles
from generators.structure.relations.recurrence import (
    MOST_BEFORE,
    Occurrences,
    Recurrence,
    a_month_after,
    occurrences_of,
)
from generators.structure.tables import DAY_MS, Tables

# Roles of events that are no reason for another.
LOOKS = frozenset({"view", "list", "search"})
SHORTEST = 2.5 * DAY_MS  # a day apart lie all that users do daily
WIDTH = 1.12  # a window ends this many times later than its middle, and begins as much earlier
STEP = 1.04  # of the middles that are tried
FEWEST = 20  # sessions that follow
TIMES = 3.0  # as many as around the window, before a time is taken for that of a recurrence
NEARLY = 0.5  # of the sessions of the clearest recurrence: others of as many may be the surer ones
USUAL_EVENT = 0.05  # share of the sessions that follow, from which on they have an event
MONTHLY = 0.9  # share of the lags that are a month, from which on all are
ROUNDS = 50


class _Shares(NamedTuple):
    """Of whom, and how often, an occurrence is followed."""

    users: float
    first: float
    later: float
    again: float


def find_recurrences(tables: Tables, min_users: int) -> list[Recurrence]:
    """Return the recurrence of the event whose rows are followed most surely, or nothing."""
    if len(tables.user) == 0:
        return []
    with_item = (
        tables.events["item_id"].notna().to_numpy()
        if "item_id" in tables.events
        else np.zeros(len(tables.events), dtype=bool)
    )
    found = []
    for event, role in sorted(tables.roles.items()):
        if role in LOOKS or role.startswith("coupon"):  # offers have their days
            continue
        of_item = bool(with_item[tables.event == event].any())
        occurrences = occurrences_of(tables, event, of_item=of_item)
        window = _window(occurrences, tables.user, min_users)
        if window is not None:
            found.append(_recurrence(tables, event, of_item, occurrences, window, min_users))
    if not found:
        return []
    most = max(n for n, _ in found)
    sure = [r for n, r in found if n >= NEARLY * most]
    return [max(sure, key=lambda r: r.users * r.first)]


def _window(of: Occurrences, user: np.ndarray, min_users: int) -> tuple[int, int] | None:
    """Return the ms between which occurrences follow each other more often than around it."""
    if len(of.row) <= FEWEST:
        return None
    lags = [of.lags(back) for back in range(1, min(MOST_BEFORE, len(of.row) - 1) + 1)]
    lag = np.concatenate(lags)
    known = np.isfinite(lag) & (lag >= SHORTEST / WIDTH**3)
    lag, owner = np.log(lag[known]), np.tile(user[of.row], len(lags))[known]
    if len(lag) < FEWEST:
        return None
    order = np.argsort(lag)
    lag, owner = lag[order], owner[order]
    middles = np.arange(np.log(SHORTEST), lag[-1] + np.log(STEP), np.log(STEP))
    wide = np.log(WIDTH)
    inside, around = (
        np.searchsorted(lag, middles + k * wide, "right") - np.searchsorted(lag, middles - k * wide)
        for k in (1, 3)
    )
    expected = (around - inside) / 2
    gain = np.where(inside >= TIMES * (expected + 1), inside - TIMES * expected, 0)
    best = int(gain.argmax())
    rows = slice(*np.searchsorted(lag, middles[best] + np.array([-wide, wide])))
    users = len(np.unique(owner[rows]))
    if gain[best] <= 0 or inside[best] < FEWEST or users < max(min_users, FEWEST // 2):
        return None
    middle = float(np.median(lag[rows]))
    return int(np.exp(middle - wide)), int(np.exp(middle + wide))


def _recurrence(
    tables: Tables,
    event: str,
    of_item: bool,
    of: Occurrences,
    window: tuple[int, int],
    min_users: int,
) -> tuple[int, Recurrence]:
    """Return how many sessions follow, and what is learnt of them."""
    follows = of.followed_by(*window)
    before = np.flatnonzero(follows >= 0)
    after = follows[before]
    lag = (of.time[after] - of.time[before]).astype(np.float64)
    beside = (of.time[after] - a_month_after(of.time[before])).astype(np.float64)
    months = bool((np.abs(beside) < DAY_MS / 2).mean() >= MONTHLY)
    lag = beside if months else lag
    user = tables.user[of.row]
    rows = np.isin(tables.visit, of.visit[after])
    names = pd.Series(tables.event[rows])
    sessions = pd.Series(tables.visit[rows]).groupby(names).nunique()
    users = pd.Series(tables.user[rows]).groupby(names).nunique()
    usual = (sessions >= USUAL_EVENT * len(after)) & (users >= min_users)
    is_again = np.zeros(len(follows), dtype=bool)
    is_again[after] = True
    could = of.time + window[1] <= tables.time.max()
    kind = np.where(is_again, 2, np.where(of.is_first, 0, 1))
    shares = _shares(user[could], kind[could], follows[could] >= 0)
    return len(after), Recurrence(
        column="event",
        event=event,
        of_item=of_item,
        lag=quantiles(lag, user[before], min_users),
        months=months,
        shortest=window[0],
        longest=window[1],
        events=[str(n) for n in usual.index[usual]],
        users=shares.users,
        first=shares.first,
        later=shares.later,
        again=shares.again,
    )


def _shares(user: np.ndarray, kind: np.ndarray, followed: np.ndarray) -> _Shares:
    """Return the shares by expectation maximisation (Dempster, Laird and Rubin 1977).

    Users are of two classes, of which one has no recurrence. `kind` (n,) of an occurrence is 0 for
    the first of a session, 1 for others, 2 for one that follows another.
    """
    size = int(user.max(initial=0)) + 1
    counts, hits = (
        np.bincount(user * 3 + kind, weight, 3 * size).reshape(size, 3)
        for weight in (np.ones(len(user)), followed.astype(float))
    )
    known = counts.sum(1) > 0
    counts, hits = counts[known], hits[known]
    rate, share = np.full(3, 0.5), 0.5
    for _ in range(ROUNDS):
        none = share * np.prod((1 - rate) ** counts, axis=1)
        mine = np.where(hits.sum(1) > 0, 1.0, none / (none + 1 - share + 1e-12))
        share = float(mine.mean())
        rate = hits.sum(0) / np.maximum(mine @ counts, 1e-9)
        rate = np.clip(rate, 0, 1)
    return _Shares(share, *(float(r) for r in rate))
