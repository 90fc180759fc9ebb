"""Read prices by the day and the prices that items had."""

from __future__ import annotations

import numpy as np

from generators.codec.clock import DAY_MS
from generators.codec.codec import Codec
from generators.codec.parts import Ladder, Prices
from generators.codec.restore.limits import HIGHEST_PRICE, SMALLEST_PRICE, STEEPEST_PRICE
from generators.validation import Record

MOST_CELLS = 50_000_000  # categories x days of reduced prices


def read_prices(codec: Codec, part: Record) -> Prices:
    """Read prices by the day: (category, day of the span, log ratio to the usual price)."""
    daily = part.mask("daily_prices", (codec.events.size if part.value("daily_prices") else 0,))
    rows = part.value("reduced")
    if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == 3 for r in rows):
        part.fail("reduced", "is no list of category, day and ratio")
    columns = Record(
        dict(zip(("category", "day", "ratio"), map(list, zip(*rows, strict=True)), strict=True))
        if rows
        else {"category": [], "day": [], "ratio": []},
        f"{part.path}.reduced",
    )
    category = columns.integers("category", low=0, high=codec.categories.size - 1)
    day = columns.integers(
        "day", low=codec.clock.start_ms // DAY_MS, high=codec.clock.end_ms // DAY_MS
    )
    ratio = columns.numbers("ratio", low=-STEEPEST_PRICE, high=STEEPEST_PRICE)
    if rows and codec.categories.size * (int(day.max() - day.min()) + 1) > MOST_CELLS:
        part.fail("reduced", "lies over too many categories and days")
    reduced = list(zip(category.tolist(), day.tolist(), ratio.tolist(), strict=True))
    return Prices(daily, reduced, _ladder(codec, part.record("ladder")))


def _ladder(codec: Codec, part: Record) -> Ladder:
    part.only(("item", "price"))
    item = part.integers("item", low=1, high=codec.items.size - 1)
    price = part.numbers("price", size=len(item), low=SMALLEST_PRICE, high=HIGHEST_PRICE)
    order = np.lexsort((price, item))
    if (order != np.arange(len(item))).any():
        part.fail("", "is not in the order of items and their prices")
    return Ladder(item, price)
