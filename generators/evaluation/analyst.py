"""Tables that an analyst would draw from a log, and how far a synthetic log is off in each.

Revenue by week, retention by cohort, customers by recency, frequency and value, the funnel by
segment, the best-selling items by country, orders per customer, the effect of an offer. Each is a
table of a few numbers, and its measure one distance between two such tables. `b` is synthetic.

Shapes: n rows, U users.
"""

from __future__ import annotations

import numpy as np

from generators.evaluation.align import DAY_MS, AlignedLog
from generators.evaluation.campaigns import effect_of
from generators.evaluation.distances import js, ks

WEEK_MS = 7 * DAY_MS
MOST_WEEKS = 12  # after the first in which users are followed
LEVELS = 4  # of recency, of frequency and of value
STAGES = ("view", "cart", "checkout", "purchase")
FEWEST_VALUES, MOST_VALUES = 2, 12  # of a column that divides users into segments
MOST_SEGMENT_COLUMNS = 4
TOP = 10  # items of a country
OFFER_MS = 7 * DAY_MS  # in which a purchase counts as following an offer


def measures(a: AlignedLog, b: AlignedLog) -> dict[str, float]:
    """Return the distances between the tables of `a` and `b` that both logs allow."""
    out = {"retention_error": _retention_error(a, b)}
    out |= {"funnel_error": _funnel_error(a, b)}
    if a.is_role("purchase").any():
        out["orders_ks"] = ks(orders_per_customer(a), orders_per_customer(b))
        out["rfv_js"] = _customers_js(a, b)
        if "price" in a.numbers:
            out |= _revenue(a, b)
        if "item_id" in a.codes:
            out["top_items_overlap"] = _top_items_overlap(a, b)
    effects = offer_effect(a), offer_effect(b)
    if np.isfinite(effects[0][0]):
        gap = abs(effects[0][0] - effects[1][0])
        out["offer_effect_gap"] = float(gap) if np.isfinite(gap) else 1.0
    return out


# --- revenue --------------------------------------------------------------------------------------


def revenue_of_rows(log: AlignedLog) -> np.ndarray:
    """Return price times quantity of each purchase, (n,); 0 elsewhere and where it is missing."""
    amount = log.numbers["price"]
    if "quantity" in log.numbers:
        quantity = log.numbers["quantity"]
        amount = amount * np.where(np.isfinite(quantity), quantity, 1.0)
    return np.where(log.is_role("purchase"), np.nan_to_num(amount), 0.0)


def weekly_revenue(log: AlignedLog, start: int, weeks: int) -> np.ndarray:
    """Return the revenue of each week from `start` ms on, per user of the log, (weeks,)."""
    week = np.clip((log.time - start) // WEEK_MS, 0, weeks - 1)
    return np.bincount(week, revenue_of_rows(log), minlength=weeks) / log.n_users


def _revenue(a: AlignedLog, b: AlignedLog) -> dict[str, float]:
    start = int(min(a.time.min(), b.time.min()))
    weeks = int((max(a.time.max(), b.time.max()) - start) // WEEK_MS) + 1
    real, made = (weekly_revenue(log, start, weeks) for log in (a, b))
    total = np.abs(real).sum()
    if total == 0:
        return {}
    return {
        "revenue_error": float(abs(made.sum() - real.sum()) / total),
        "weekly_revenue_wmape": float(np.abs(made - real).sum() / total),
    }


# --- users over time ------------------------------------------------------------------------------


def retention(log: AlignedLog, weeks: int) -> np.ndarray:
    """Return the share of users who come back k + 1 weeks after their first row, (weeks,).

    Users count for the weeks that end within the log.
    """
    first = log.time[log.offsets[:-1]]
    since = (log.time - first[log.user]) // WEEK_MS
    rows = (since > 0) & (since <= weeks)
    came = np.bincount(
        np.unique(log.user[rows] * (weeks + 1) + since[rows]) % (weeks + 1), minlength=weeks + 1
    )
    followed = (log.time.max() - first) // WEEK_MS
    at_risk = (followed[:, None] >= np.arange(1, weeks + 1)).sum(0)
    return came[1:] / np.maximum(at_risk, 1)


def _retention_error(a: AlignedLog, b: AlignedLog) -> float:
    """Return the mean |difference| of retention over the weeks that `a` has."""
    weeks = int(np.clip((a.time.max() - a.time.min()) // WEEK_MS, 1, MOST_WEEKS))
    return float(np.abs(retention(a, weeks) - retention(b, weeks)).mean())


def orders_per_customer(log: AlignedLog) -> np.ndarray:
    """Return the orders (times of purchases) of each user who has any, (customers,)."""
    rows = np.flatnonzero(log.is_role("purchase"))
    user, time = log.user[rows], log.time[rows]
    begins = np.append(True, (np.diff(user) != 0) | (np.diff(time) != 0))[: len(rows)]
    count = np.bincount(user[begins], minlength=log.n_users)
    return count[count > 0]


def customers(log: AlignedLog) -> np.ndarray:
    """Return days since the last order, orders, and revenue (or rows) of customers, (m, 3)."""
    bought = log.is_role("purchase")
    user = log.user[bought]
    last = np.zeros(log.n_users)
    np.maximum.at(last, user, log.time[bought])
    value = revenue_of_rows(log) if "price" in log.numbers else bought.astype(float)
    value = np.bincount(log.user, value, minlength=log.n_users)
    there = np.unique(user)
    recency = (log.time.max() - last[there]) / DAY_MS
    return np.column_stack([recency, orders_per_customer(log), value[there]])


def _customers_js(a: AlignedLog, b: AlignedLog) -> float:
    """Return the JS divergence of customers over a grid of recency, frequency and value.

    Levels are quartiles of the real customers; users without an order are a cell of their own.
    """
    real, made = customers(a), customers(b)
    quarters = np.linspace(0, 1, LEVELS + 1)[1:-1]
    counts = []
    for log, table in ((a, real), (b, made)):
        cell = np.zeros(len(table), dtype=np.int64)
        for k in range(table.shape[1]):
            edges = np.unique(np.quantile(real[:, k], quarters))
            cell = cell * LEVELS + np.searchsorted(edges, table[:, k], side="right")
        grid = np.bincount(cell, minlength=LEVELS**3)
        counts.append(np.append(grid, log.n_users - len(table)))
    return js(*counts)


# --- segments -------------------------------------------------------------------------------------


def _segments(a: AlignedLog, b: AlignedLog) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Return for each column that divides the sessions its codes in both logs, and its levels.

    These are the first MOST_SEGMENT_COLUMNS columns of few values that most rows have.
    """
    found = []
    for name in a.codes:
        size = len(a.levels[name])
        few = FEWEST_VALUES <= size <= MOST_VALUES and name != "event"
        if few and (a.codes[name] >= 0).mean() > 0.5:
            found.append((a.codes[name], b.codes[name], size))
    for name in a.user_codes:
        size = len(a.levels[f"users.{name}"])
        if FEWEST_VALUES <= size <= MOST_VALUES:
            found.append((a.user_codes[name][a.user], b.user_codes[name][b.user], size))
    return found[:MOST_SEGMENT_COLUMNS]


def funnel(log: AlignedLog, code: np.ndarray, size: int) -> np.ndarray:
    """Return of each segment the share of its sessions with an event of each stage, (size, 4).

    `code` (n,) is the segment of each row; a session belongs to that of its first row.
    """
    session = np.cumsum(log.starts) - 1
    of = code[np.flatnonzero(log.starts)]
    total = np.maximum(np.bincount(of[of >= 0], minlength=size), 1)
    shares = []
    for stage in STAGES:
        reached = np.zeros(len(of), dtype=bool)
        reached[session[log.is_role(stage)]] = True
        shares.append(np.bincount(of[reached & (of >= 0)], minlength=size) / total)
    return np.stack(shares, 1)


def _funnel_error(a: AlignedLog, b: AlignedLog) -> float:
    """Return the mean |difference| of the funnels, segments by their share of real sessions."""
    whole = [(np.zeros(a.n_rows, dtype=np.int64), np.zeros(b.n_rows, dtype=np.int64), 1)]
    errors = []
    for ours, theirs, size in _segments(a, b) or whole:
        weight = np.bincount(ours[a.starts & (ours >= 0)], minlength=size)
        gap = np.abs(funnel(a, ours, size) - funnel(b, theirs, size)).mean(1)
        errors.append(float((gap * weight).sum() / max(weight.sum(), 1)))
    return float(np.mean(errors))


def top_items(log: AlignedLog, place: np.ndarray, size: int) -> np.ndarray:
    """Return the TOP most often bought items of each place, (size, TOP) codes, -1 = none.

    `place` (n,) are codes, -1 = unknown. Of items that are bought as often the first code counts.
    """
    width = len(log.levels["item_id"])
    item = log.codes["item_id"].astype(np.int64)
    rows = log.is_role("purchase") & (item >= 0) & (place >= 0)
    pair, count = np.unique(place[rows] * width + item[rows], return_counts=True)
    order = np.lexsort((pair, -count, pair // width))
    pair = pair[order]
    of = pair // width
    rank = np.arange(len(of)) - np.searchsorted(of, of)
    out = np.full((size, TOP), -1)
    keep = rank < TOP
    out[of[keep], rank[keep]] = pair[keep] % width
    return out


def _top_items_overlap(a: AlignedLog, b: AlignedLog) -> float:
    """Return the share of the real top items of each country that are among the synthetic ones.

    Countries count by their purchases; a log without countries is one.
    """
    if "country" in a.codes:
        places, size = [log.codes["country"].astype(np.int64) for log in (a, b)], "country"
    elif "country" in a.user_codes:
        places = [log.user_codes["country"][log.user].astype(np.int64) for log in (a, b)]
        size = "users.country"
    else:
        places, size = [np.zeros(log.n_rows, dtype=np.int64) for log in (a, b)], ""
    n_places = len(a.levels[size]) if size else 1
    real, made = (
        top_items(log, place, n_places) for log, place in zip((a, b), places, strict=True)
    )
    there = real >= 0
    hit = ((real[:, :, None] == made[:, None, :]).any(2) & there).sum(1) / np.maximum(
        there.sum(1), 1
    )
    bought = a.is_role("purchase") & (places[0] >= 0)
    weight = np.bincount(places[0][bought], minlength=n_places) * there.any(1)
    return float((hit * weight).sum() / weight.sum()) if weight.sum() else float("nan")


# --- offers ---------------------------------------------------------------------------------------


def offer_effect(log: AlignedLog) -> tuple[float, float]:
    """Return by how much likelier a purchase within a week is after an offer, and half the width of
    the 95 % interval; NaN where a log has no offers or lacks one arm.

    An offer with a discount is a treatment; one without is its control.
    """
    offer = np.flatnonzero(log.is_role("coupon_offer"))
    if len(offer) == 0 or "discount" not in log.numbers:
        return float("nan"), float("nan")
    bought = np.flatnonzero(log.is_role("purchase"))
    treated = np.nan_to_num(log.numbers["discount"][offer]) > 0
    offers, purchases = ((log.user[rows], log.time[rows]) for rows in (offer, bought))
    found = effect_of(offers, treated, purchases, window_ms=OFFER_MS)
    return (found.difference, found.half_width) if found else (float("nan"), float("nan"))
