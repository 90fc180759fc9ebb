"""Multi-accounting: a ring opens account after account, and each orders once with the welcome
coupon.
"""

from __future__ import annotations

import numpy as np

from simulator.behaviour.sessions import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, go_shopping
from simulator.world.catalogue import DAY

FRESH = 21 * DAY  # an account counts as new for so long


class CouponAbuse(Typology):
    """Each account looks like a new customer; that they share devices and cards does not."""

    label = "coupon_abuse"
    of = "orders"
    once = True
    ring_habit = 1.0
    card_reuse = 0.7

    def candidates(self, crime: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Accounts without an order yet that are new or a ring's. One that was nobody's turns out
        to be the ring's sleeper.
        """
        population = crime.population
        fresh = (population.born > now - FRESH) & np.isfinite(population.last_end)
        usable = population.alive & (population.orders == 0) & ~served
        return np.flatnonzero(
            usable & (fresh | ((population.ring >= 0) & np.isfinite(population.last_end)))
        )

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Devices and cards are what a ring is short of."""
        return 0.1 + 0.5 * mimicry, 0.7 + 0.28 * mimicry, 0.15 + 0.5 * mimicry

    def brief(self, crime: FraudContext, goals: BehaviourOverrides, who: np.ndarray) -> None:
        """In, order with the coupon, out; who is careful lets some accounts order without, as new
        customers do.
        """
        m = crime.mimicry
        goals.price[who] *= m + 0.5 * (1 - m)
        goals.leave[who] += 0.8 * (1 - m)
        go_shopping(goals, who, own_taste=0.4 + 0.4 * m, redeem=1.0 - 0.5 * m)
