"""A crawler: long sessions of fast views in the order of the listings, and never a cart.

Off by default.
"""

from __future__ import annotations

import numpy as np

from simulator import event_codes
from simulator.behaviour.browser import Browser
from simulator.behaviour.order_index import OrderIndex
from simulator.fraud.base import Attacks, FraudContext, Typology, accounts_of_rings
from simulator.world.recommender import PAGES


class ScrapingBot(Typology):
    """Opens item after item, page after page, query after query."""

    label = "bot"
    of = "rows"
    habit = 0.5
    browses = False

    def candidates(self, context: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Return accounts of rings that have been used."""
        return accounts_of_rings(context.population)

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Hide behind proxies, better with higher mimicry."""
        return 0.1 + 0.6 * mimicry, 0.4 + 0.55 * mimicry, 1.0

    def about(self, context: FraudContext, attacks: Attacks) -> np.ndarray:
        """Return the views of each crawl: hundreds, a few dozen with high mimicry."""
        n = len(attacks)
        median = np.exp((1 - context.mimicry) * np.log(200.0) + context.mimicry * np.log(12.0))
        return np.maximum(3, np.rint(median * context.rng.lognormal(0, 0.6, n))).astype(np.int64)

    def act(
        self,
        context: FraudContext,
        attacks: Attacks,
        start: np.ndarray,
        session: np.ndarray,
        browser: Browser,
        order_index: OrderIndex,
    ) -> np.ndarray:
        """View the listing of a query page by page, then that of the next query.

        With high mimicry, bots leave items out and take their time.
        """
        rng, m, n = context.rng, context.mimicry, len(attacks)
        slates, setting = browser.slates, context.scenario.sessions
        keep = 1 - 0.5 * m
        pages = int(np.ceil(attacks.reference.max(initial=1) / (keep * setting.slate))) + 2
        first = rng.integers(0, slates.n_queries, n)
        page = np.arange(pages)
        query = (first[:, None] + page // PAGES) % slates.n_queries  # (n, pages)
        variant = np.repeat(rng.integers(0, slates.ranked, n)[:, None], pages, axis=1)
        items = slates.items[
            slates.result(query, variant, np.broadcast_to(page % PAGES, query.shape))
        ].reshape(n, -1)
        opened = (items >= 0) & (rng.random(items.shape) < keep)
        opened &= opened.cumsum(1) <= attacks.reference[:, None]
        opened[:, 0] |= ~opened.any(1)
        median = np.exp((1 - m) * np.log(1.5) + m * np.log(setting.dwell))
        wait = np.where(opened, 0.3 + median * rng.lognormal(0, 0.3 + 0.6 * m, items.shape), 0.0)
        time = start[:, None] + wait.cumsum(1)
        row, place = np.nonzero(opened)
        item = np.maximum(items[row, place], 0)
        browser.events.add(
            event_codes.VIEW_ITEM,
            session=session[row],
            time=time[row, place],
            item=item,
            price=browser.prices[item],
            p_choice=1.0,
            rank=0,
        )
        return time[:, -1]
