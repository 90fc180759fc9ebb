"""Limits of prices and of times in a saved codec."""

from __future__ import annotations

import pandas as pd

from generators.codec.clock import DAY_MS

STEEPEST_PRICE = 50.0  # of log ratios of prices
SMALLEST_PRICE, HIGHEST_PRICE = 1e-15, 1e15
NANOSECONDS = tuple(
    t.value // 1_000_000 + d * DAY_MS for t, d in ((pd.Timestamp.min, 2), (pd.Timestamp.max, -2))
)  # ms that pandas holds
