"""Paid praise: the accounts of a ring review the items that the ring is paid for."""

from __future__ import annotations

import numpy as np

from simulator import event_codes
from simulator.behaviour.browser import Browser
from simulator.behaviour.order_index import OrderIndex
from simulator.fraud.base import Attacks, FraudContext, Typology


class FakeReview(Typology):
    """A high rating, as most are, of an item that was hardly looked at.

    The same accounts praise the same items.
    """

    label = "fake_review"
    of = "reviews"
    habit = 1.0
    browses = False

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Use the account's own device: many reviews from one device would be found out."""
        return 0.2 + 0.7 * mimicry, 0.6 + 0.38 * mimicry, 1.0

    def about(self, context: FraudContext, attacks: Attacks) -> np.ndarray:
        """Return one of the items that the ring is paid for, now and then one that was bought."""
        n, bought = len(attacks), context.population.bought[attacks.user, 0]
        paid = context.targets[attacks.ring, context.rng.integers(0, context.targets.shape[1], n)]
        return np.where(
            (bought >= 0) & (context.rng.random(n) < 0.5 * context.mimicry), bought, paid
        ).astype(np.int64)

    def act(
        self,
        context: FraudContext,
        attacks: Attacks,
        start: np.ndarray,
        session: np.ndarray,
        browser: Browser,
        order_index: OrderIndex,
    ) -> np.ndarray:
        """Log in, open the item, write the review."""
        rng, m, n, item = (
            context.rng,
            context.mimicry,
            len(attacks),
            attacks.reference.astype(np.int32),
        )
        opened = start + 4.0 + 16.0 * rng.random(n)
        time = start + 20.0 + 100.0 * rng.random(n)
        score = (
            4.8
            - 0.8 * m
            + 0.3 * m * context.world.quality[item]
            + (0.4 + 0.5 * m) * rng.standard_normal(n)
        )
        price = browser.prices[item]
        browser.events.add(event_codes.LOGIN, session=session, time=start)
        browser.events.add(
            event_codes.VIEW_ITEM,
            session=session,
            time=opened,
            item=item,
            price=price,
            p_choice=1.0,
            rank=0,
        )
        browser.events.add(
            event_codes.REVIEW,
            session=session,
            time=time,
            item=item,
            price=price,
            rating=np.clip(np.round(score), 1, 5),
            p_choice=1.0,
            rank=0,
        )
        return time
