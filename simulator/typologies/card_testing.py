"""Card numbers tried out with small orders until one is accepted."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.sessions import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, accounts_of_rings, go_shopping


class CardTesting(Typology):
    """Something cheap, then card after card."""

    def candidates(self, crime: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Accounts of rings, once they have been used."""
        return accounts_of_rings(crime.population)

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Scripted from the ring's devices, more or less well hidden."""
        return 0.3 * mimicry, 0.4 + 0.55 * mimicry, 0.0

    def brief(self, crime: FraudContext, goals: BehaviourOverrides, who: np.ndarray) -> None:
        """Cheap goods; most cards are refused."""
        m = crime.mimicry
        goals.price[who] += 1.2 * (1 - m)
        goals.leave[who] += 0.8 * (1 - m)
        go_shopping(goals, who, cart=3.0, begin=3.0, fail=0.6, attempts=6, own_taste=0.4)
