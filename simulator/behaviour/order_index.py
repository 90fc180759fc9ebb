"""What the orders of a shard held, for fraudsters to look up."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.browser import Browser


class OrderIndex:
    """The orders of past days, and the lines of any order."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.order_table: list[dict[str, np.ndarray]] = []  # one table a day
        self._n_indexed = 0

    def close_day(self) -> None:
        """Add the day's orders to the table."""
        orders = self.browser.orders.written[self._n_indexed :]
        self._n_indexed = self.browser.orders.n
        self.order_table.append(
            {name: orders[name].copy() for name in ("user", "typology", "ring", "time", "views")}
        )

    def line_of(self, order: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return (k,) item and price of a random line of each order (k,)."""
        orders = self.browser.orders.written[order]
        row = self.browser.events.written[
            orders["first"] + (rng.random(len(order)) * orders["lines"]).astype(np.int64)
        ]
        return row["item"], row["price"]
