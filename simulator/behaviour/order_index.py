"""What the orders of a shard held, for fraudsters to look up."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.browser import Browser


class OrderIndex:
    """The lines of any order."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def line_of(self, order: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return (k,) item and price of a random line of each order (k,)."""
        orders = self.browser.orders.written[order]
        row = self.browser.events.written[
            orders["first"] + (rng.random(len(order)) * orders["lines"]).astype(np.int64)
        ]
        return row["item"], row["price"]
