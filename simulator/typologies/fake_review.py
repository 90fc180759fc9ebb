"""Paid praise: accounts of a ring review the items that it is paid for, bought or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator import event_codes
from simulator.behaviour.sessions import Browser
from simulator.fraud.base import Attacks, FraudContext, Typology, accounts_of_rings

if TYPE_CHECKING:
    from simulator.behaviour.checkout import OrderIndex


class FakeReview(Typology):
    """The rating is high, but so are most; the item was hardly looked at, and the same accounts
    praise the same items.
    """

    label = "fake_review"
    of = "reviews"
    habit = 1.0
    browses = False

    def candidates(self, crime: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Accounts of rings, once they have been used."""
        return accounts_of_rings(crime.population)

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Many reviews from one device would be found out."""
        return 0.2 + 0.7 * mimicry, 0.6 + 0.38 * mimicry, 1.0

    def about(self, crime: FraudContext, attacks: Attacks) -> np.ndarray:
        """One of the items that the ring is paid for; who mimics well reviews something he did buy
        now and then.
        """
        n, bought = len(attacks), crime.population.bought[attacks.user, 0]
        paid = crime.targets[attacks.ring, crime.rng.integers(0, crime.targets.shape[1], n)]
        return np.where(
            (bought >= 0) & (crime.rng.random(n) < 0.5 * crime.mimicry), bought, paid
        ).astype(np.int64)

    def act(
        self,
        crime: FraudContext,
        attacks: Attacks,
        start: np.ndarray,
        session: np.ndarray,
        browser: Browser,
        till: OrderIndex,
    ) -> np.ndarray:
        """Log in, open the item, write."""
        rng, m, n, item = crime.rng, crime.mimicry, len(attacks), attacks.ref.astype(np.int32)
        opened = start + 4.0 + 16.0 * rng.random(n)
        time = start + 20.0 + 100.0 * rng.random(n)
        score = (
            4.8
            - 0.8 * m
            + 0.3 * m * crime.world.quality[item]
            + (0.4 + 0.5 * m) * rng.standard_normal(n)
        )
        price = browser.prices[item]
        browser.rows.add(event_codes.LOGIN, session=session, time=start)
        browser.rows.add(
            event_codes.VIEW_ITEM,
            session=session,
            time=opened,
            item=item,
            price=price,
            p_choice=1.0,
            rank=0,
        )
        browser.rows.add(
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
