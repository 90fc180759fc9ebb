"""Card numbers are tried with small orders until one is accepted."""

from __future__ import annotations

import numpy as np

from simulator.behaviour.overrides import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, accounts_of_rings, go_shopping


class CardTesting(Typology):
    """A cheap item, then card after card."""

    def candidates(self, context: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Return accounts of rings that have been used."""
        return accounts_of_rings(context.population)

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Use the ring's devices, which a proxy hides more or less well."""
        return 0.3 * mimicry, 0.4 + 0.55 * mimicry, 0.0

    def brief(self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray) -> None:
        """Buy cheap goods; most cards are refused."""
        m = context.mimicry
        overrides.price_sensitivity[who] += 1.2 * (1 - m)
        overrides.leave_logit[who] += 0.8 * (1 - m)
        go_shopping(
            overrides,
            who,
            cart_shift=3.0,
            checkout_shift=3.0,
            payment_failure=0.6,
            payment_attempts=6,
            own_taste=0.4,
        )
