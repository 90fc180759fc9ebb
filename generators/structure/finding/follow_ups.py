"""Find follow-ups: events that an order has once, in no session, after another of its rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from generators.structure.finding.evidence import SHARED, quantiles
from generators.structure.relations.base import Relation
from generators.structure.relations.follow_up import (
    OWN,
    FollowUp,
    followed,
    known_before,
    last_rows,
)
from generators.structure.tables import Tables, is_number, text_of

FEWEST = 30  # rows of an event that follows
HOLDS = 0.98  # share of its rows that are as is said of all
# Columns of which nothing is learnt of a row that follows.
ITS_OWN = frozenset({*OWN, "event_id", "event", "timestamp", "session_id"})


def candidates(tables: Tables) -> list[str]:
    """Return the events of orders, of no role, whose rows belong to no session."""
    if "order_id" not in tables.events:
        return []
    found = []
    for name in map(str, tables.event_names):
        rows = tables.is_event([name])
        if tables.roles.get(name) != "other" or rows.sum() < FEWEST:
            continue
        in_session = "session_id" in tables.events and (tables.session[rows] >= 0).mean()
        if in_session <= 1 - HOLDS and (tables.order[rows] >= 0).mean() >= HOLDS:
            found.append(name)
    return found


def find_follow_ups(tables: Tables, events: list[str], min_users: int) -> list[Relation]:
    """Return how `events` follow others, those that are followed by others first.

    `tables` are without what is derived: all else must be so of the rows that follow.
    """
    found = {name: _best(tables, name, min_users) for name in events}
    left = {name: follow_up for name, follow_up in found.items() if follow_up is not None}
    out = list[Relation]()
    while left:  # none follows itself, whichever way round: each is later than what it follows
        ready = [name for name, follow_up in left.items() if follow_up.after not in left]
        out += [left.pop(name) for name in ready]
        if not ready:
            break
    return out


def _best(tables: Tables, event: str, min_users: int) -> FollowUp | None:
    """Return what `event` follows most closely, None where it follows nothing."""
    rows, best, shortest = tables.is_event([event]), None, np.inf
    for after in [str(n) for n in tables.event_names if n != event]:
        before = followed(tables, event, after)
        there = np.flatnonzero(before >= 0)
        if len(there) < HOLDS * rows.sum() or len(np.unique(before[there])) < HOLDS * len(there):
            continue
        session = tables.session[there]
        if ((session >= 0) & (session == tables.session[before[there]])).mean() > 1 - HOLDS:
            continue
        lag = (tables.time[there] - tables.time[before[there]]).astype(np.float64)
        if np.median(lag) >= shortest or len(np.unique(tables.user[there])) < min_users:
            continue
        found = _follow_up(tables, event, after, there, before[there], lag, min_users)
        if found is not None:
            best, shortest = found, float(np.median(lag))
    return best


def _follow_up(
    tables: Tables,
    event: str,
    after: str,
    rows: np.ndarray,
    before: np.ndarray,
    lag: np.ndarray,
    min_users: int,
) -> FollowUp | None:
    """Return how `rows` (m,) follow the rows `before` (m,); None where more must be learnt."""
    same, latest = list[str](), list[str]()
    constants, free = dict[str, str | float](), dict[str, np.ndarray]()
    for name, column in tables.events.items():
        mine = text_of(column.iloc[rows])
        if name in ITS_OWN or mine.isna().mean() >= HOLDS:
            continue
        usual = mine.value_counts()
        if _alike(mine, column.iloc[before]):
            same.append(str(name))
        elif _alike(mine, known_before(tables, str(name)).iloc[rows]):
            latest.append(str(name))
        elif len(usual) and usual.iloc[0] >= HOLDS * len(mine):
            value = str(usual.index[0])
            constants[str(name)] = float(value) if is_number(column) else value
        else:
            known = column.iloc[rows] if is_number(column) else mine
            known = known.astype(object).where(known.notna(), None)
            free[str(name)] = known.to_numpy(dtype=object)
    together = list(zip(*free.values(), strict=True))
    values, shares = _shared(together, tables.user[rows], min_users)
    if free and sum(shares) < SHARED:
        return None
    # orders so late that what follows may lie after the end of the log do not count
    rows_of = last_rows(tables, after)
    could = tables.time[rows_of] + np.quantile(lag, HOLDS) <= tables.time.max()
    return FollowUp(
        column="event",
        event=event,
        after=after,
        rate=float(np.isin(rows_of[could], before).mean()) if could.any() else 1.0,
        lag=quantiles(lag, tables.user[rows], min_users),
        same=same,
        latest=latest,
        constants=constants,
        drawn=list(free),
        values=values,
        shares=shares,
    )


def _alike(texts: pd.Series, others: pd.Series) -> bool:
    """Return whether nearly all texts (m,) are those of the other column (m,)."""
    return bool((texts.to_numpy() == text_of(others).to_numpy()).mean() >= HOLDS)


def _shared(
    together: list[tuple], user: np.ndarray, min_users: int
) -> tuple[list[list[str | float | None]], list[float]]:
    """Return those of the tuples (m,) that enough users have, and their shares of all."""
    if not together:
        return [], []
    frame = pd.DataFrame({"of": pd.Series(together, dtype=object), "user": user})
    of = frame.groupby("of", dropna=False)["user"]
    rows, users = of.size(), of.nunique()
    kept = rows[users >= min_users]
    return [list(values) for values in kept.index], [float(n / len(frame)) for n in kept]
