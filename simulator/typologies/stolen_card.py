"""Goods that resell well are bought with a stolen card, from an account of the ring."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.overrides import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, go_shopping, wanted


class StolenCard(Typology):
    """Few views, then straight to the checkout; the price does not matter."""

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Keep to the account's device if careful; the card is always stolen."""
        return 0.15 + 0.75 * mimicry, 0.4 + 0.55 * mimicry, 0.0

    def brief(self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray) -> None:
        """Buy expensive goods quickly; after a card that is refused, try the next."""
        m = context.mimicry
        overrides.price_sensitivity[who] *= m - 0.35 * (1 - m)
        overrides.leave_shift[who] += 0.8 * (1 - m)
        go_shopping(
            overrides,
            who,
            payment_failure=0.16,
            payment_attempts=3,
            own_taste=0.5,
            hurry=context.rng.random(len(who)) < 0.5 * (1 - m),
            category=wanted(context, len(who), 0.8),
        )
