"""A crawler: long sessions of fast views in the order of the listings, and never a cart. Off by
default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator import event_codes
from simulator.behaviour.sessions import Browser
from simulator.fraud.base import Attacks, FraudContext, Typology, accounts_of_rings
from simulator.world.recommender import PAGES

if TYPE_CHECKING:
    from simulator.behaviour.checkout import OrderIndex


class ScrapingBot(Typology):
    """Opens one item after the other, page after page, query after query."""

    label = "bot"
    of = "rows"
    habit = 0.5
    browses = False

    def candidates(self, crime: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Accounts of rings, once they have been used."""
        return accounts_of_rings(crime.population)

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Behind proxies, the better the mimicry."""
        return 0.1 + 0.6 * mimicry, 0.4 + 0.55 * mimicry, 1.0

    def about(self, crime: FraudContext, attacks: Attacks) -> np.ndarray:
        """Views of each crawl: hundreds, or a few dozen where he hides in the crowd."""
        n = len(attacks)
        median = np.exp((1 - crime.mimicry) * np.log(200.0) + crime.mimicry * np.log(12.0))
        return np.maximum(3, np.rint(median * crime.rng.lognormal(0, 0.6, n))).astype(np.int64)

    def act(
        self,
        crime: FraudContext,
        attacks: Attacks,
        start: np.ndarray,
        session: np.ndarray,
        browser: Browser,
        till: OrderIndex,
    ) -> np.ndarray:
        """The listing of a query, page by page, then the next query's; well hidden bots leave items
        out and take their time.
        """
        rng, m, n = crime.rng, crime.mimicry, len(attacks)
        slates, setting = browser.slates, crime.scenario.sessions
        keep = 1 - 0.5 * m
        pages = int(np.ceil(attacks.ref.max(initial=1) / (keep * setting.slate))) + 2
        first = rng.integers(0, slates.n_queries, n)
        page = np.arange(pages)
        query = (first[:, None] + page // PAGES) % slates.n_queries  # (n, pages)
        variant = np.repeat(rng.integers(0, slates.variants, n)[:, None], pages, axis=1)
        items = slates.items[
            slates.result(query, variant, np.broadcast_to(page % PAGES, query.shape))
        ].reshape(n, -1)
        opened = (items >= 0) & (rng.random(items.shape) < keep)
        opened &= opened.cumsum(1) <= attacks.ref[:, None]
        opened[:, 0] |= ~opened.any(1)
        median = np.exp((1 - m) * np.log(1.5) + m * np.log(setting.dwell))
        wait = np.where(opened, 0.3 + median * rng.lognormal(0, 0.3 + 0.6 * m, items.shape), 0.0)
        time = start[:, None] + wait.cumsum(1)
        row, place = np.nonzero(opened)
        item = np.maximum(items[row, place], 0)
        browser.rows.add(
            event_codes.VIEW_ITEM,
            session=session[row],
            time=time[row, place],
            item=item,
            price=browser.prices[item],
            p_choice=1.0,
            rank=0,
        )
        return time[:, -1]
