"""The scorecard of stylised facts: what a log shows beside what published e-commerce logs show.

Example::

    for fact in score(log):
        print(fact.name, fact.value, fact.low, fact.high, fact.inside)

Works on any log, simulated or real; a fact that the log cannot answer says why. The docstring of
its function in `facts` says exactly what each fact is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eventlog.log import EventLog
from simulator.realism import facts, session_facts
from simulator.realism.detector import Detection
from simulator.realism.measures import Absent, Measures


@dataclass(frozen=True)
class Fact:
    """One row of the scorecard; `value` is NaN where the log cannot answer, `reason` says why."""

    name: str
    value: float
    low: float
    high: float
    source: str
    reason: str = ""

    @property
    def inside(self) -> bool | None:
        """Whether the value lies in the range; None where there is none."""
        return None if np.isnan(self.value) else bool(self.low <= self.value <= self.high)


def score(log: EventLog) -> list[Fact]:
    """Return all facts of a log, one per row of FACTS.

    Raises InputError as `EventLog.grouped` does.
    """
    derived = Measures(log.grouped())
    return [_ask(derived, *row) for row in FACTS]


def _ask(
    derived: Measures,
    name: str,
    low: float,
    high: float,
    source: str,
    question: Callable[[Measures], float],
) -> Fact:
    try:
        return Fact(name, float(question(derived)), low, high, source)
    except Absent as absent:
        return Fact(name, float("nan"), low, high, source, str(absent))


FUNNEL = "Retailrocket 2.6, REES46 3.8, Taobao 6.2, OTTO 8.7 %"
SHOPS, CLICKS = "Retailrocket, REES46", "YooChoose, Diginetica, OTTO"
YOOCHOOSE = "YooChoose"
ROWS = "qualitative: neither never nor always"
BUYERS, BASKETS = "CDNOW, Online Retail", "Online Retail, Instacart"
# Name, range, source, function. Where no publication gives a number, the range only says what "an
# evening peak" etc. means here.
FACTS: tuple[tuple[str, float, float, str, Callable[[Measures], float]], ...] = (
    ("add_to_cart / view", 0.03, 0.08, FUNNEL, facts.ratio("carts", "views")),
    ("purchase / view", 0.008, 0.026, SHOPS, facts.ratio("purchases", "views")),
    ("purchase / add_to_cart", 0.28, 0.40, SHOPS, facts.ratio("purchases", "carts")),
    ("sessions that buy", 0.02, 0.06, SHOPS, facts.buying_sessions),
    (
        "session length, median of those with two views or more",
        3,
        4,
        CLICKS,
        facts.length(lambda v: float(np.median(v))),
    ),
    ("session length, mean", 4, 6, CLICKS, facts.length(lambda v: float(v.mean()))),
    (
        "session length, sd of log(length - 1)",
        0.70,
        1.02,
        f"lognormal, sigma about 0.86; {CLICKS}",
        facts.length(lambda v: float(np.log(v - 1).std())),
    ),
    (
        "session length, 99th percentile",
        17,
        33,
        f"about 25; {CLICKS}",
        facts.length(lambda v: float(np.quantile(v, 0.99))),
    ),
    (
        "repeat clicks within a session",
        0.20,
        0.30,
        "YooChoose, Retailrocket",
        facts.repeat_clicks,
    ),
    (
        "repeat clicks that repeat the last click",
        0.65,
        0.83,
        f"0.72-0.76; {YOOCHOOSE}",
        session_facts.immediate_repeats,
    ),
    (
        "sessions with two clicks or more: share with exactly two",
        0.34,
        0.5,
        f"0.43; {YOOCHOOSE}",
        session_facts.two_clicks,
    ),
    ("gap between clicks, s, 5 %", 1.5, 6, f"3; {YOOCHOOSE}", session_facts.gap_quantile(0.05)),
    ("gap between clicks, s, 25 %", 17, 37, f"25; {YOOCHOOSE}", session_facts.gap_quantile(0.25)),
    ("gap between clicks, s, 50 %", 39, 81, f"56; {YOOCHOOSE}", session_facts.gap_quantile(0.5)),
    ("gap between clicks, s, 75 %", 90, 185, f"129; {YOOCHOOSE}", session_facts.gap_quantile(0.75)),
    (
        "gap between clicks, s, 95 %",
        370,
        755,
        f"529; {YOOCHOOSE}",
        session_facts.gap_quantile(0.95),
    ),
    (
        "gap between clicks, s, 99 %",
        1150,
        2500,
        f"1721; {YOOCHOOSE}",
        session_facts.gap_quantile(0.99),
    ),
    (
        "gaps over ten minutes",
        0.02,
        0.055,
        f"0.032; {YOOCHOOSE}",
        session_facts.gap(session_facts.breaks),
    ),
    (
        "log gap, correlation with the next",
        0.11,
        0.26,
        f"0.18; {YOOCHOOSE}",
        session_facts.gap_correlation,
    ),
    (
        "log gap, share of variance between sessions",
        0.13,
        0.29,
        f"0.21; {YOOCHOOSE}",
        session_facts.gap_between_sessions,
    ),
    (
        "gap after nine clicks / after the first",
        0.5,
        0.85,
        f"42 s / 64 s; {YOOCHOOSE}",
        session_facts.late_gaps,
    ),
    (
        "orders followed by other rows of the session",
        0.02,
        0.9,
        ROWS,
        session_facts.rows_after_order,
    ),
    (
        "carts that do not follow a view of the item",
        0.02,
        0.9,
        ROWS,
        session_facts.unviewed_carts,
    ),
    (
        "items with prices ending in 0, 5, 7 or 9",
        0.74,
        0.88,
        "0.74-0.88 in public catalogues",
        session_facts.price_endings,
    ),
    (
        "50 best-viewed items kept after eight weeks",
        0.3,
        0.58,
        "0.44 in public click logs",
        session_facts.best_kept,
    ),
    (
        "query texts typed once",
        0.4,
        0.8,
        "0.64, Silverstein et al. 1999",
        session_facts.rare_queries,
    ),
    (
        "items first viewed in the second half",
        0.005,
        0.3,
        "qualitative: assortments change",
        session_facts.new_items,
    ),
    ("Zipf slope of clicks, ranks 10-1000", 0.9, 1.2, SHOPS, facts.slope(lambda m: m.views)),
    ("Zipf slope of purchases, ranks 10-1000", 0.4, 0.8, SHOPS, facts.slope(lambda m: m.lines)),
    ("purchases of the top 20 % of items", 0.60, 0.80, BASKETS, facts.top_fifth),
    ("buyers who buy once", 0.35, 0.55, BUYERS, facts.buys_once),
    ("Gini of purchases over buyers", 0.50, 0.70, BUYERS, facts.buyer_gini),
    ("time between orders, CV", 1.1, 1.4, BUYERS, lambda m: float(m.gaps.std() / m.gaps.mean())),
    ("time between orders, sd of log", 1.2, 1.5, BUYERS, lambda m: float(np.log(m.gaps).std())),
    ("basket, mean lines", 1.3, 2.5, BASKETS, facts.basket(lambda lines: float(lines.mean()))),
    (
        "basket, share with one line",
        0.45,
        0.80,
        BASKETS,
        facts.basket(lambda lines: float((lines == 1).mean())),
    ),
    (
        "repeat purchases of an item",
        0.15,
        0.35,
        "by category; Dunnhumby, Ta-Feng",
        facts.repeat_items,
    ),
    ("price of purchases, sd of log", 0.8, 1.1, "Online Retail, REES46", facts.price_sigma),
    (
        "price elasticity in campaigns",
        -4.0,
        -1.0,
        "Bijmolt, van Heerde and Pieters 2005, mean -2.6",
        facts.elasticity,
    ),
    ("busiest hour (UTC)", 18, 22, "qualitative: an evening peak", facts.peak_hour),
    ("busiest hour / mean hour", 1.3, 2.5, "qualitative: an evening peak", facts.peak_height),
    (
        "hours, weekend against weekday, total variation",
        0.045,
        0.12,
        f"0.078; {YOOCHOOSE}",
        session_facts.weekend_hours,
    ),
    ("weekend day / weekday", 1.05, 1.6, "qualitative: a weekly cycle", facts.weekend),
    (
        "busiest day / median day",
        1.5,
        3.5,
        "qualitative: campaigns about twofold",
        facts.busiest,
    ),
    (
        "campaign days / other days",
        1.5,
        2.5,
        "qualitative: campaigns about twofold",
        facts.campaign_lift,
    ),
    ("orders with a refund", 0.08, 0.18, "trade reports; Online Retail 0.18", facts.refunded),
    ("orders reported as fraud", 0.001, 0.02, "trade reports, 0.1-2 %", facts.payment_fraud),
    ("reviews that are fake", 0.02, 0.06, "trade reports, 2-6 %", facts.fake_reviews),
    ("rows asked for by bots", 0.10, 0.30, "trade reports, where bots are on", facts.bots),
    (
        "price x conversion, rank correlation over items",
        -1.0,
        -0.02,
        "qualitative: conversion falls with price",
        facts.price_conversion,
    ),
    (
        "long / short sessions, share that buys",
        1.2,
        20.0,
        "qualitative: rises with length",
        facts.long_sessions,
    ),
    (
        "conversion after / before the first order",
        1.05,
        10.0,
        "qualitative: repeat buyers convert more",
        facts.repeat_buyers,
    ),
)


def table(found: list[Fact]) -> str:
    """Return the scorecard as aligned plain text."""
    lines = [f"{'fact':<56}{'value':>9}  {'range':<16}{'':<9}source"]
    for fact in found:
        verdict = {True: "inside", False: "OUTSIDE", None: "no data"}[fact.inside]
        value = "-" if fact.reason else f"{fact.value:.4g}"
        source = f"({fact.reason})" if fact.reason else fact.source
        lines.append(
            f"{fact.name:<56}{value:>9}  {f'{fact.low:g} to {fact.high:g}':<16}{verdict:<9}{source}"
        )
    known = [f for f in found if f.inside is not None]
    lines.append(f"{sum(bool(f.inside) for f in known)} of {len(known)} facts inside their range")
    return "\n".join(lines)


def to_json(found: list[Fact], detection: Detection | None = None) -> str:
    """Return the scorecard as JSON; a value that the log cannot give is null.

    {"facts": [{name, value, low, high, inside, source, reason}], "inside": k, "known": n}, and
    "detection": {auc, floor, sessions, clues} where there is one.
    """
    rows: list[dict[str, Any]] = [
        {
            "name": f.name,
            "value": None if f.reason else f.value,
            "low": f.low,
            "high": f.high,
            "inside": f.inside,
            "source": f.source,
            "reason": f.reason or None,
        }
        for f in found
    ]
    known = [f.inside for f in found if f.inside is not None]
    card: dict[str, Any] = {"facts": rows, "inside": sum(known), "known": len(known)}
    if detection is not None:
        card["detection"] = asdict(detection)
    return json.dumps(card, indent=2, ensure_ascii=False)
