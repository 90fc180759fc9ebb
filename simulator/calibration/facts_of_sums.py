"""From sums over users to stylised facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from simulator.calibration.statistics import (
    CENTRES,
    ITEM_QUESTIONS,
    LOG_SESSIONS_SCALE,
    PRICE_CENTRE,
    SummaryStatistics,
)
from simulator.realism.facts import gini, zipf_slope

LEAST = 20.0  # cases below which a ratio or a spread is not given


class _People(NamedTuple):
    """The first cells of the question "people"; the others are a histogram of lines per buyer."""

    active: float
    buyers: float
    buy_once: float
    with_sessions: float
    log_sessions: float  # sum of log(sessions) / LOG_SESSIONS_SCALE
    log_sessions_squared: float


class _Visits(NamedTuple):
    """The cells of the question "visits": numbers of sessions, and of orders."""

    sessions: float
    buy: float
    short: float
    short_buy: float
    long: float
    long_buy: float
    later: float  # after the first order
    later_orders: float
    before: float  # before the first order
    first_orders: float


class _Clicks(NamedTuple):
    """The cells of the question "clicks"."""

    views: float
    minus_distinct: float  # distinct (session, item) pairs, counted negatively
    in_long_sessions: float  # in sessions with two views or more


class _Buying(NamedTuple):
    """The cells of the question "buying"."""

    carts: float
    lines: float
    orders: float
    single_line: float
    of_items: float  # lines whose item is known
    minus_distinct: float  # distinct (user, item) pairs, counted negatively
    refunds: float
    fraud: float


class _Gaps(NamedTuple):
    """The cells of the question "gaps", in months and log days."""

    n: float
    total: float
    squared: float
    log: float
    log_squared: float


def facts_of(
    sums: SummaryStatistics,
    *,
    start: pd.Timestamp,
    noise: Mapping[str, float] | None = None,
    rare: float = 0.0,
) -> dict[str, float]:
    """Return fact -> value, NaN where the sums do not say.

    Args:
        sums: those of `statistics.summary_statistics`.
        start: the first day of the window.
        noise: sd of the noise in each question's cells; histogram cells within two of it count as
            empty. None = exact sums.
        rare: share of all views (lines) below which an item does not count towards a Zipf slope,
            because it would be noise.
    """
    return {
        **_facts_of_users(sums, quiet=2 * noise["people"] if noise else 0.0),
        **_facts_of_times(sums, start, quiet=4 * noise["hours"] if noise else 0.0),
        "Zipf slope of clicks": _zipf(sums, ITEM_QUESTIONS[0], rare),
        "Zipf slope of purchases": _zipf(sums, ITEM_QUESTIONS[1], rare),
    }


def _facts_of_users(sums: SummaryStatistics, *, quiet: float) -> dict[str, float]:
    people, lines_per_buyer = _People(*sums["people"][:6]), sums["people"][6:]
    visits, clicks = _Visits(*sums["visits"]), _Clicks(*sums["clicks"])
    buying, gaps = _Buying(*sums["buying"]), _Gaps(*sums["gaps"])
    if not clicks.views > 0:  # without views of items, sessions are no visits
        people = people._replace(with_sessions=0.0, log_sessions=0.0, log_sessions_squared=0.0)
        orders = {"later_orders": visits.later_orders, "first_orders": visits.first_orders}
        visits = _Visits(*np.zeros(len(visits)))._replace(**orders)
    sd_of_log = _sd(people.with_sessions, people.log_sessions, people.log_sessions_squared)
    buy_share = _ratio(people.buyers, people.active) if visits.sessions > 0 else np.nan
    return {
        "sessions per user, geometric mean": _sessions_per_user(people),
        "sessions per user, sd of log": LOG_SESSIONS_SCALE * sd_of_log,
        "users who buy": buy_share,
        "orders per buyer": _ratio(buying.orders, people.buyers),
        "add_to_cart / view": _ratio(buying.carts, clicks.views),
        "purchase / add_to_cart": _ratio(buying.lines, buying.carts),
        "sessions that buy": _ratio(visits.buy, visits.sessions),
        "session length, mean": _ratio(clicks.in_long_sessions, sums["lengths"][0]),
        "session length, sd of log(length - 1)": _sd(*sums["lengths"]),
        "repeat clicks within a session": _ratio(
            clicks.views + clicks.minus_distinct, clicks.views
        ),
        "buyers who buy once": _ratio(people.buy_once, people.buyers),
        "Gini of purchases over buyers": _gini(lines_per_buyer, quiet),
        "time between orders, CV": _sd(gaps.n, gaps.total, gaps.squared)
        / _ratio(gaps.total, gaps.n),
        "time between orders, sd of log": _sd(gaps.n, gaps.log, gaps.log_squared),
        "basket, mean lines": _ratio(buying.lines, buying.orders),
        "basket, share with one line": _ratio(buying.single_line, buying.orders),
        "repeat purchases of an item": _ratio(
            buying.of_items + buying.minus_distinct, buying.of_items
        ),
        "price of purchases, geometric mean": _price_level(*sums["prices"]),
        "price of purchases, sd of log": _sd(*sums["prices"]),
        "orders with a refund": _ratio(buying.refunds, buying.orders),
        "orders reported as fraud": _ratio(buying.fraud, buying.orders),
        "long / short sessions, share that buys": _ratio(
            _ratio(visits.long_buy, visits.long), _ratio(visits.short_buy, visits.short), 0
        ),
        "conversion after / before the first order": _ratio(
            _ratio(visits.later_orders, visits.later),
            _ratio(visits.first_orders, visits.before),
            0,
        ),
    }


def _facts_of_times(
    sums: SummaryStatistics, start: pd.Timestamp, *, quiet: float
) -> dict[str, float]:
    hours, days = sums["hours"], sums["days"]
    # dates without times: all rows are in the first hour
    has_times = hours[1:].max() > quiet
    facts = {"busiest hour / mean hour": float(hours.max() / hours.mean()) if has_times else np.nan}
    if len(days) >= 14:
        facts["users, weekend day / weekday"] = _weekend(days, start.dayofweek)
        days = days_without_chance(days)
        facts["users, busiest day / median day"] = _ratio(days.max(), np.median(days), 0)
    return facts


def _weekend(days: np.ndarray, first: int) -> float:
    """Users on a Saturday or Sunday relative to the other days of the week, by their medians.

    `first`: the day of the week of the first of `days` (n,), 0 = Monday. Each day of the week has
    a median of its own: one over Saturdays that are closed and Sundays that are not would lie
    between the two, where the quietest Sunday happens to be.
    """
    weekday = (np.arange(len(days)) + first) % 7
    median = np.array([np.median(days[weekday == k]) for k in range(7)])
    return _ratio(median[5:].mean(), median[:5].mean(), 0)


def days_without_chance(days: np.ndarray) -> np.ndarray:
    """Return (days,) users by day, drawn to their mean until they vary as without chance.

    Otherwise the busiest day of a small simulation would stand out more than that of a large log.
    Users come one by one, so chance adds the mean to the variance. A closed day stays closed.
    """
    counts = np.maximum(days, 0.0)
    is_open = counts > 0
    if not is_open.any():
        return counts
    mean, variance = float(counts[is_open].mean()), float(counts[is_open].var())
    true = max(1.0 - mean / max(variance, 1e-9), 0.0)  # share of the variance
    return np.where(is_open, mean + np.sqrt(true) * (counts - mean), 0.0)


def _sessions_per_user(people: _People) -> float:
    """Geometric mean of sessions per user."""
    n = people.with_sessions
    if not n > LEAST:
        return np.nan
    return float(np.exp(np.clip(LOG_SESSIONS_SCALE * people.log_sessions / n, -9, 9)))


def _price_level(n: float, total: float, squares: float) -> float:
    """Geometric mean of prices, of sums of their logs around PRICE_CENTRE."""
    if not n > LEAST:
        return np.nan
    return float(np.exp(np.clip(PRICE_CENTRE + total / n, -9, 15)))


def _zipf(sums: SummaryStatistics, question: str, rare: float) -> float:
    counts = sums.get(question, np.zeros(1))
    return zipf_slope(np.sort(counts)[::-1], max(rare * counts.sum(), 0.0))


def _ratio(a: float, b: float, least: float = LEAST) -> float:
    return float(a / b) if b > least and a > 0 else float("nan")


def _sd(n: float, total: float, squares: float) -> float:
    if not n > LEAST:
        return float("nan")
    return float(np.sqrt(max(squares / n - (total / n) ** 2, 0.0))) or float("nan")


def _gini(cells: np.ndarray, quiet: float) -> float:
    """Gini coefficient of a histogram over EDGES."""
    cells = np.round(np.where(cells > quiet, cells, 0)).astype(np.int64)
    return gini(np.repeat(CENTRES, cells)) if cells.sum() > LEAST else float("nan")
