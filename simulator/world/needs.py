"""What the goods of each category are needed for: again and again, once in a while, as gifts."""

from __future__ import annotations

import math
from datetime import date

import numpy as np

from simulator.counter_rng import child, normals, uniforms
from simulator.sections import Needs

USED_UP, SEASON = 2, 3  # children of the key of the stock's draws
OCCASIONS, GIFT_DAYS = ((2, 14), (12, 24)), 14  # month and day; days before it
YEAR = 365.25


def kinds(setting: Needs, price: np.ndarray, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each category the days in which its goods are used up, and where people compare.

    Of `price` (n_categories,), mean log prices, the lowest are those of goods that are used up, the
    highest those of purchases that are thought over; no category is both.

    Returns:
        (n_categories,) float64, 0 = they last, and (n_categories,) bool.
    """
    n = len(price)
    rank = np.argsort(np.argsort(price))
    used_up = rank < round(setting.used_up * n)
    considered = ~used_up & (rank >= n - round(setting.considered * n))
    deviate = normals(np.uint64(child(np.uint64(key), USED_UP)), 2 * np.arange(n))
    days = setting.used_up_days * np.exp(setting.used_up_sigma * deviate)
    return np.where(used_up, days, 0.0), considered


def demand(setting: Needs, day: date, key: int, partner: np.ndarray) -> np.ndarray:
    """Return (n_categories,) float64 log of the season's factor on the demand for each category.

    A wave of a year whose peak is drawn; a category and its `partner` (n_categories,) share it.
    """
    pair = np.minimum(np.arange(len(partner)), partner)
    peak = uniforms(np.uint64(child(np.uint64(key), SEASON)), pair)
    year = day.timetuple().tm_yday / YEAR
    return setting.season * np.cos(2.0 * math.pi * (year - peak))  # type: ignore[no-any-return]


def gifts(setting: Needs, day: date) -> float:
    """Return the share of new intents on `day` that are gifts."""
    for month, of_month in OCCASIONS:
        if 0 <= (date(day.year, month, of_month) - day).days < GIFT_DAYS:
            return min(setting.gifts * setting.gift_season, 1.0)
    return setting.gifts
