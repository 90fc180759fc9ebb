"""Which settings calibration moves, how far, and which facts they are expected to move.

Settings are searched in coordinates without bounds: as they are, as logarithms, or as log-odds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.scenario import Scenario, settings

TO_SEARCH: dict[str, Callable[[float], float]] = {
    "as is": lambda v: v,
    "log": lambda v: math.log(max(v, 1e-6)),
    "logit": lambda v: math.log(min(max(v, 0.002), 0.998) / (1 - min(max(v, 0.002), 0.998))),
}
FROM_SEARCH: dict[str, Callable[[float], float]] = {
    "as is": lambda x: x,
    "log": math.exp,
    "logit": lambda x: 1 / (1 + math.exp(-x)),
}


@dataclass(frozen=True)
class Move:
    """How one setting is searched."""

    scale: str  # key of TO_SEARCH
    step: float  # a typical step, in search coordinates
    effects: dict[str, float]  # a guess: fact -> change of its log per unit


MOVES: dict[str, Move] = {
    "shoppers.visits": Move(
        "log",
        0.5,
        {"sessions per user, geometric mean": 0.7, "orders per buyer": 0.6},
    ),
    "shoppers.visits_shape": Move("log", 0.4, {"sessions per user, sd of log": -0.25}),
    "checkout.cart": Move(
        "as is",
        0.5,
        {
            "add_to_cart / view": 0.9,
            "sessions that buy": 0.7,
            "users who buy": 0.5,
            "basket, mean lines": 0.1,
            "basket, share with one line": -0.1,
        },
    ),
    "checkout.begin": Move(
        "as is",
        0.5,
        {"purchase / add_to_cart": 0.6, "sessions that buy": 0.5, "orders per buyer": 0.2},
    ),
    "checkout.forget": Move("logit", 0.5, {"purchase / add_to_cart": -0.1}),
    "sessions.leave": Move("logit", 0.4, {"session length, mean": -0.35}),
    "sessions.leave_sigma": Move("as is", 0.3, {"session length, sd of log(length - 1)": 0.15}),
    "sessions.reopen": Move("as is", 0.4, {"repeat clicks within a session": 0.5}),
    "catalogue.appeal_slope": Move("as is", 0.15, {"Zipf slope of clicks": 0.5}),
    "checkout.cart_match": Move("as is", 0.15, {"Zipf slope of purchases": 0.3}),
    "shoppers.propensity_sigma": Move("as is", 0.25, {"Gini of purchases over buyers": 0.15}),
    "checkout.trust": Move("as is", 0.3, {"conversion after / before the first order": 0.4}),
    "checkout.back_for_more": Move(
        "logit",
        0.6,
        {"buyers who buy once": -0.1, "time between orders, CV": 0.02},
    ),
    "churn.hazard": Move("log", 0.5, {"buyers who buy once": 0.1, "orders per buyer": -0.15}),
    "checkout.basket": Move(
        "as is",
        0.4,
        {"basket, mean lines": 0.2, "basket, share with one line": -0.2},
    ),
    "sessions.replenish": Move("logit", 0.6, {"repeat purchases of an item": 0.4}),
    "navigation.list": Move(
        "log", 0.4, {"basket, mean lines": 0.7, "basket, share with one line": -0.3}
    ),
    "navigation.list_sigma": Move(
        "as is", 0.2, {"basket, share with one line": 0.5, "basket, mean lines": 0.5}
    ),
    "sessions.dwell": Move(
        "log",
        0.3,
        {
            "gap between clicks, median": 1.0,
            "gap between clicks, 75 %": 1.0,
            "gap between clicks, 95 %": 1.0,
        },
    ),
    "pace.quick": Move("logit", 0.5, {"gap between clicks, 5 %": -0.7}),
    "pace.interrupted": Move(
        "logit", 0.4, {"gap between clicks, 75 %": 0.2, "gap between clicks, 95 %": 0.5}
    ),
    "pace.sessions": Move("log", 0.3, {"log gap, share of variance between sessions": 0.8}),
    "pace.warming": Move("as is", 0.08, {"gap after nine clicks / after the first": -1.8}),
    "navigation.at_once": Move(
        "as is",
        0.5,
        {
            "repeat clicks that repeat the last click": 0.2,
            "repeat clicks within a session": 0.4,
        },
    ),
    "navigation.done": Move(
        "as is",
        0.5,
        {"sessions with two clicks or more: exactly two": 0.3, "session length, mean": -0.15},
    ),
    "catalogue.price_level": Move("log", 0.4, {"price of purchases, geometric mean": 1.0}),
    "catalogue.price_sigma": Move("log", 0.2, {"price of purchases, sd of log": 1.0}),
    "calendar.weekend": Move("log", 0.1, {"users, weekend day / weekday": 0.9}),
    "calendar.campaign_visits": Move("log", 0.2, {"users, busiest day / median day": 0.8}),
    "calendar.evening": Move("as is", 0.25, {"busiest hour / mean hour": 0.55}),
    "checkout.refund": Move("log", 0.3, {"orders with a refund": 1.0}),
    "fraud.share": Move("log", 0.4, {"orders reported as fraud": 1.0}),
}


# A setting that is taken over from the log -> those of MOVES that it takes the place of.
REPLACES = {
    "calendar.hours": ("calendar.evening",),
    "checkout.begin": ("checkout.begin", "checkout.forget"),
    "calendar.day_weights": ("calendar.weekend", "calendar.campaign_visits"),
}


def settings_of(moves: dict[str, Move], x: np.ndarray) -> dict[str, float]:
    """Return setting -> value, to four digits after the point, of search coordinates (p,)."""
    return {
        key: round(FROM_SEARCH[move.scale](float(v)), 4)
        for (key, move), v in zip(moves.items(), x, strict=True)
    }


def ranges(moves: dict[str, Move], base: Scenario) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (p,) start, lowest and highest search coordinates; the start is that of `base`."""
    known = {setting.key: setting for setting in settings()}
    rows = []
    for key, move in moves.items():
        section, _, name = key.partition(".")
        low, high = known[key].low, known[key].high
        assert low is not None
        assert high is not None
        # rounding must not leave the range
        margin = 1e-3 * (low if move.scale == "log" and low > 0 else high - low)
        value = getattr(getattr(base, section), name)
        start = min(max(value, low + margin), high - margin)
        rows.append([TO_SEARCH[move.scale](v) for v in (start, low + margin, high - margin)])
    table = np.array(rows)
    return table[:, 0], table[:, 1], table[:, 2]
