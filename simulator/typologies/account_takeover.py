"""Somebody else logs into a customer's account and buys with the card stored there.

The script is the one that merchants are warned of: wrong passwords, a login from a new device
elsewhere, a new delivery address, then straight to what resells (Ravelin, "Six fraud signals to
spot account takeover", 2019; Signifyd, "What is account takeover fraud", 2025).
"""

from __future__ import annotations

import numpy as np

from simulator.behaviour.overrides import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, go_shopping, wanted


class AccountTakeover(Typology):
    """Quick, and about other items than the victim likes."""

    victim = True

    def candidates(self, context: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Return customers who have bought before, so that a card is stored.

        On the first days of a shop without a past these are the customers of old.
        """
        population = context.population
        theirs = np.flatnonzero((population.ring < 0) & population.alive)
        bought = population.orders[theirs] > 0
        return theirs[bought if bought.any() else population.born[theirs] < 0]

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Hide behind a proxy in the victim's country; with a stolen cookie, be the old device."""
        return 0.9 * mimicry, 0.4 + 0.55 * mimicry, 0.7

    def brief(self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray) -> None:
        """Buy what resells, before the victim notices."""
        m, scenario, n = context.mimicry, context.scenario, len(who)
        overrides.price_sensitivity[who] *= m - 0.2 * (1 - m)
        overrides.leave_shift[who] += 1.0 * (1 - m)
        go_shopping(
            overrides,
            who,
            payment_failure=0.07,
            payment_attempts=2,
            own_taste=0.2,
            category=wanted(context, n, 0.7),
            login_failure=context.mixed(
                scenario.fraud.failed_logins, scenario.sessions.login_failure
            ),
            change_address=context.mixed(
                scenario.fraud.new_address, scenario.checkout.change_address
            ),
            hurry=context.rng.random(n) < 1 - m,
        )
