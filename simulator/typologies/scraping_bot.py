"""A crawler: long sessions of fast views in the order of a list, and never a cart.

Off by default.
"""

from __future__ import annotations

import numpy as np

from simulator import event_codes
from simulator.behaviour.browser import Browser
from simulator.behaviour.order_index import OrderIndex
from simulator.fraud.base import Attacks, FraudContext, Typology
from simulator.world.catalogue import DAY
from simulator.world.recommender import PAGES


class ScrapingBot(Typology):
    """Opens item after item, page after page, query after query."""

    label = "bot"
    of = "rows"
    habit = 0.5
    browses = False

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Hide behind proxies, better with higher mimicry."""
        return 0.1 + 0.8 * mimicry, 0.4 + 0.55 * mimicry, 1.0

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
        """View item after item, at the crawl's own pace.

        Some rings go through the listing of a query page by page, then that of the next, and ask
        for each; the others go through the catalogue. With high mimicry, bots leave items out and
        take their time.
        """
        rng, m, n = context.rng, context.mimicry, len(attacks)
        slates, setting = browser.slates, context.scenario.sessions
        keep = 1 - 0.5 * m
        pages = int(np.ceil(attacks.reference.max(initial=1) / (keep * setting.slate))) + 2
        page = np.arange(pages)
        query = (rng.integers(0, slates.n_queries, n)[:, None] + page // PAGES) % slates.n_queries
        variant = np.repeat(rng.integers(0, slates.ranked, n)[:, None], pages, axis=1)
        row = slates.result(query, variant, np.broadcast_to(page % PAGES, query.shape))
        listed = slates.items[row].reshape(n, -1)
        n_items = context.world.n_items
        place = rng.integers(0, n_items, n)[:, None] + np.arange(listed.shape[1])
        lists = attacks.ring % 2 == 0
        # a shop lists only what it has
        there = context.world.launched[place % n_items] <= start[:, None] / DAY
        items = np.where(lists[:, None], listed, np.where(there, place % n_items, -1))
        opened = (items >= 0) & (rng.random(items.shape) < keep)
        opened &= opened.cumsum(1) <= attacks.reference[:, None]
        opened[:, 0] |= ~opened.any(1)
        # a script waits for about the same time after each page
        pace = np.exp((1 - m) * np.log(1.5) + m * np.log(setting.dwell))
        pace = pace * rng.lognormal(0, 0.4, n)[:, None]
        wait = np.where(opened, 0.3 + pace * rng.lognormal(0, 0.1 + 0.8 * m, items.shape), 0.0)
        time = start[:, None] + wait.cumsum(1)
        asked = opened.reshape(n, pages, -1).any(2) & (page % PAGES == 0) & lists[:, None]
        crawl, at = np.nonzero(asked)
        begins = np.maximum(time[crawl, at * setting.slate] - wait[crawl, at * setting.slate], 0.0)
        crawled, step = np.nonzero(opened)
        # The rows of a session are written in the order of time.
        rows = np.concatenate([begins, time[crawled, step]])
        owner = np.concatenate([crawl, crawled])
        is_view = np.repeat([False, True], [len(crawl), len(crawled)])
        item = np.concatenate([np.full(len(crawl), -1), np.maximum(items[crawled, step], 0)])
        asks = np.concatenate([query[crawl, at], np.full(len(crawled), -1)])
        order = np.lexsort((is_view, rows, owner))
        knows = rng.random(n) < context.scenario.navigation.remembered  # it keeps its cookies
        browser.events.extend(
            len(order),
            logged_in=knows[owner][order],
            event=np.where(is_view, event_codes.VIEW_ITEM, event_codes.SEARCH)[order],
            session=session[owner][order],
            time=rows[order],
            item=item[order],
            query=asks[order],
            price=np.where(is_view, browser.prices[np.maximum(item, 0)], np.nan)[order],
            p_choice=np.where(is_view, 1.0, np.nan)[order],
            rank=np.where(is_view, 0, -1)[order],
        )
        return time[:, -1]
