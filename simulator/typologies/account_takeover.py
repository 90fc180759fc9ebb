"""A customer's account, logged into by somebody else, who buys with what is stored there."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.sessions import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, go_shopping, wanted


class AccountTakeover(Typology):
    """Quick, and after other things than the victim likes."""

    victim = True

    def candidates(self, crime: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Customers who have bought before, so that a card is stored."""
        population = crime.population
        return np.flatnonzero((population.ring < 0) & population.alive & (population.orders > 0))

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """The victim's device is out of reach; its country can be had from a proxy."""
        return 0.0, 0.4 + 0.55 * mimicry, 0.7

    def brief(self, crime: FraudContext, goals: BehaviourOverrides, who: np.ndarray) -> None:
        """What resells, before the victim notices."""
        m = crime.mimicry
        goals.price[who] *= m - 0.2 * (1 - m)
        goals.leave[who] += 1.0 * (1 - m)
        go_shopping(
            goals, who, fail=0.07, attempts=2, own_taste=0.2, category=wanted(crime, len(who), 0.7)
        )
