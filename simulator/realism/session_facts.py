"""Stylised facts of how sessions go: gaps between clicks, repeats, lengths, rows, prices, queries.

A click is a view of an item in a session; a gap is the time from one click of a session to the
next.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from simulator.realism.measures import ENOUGH, LEAST_GAP, Measures, needs

BREAK = 600.0  # seconds from which a gap is a break
EARLY, LATE = 1, 9  # clicks before a gap: of the first gaps, and at least of the late ones
BEST, SPAN_DAYS, WINDOW_DAYS = 50, 56, 14  # best-viewed items, of two windows that far apart
ENDINGS = (0, 5, 7, 9)  # last digits in which prices are made to end


def gap(question: Callable[[np.ndarray], float]) -> Callable[[Measures], float]:
    """Return a fact about the gaps between clicks, in seconds."""

    def ask(m: Measures) -> float:
        gaps = m.clicks.gaps
        needs(len(gaps) >= ENOUGH and gaps.max() > 0, "gaps between clicks in sessions")
        return question(gaps)

    return ask


def gap_quantile(share: float) -> Callable[[Measures], float]:
    """Return the fact of a quantile of the gaps between clicks, in seconds."""
    return gap(lambda gaps: float(np.quantile(gaps, share)))


def breaks(gaps: np.ndarray) -> float:
    """Share of gaps within a session that last more than ten minutes."""
    return float((gaps > BREAK).mean())


def gap_correlation(m: Measures) -> float:
    """Correlation of the log of a gap with that of the next gap of the session."""
    first, second = m.clicks.pairs
    needs(len(first) >= ENOUGH, f"{ENOUGH} sessions with three clicks")
    return float(np.corrcoef(first, second)[0, 1])


def gap_between_sessions(m: Measures) -> float:
    """Share of the variance of log gaps that lies between sessions (one-way random effects)."""
    gaps, session = np.log(np.maximum(m.clicks.gaps, LEAST_GAP)), m.clicks.session_of_gap
    code = np.unique(session, return_inverse=True)[1]
    size = np.bincount(code) if len(code) else np.zeros(1)
    n, k = len(gaps), len(size)
    needs(n - k >= ENOUGH, f"{ENOUGH} sessions with three clicks")
    mean = np.bincount(code, gaps) / size
    between = float((size * (mean - gaps.mean()) ** 2).sum()) / (k - 1)
    within = float(((gaps - mean[code]) ** 2).sum()) / (n - k)
    typical = (n - float((size**2).sum()) / n) / (k - 1)
    return (between - within) / (between + (typical - 1) * within)


def late_gaps(m: Measures) -> float:
    """Median gap after nine clicks or more, relative to that after the first click."""
    gaps, before = m.clicks.gaps, m.clicks.before_gap
    late = before >= LATE
    needs(late.sum() >= ENOUGH, f"{ENOUGH} gaps after nine clicks")
    return float(np.median(gaps[late]) / np.median(gaps[before == EARLY]))


def immediate_repeats(m: Measures) -> float:
    """Share of the repeat clicks of a session that repeat the click just before them."""
    repeats, at_once = m.clicks.repeats, m.clicks.at_once
    needs(repeats.sum() >= ENOUGH, f"{ENOUGH} repeat clicks")
    return float(at_once.sum() / repeats.sum())


def two_clicks(m: Measures) -> float:
    """Share of the sessions with two clicks or more that have exactly two."""
    views = m.sessions["views"].to_numpy()
    needs((views >= 2).sum() >= ENOUGH, f"{ENOUGH} sessions with two clicks")
    return float((views == 2).sum() / (views >= 2).sum())


def weekend_hours(m: Measures) -> float:
    """Total variation between the hours of clicks on weekends and on weekdays."""
    time = m.views["time"]
    needs((time.dt.hour != 0).any(), "times of the day (dates only)")
    free = (time.dt.dayofweek >= 5).to_numpy()
    needs(min(free.sum(), (~free).sum()) >= 20 * ENOUGH, "clicks on weekends and weekdays")
    hour = time.dt.hour.to_numpy()
    one, other = (np.bincount(hour[on], minlength=24) / on.sum() for on in (free, ~free))
    return float(np.abs(one - other).sum() / 2)


def rows_after_order(m: Measures) -> float:
    """Share of the sessions with an order in which something follows it."""
    rows = m.frame[m.frame["session_id"] >= 0]
    role = rows["role"].to_numpy()
    n = int(rows["session_id"].max()) + 1 if len(rows) else 0
    place, code = np.arange(len(rows)), rows["session_id"].to_numpy()
    last, order = np.full(n, -1), np.full(n, -1)
    np.maximum.at(last, code, place)
    np.maximum.at(order, code[role == "purchase"], place[role == "purchase"])
    needs((order >= 0).sum() >= ENOUGH and (role != "purchase").any(), f"{ENOUGH} orders")
    return float((last > order)[order >= 0].mean())


def unviewed_carts(m: Measures) -> float:
    """Share of the cart rows that do not directly follow a view of their item."""
    rows = m.frame[m.frame["session_id"] >= 0]
    role, item, session = (rows[c].to_numpy() for c in ("role", "item_id", "session_id"))
    carts = np.flatnonzero(role == "cart")
    needs(len(carts) >= ENOUGH and (role == "view").any(), f"{ENOUGH} carts in sessions with views")
    before = np.maximum(carts - 1, 0)
    follows = (role[before] == "view") & (item[before] == item[carts]) & (carts > 0)
    return float(1 - (follows & (session[before] == session[carts])).mean())


def price_endings(m: Measures) -> float:
    """Share of the items viewed or sold whose price ends in 0, 5, 7 or 9 cents."""
    rows = m.frame[(m.frame["item_id"] >= 0) & (m.frame["price"] > 0)]
    price = rows.groupby("item_id")["price"].agg(lambda found: found.mode().iloc[0])
    needs(len(price) >= ENOUGH, f"prices of {ENOUGH} items")
    cents = np.rint(price.to_numpy() * 100).astype(np.int64)
    return float(np.isin(cents % 10, ENDINGS).mean())


def best_kept(m: Measures) -> float:
    """Share of the 50 best-viewed items of two weeks that still are eight weeks later."""
    day = m.views["time"].dt.floor("D")
    needs(len(day), "views")
    first = day.min()
    needs((day.max() - first).days >= SPAN_DAYS, f"{SPAN_DAYS} days")
    later = day.max() - pd.Timedelta(days=WINDOW_DAYS - 1)
    early = day < first + pd.Timedelta(days=WINDOW_DAYS)
    best = [m.views["item_id"][on].value_counts().index[:BEST] for on in (early, day >= later)]
    needs(min(map(len, best)) == BEST and len(day) >= 100 * BEST, f"views of {BEST} items")
    return float(best[0].isin(best[1]).mean())


def rare_queries(m: Measures) -> float:
    """Share of the different query texts that are typed once."""
    found = m.log.events["query"] if "query" in m.log.events else pd.Series(dtype=object)
    counts = found[(m.frame["role"] == "search").to_numpy()[: len(found)]].value_counts()
    counts = counts[counts > 0]
    needs(counts.sum() >= 20 * ENOUGH, "searches with their texts")
    return float((counts == 1).mean())


def new_items(m: Measures) -> float:
    """Share of the viewed items that are first viewed after half of the log."""
    first = m.views.groupby("item_id")["time"].min()
    needs(len(m.views) >= 50 * max(len(first), 1), "50 views per item")
    begin, end = m.views["time"].min(), m.views["time"].max()
    return float((first > begin + (end - begin) / 2).mean())
