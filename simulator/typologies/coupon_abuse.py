"""Multi-accounting: a ring opens accounts, and each orders once with the welcome coupon."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.overrides import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, go_shopping
from simulator.world.catalogue import DAY

FRESH = 21 * DAY  # how long an account counts as new


class CouponAbuse(Typology):
    """Each account looks like a new customer; only the shared devices and cards stand out."""

    label = "coupon_abuse"
    of = "orders"
    once = True
    ring_habit = 1.0
    card_reuse = 0.7

    def candidates(self, context: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Return accounts without an order that are new or belong to a ring.

        A new one that belonged to no ring becomes the ring's.
        """
        population = context.population
        used = np.isfinite(population.last_end)
        fresh = (population.born > now - FRESH) & (used | (population.born < 0))
        usable = population.alive & (population.orders == 0) & ~served
        return np.flatnonzero(usable & (fresh | ((population.ring >= 0) & used)))

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Share devices and cards, of which a ring has few."""
        return 0.1 + 0.8 * mimicry, 0.7 + 0.28 * mimicry, 0.15 + 0.5 * mimicry

    def brief(self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray) -> None:
        """Order with the coupon and leave.

        A careful ring lets some accounts order without it, as new customers do.
        """
        m = context.mimicry
        overrides.price_sensitivity[who] *= m + 0.5 * (1 - m)
        overrides.leave_shift[who] += 0.8 * (1 - m)
        go_shopping(overrides, who, own_taste=0.4 + 0.4 * m, redeem_welcome=1.0 - 0.5 * m)
