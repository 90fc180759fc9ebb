"""Somebody else logs into a customer's account and buys with the card stored there."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.overrides import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, go_shopping, wanted


class AccountTakeover(Typology):
    """Quick, and about other items than the victim likes."""

    victim = True

    def candidates(self, context: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Return customers who have bought before, so that a card is stored."""
        population = context.population
        return np.flatnonzero((population.ring < 0) & population.alive & (population.orders > 0))

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Hide behind a proxy in the victim's country; the victim's device is out of reach."""
        return 0.0, 0.4 + 0.55 * mimicry, 0.7

    def brief(self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray) -> None:
        """Buy what resells, before the victim notices."""
        m = context.mimicry
        overrides.price_sensitivity[who] *= m - 0.2 * (1 - m)
        overrides.leave_logit[who] += 1.0 * (1 - m)
        go_shopping(
            overrides,
            who,
            payment_failure=0.07,
            payment_attempts=2,
            own_taste=0.2,
            category=wanted(context, len(who), 0.7),
        )
