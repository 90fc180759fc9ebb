"""Goods that resell well, bought with somebody else's card from an account of the ring's own, new
or aged.
"""

from __future__ import annotations

import numpy as np

from simulator.behaviour.sessions import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, accounts_of_rings, go_shopping, wanted


class StolenCard(Typology):
    """Price is no object; few looks, straight to the till."""

    def candidates(self, crime: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Accounts of rings, once they have been used."""
        return accounts_of_rings(crime.population)

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """A careful thief keeps to the account's device; the card is always another's."""
        return 0.15 + 0.6 * mimicry, 0.4 + 0.55 * mimicry, 0.0

    def brief(self, crime: FraudContext, goals: BehaviourOverrides, who: np.ndarray) -> None:
        """Dear things, quickly; a card that is refused is followed by the next."""
        m = crime.mimicry
        goals.price[who] *= m - 0.35 * (1 - m)
        goals.leave[who] += 0.8 * (1 - m)
        go_shopping(
            goals, who, fail=0.16, attempts=3, own_taste=0.5, category=wanted(crime, len(who), 0.8)
        )
