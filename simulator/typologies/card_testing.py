"""Card numbers are tried with small orders until one is accepted, then with larger ones.

Attempts come in bursts, minutes apart, and most are refused (Stripe, "Protect yourself from card
testing").
"""

from __future__ import annotations

import numpy as np

from simulator.behaviour.overrides import BURST, BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, go_shopping


class CardTesting(Typology):
    """A cheap item, then card after card."""

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Use the ring's devices, which a proxy hides more or less well."""
        return 0.1 + 0.8 * mimicry, 0.4 + 0.55 * mimicry, 0.0

    def brief(self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray) -> None:
        """Begin with cheap goods; most cards are refused, and what is tried next costs more.

        Careful testers let hours pass, and stop sooner.
        """
        m, setting, n = context.mimicry, context.scenario.fraud, len(who)
        overrides.price_sensitivity[who] += 1.2 * (1 - m)
        overrides.leave_shift[who] += 0.8 * (1 - m)
        more = context.mixed(setting.burst, 1.0) - 1.0
        go_shopping(
            overrides,
            who,
            payment_failure=0.75,
            payment_attempts=4,
            own_taste=0.4,
            hurry=context.rng.random(n) < 1 - m,
            sessions=np.minimum(1 + context.rng.poisson(more, n), BURST),
            pause=60 * setting.burst_minutes * 20.0**m,
            rise=setting.burst_rise * (1 - m),
        )
