"""A fraud typology in one file: somebody takes over a quiet account and buys up one category.

Usage::

    cp docs/examples/my_typology.py simulator/typologies/hoarding.py
    python -m simulator run --scenario shop --users 2000 --days 30 --seed 1 --out LOG
"""

from __future__ import annotations

import numpy as np

from simulator.behaviour.overrides import BehaviourOverrides
from simulator.fraud.base import FraudContext, Typology, go_shopping, wanted


class Hoarding(Typology):
    """The device betrays it, and the baskets: full of one category."""

    label = "fraud"  # the kind of label that the shop gives it, late and incomplete
    of = "orders"  # what its share is a share of
    share = 0.02  # unless the scenario has a setting of its name in [fraud]
    victim = True  # it runs on the account of an honest customer
    once = True  # and uses each account once

    def candidates(self, context: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Return honest accounts that have been silent for ten days."""
        people = context.population
        silent = np.isfinite(people.last_end) & (people.last_end < now - 10 * 86_400)
        return np.flatnonzero(people.alive & silent & (people.ring < 0) & ~served)

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Never the owner's device; the country only with care; always the stored card."""
        return 0.0, mimicry, 1.0

    def brief(self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray) -> None:
        """Want one category, stay, and put nearly everything into the cart."""
        overrides.leave_shift[who] -= 1.0
        go_shopping(
            overrides, who, cart_shift=3.5, own_taste=0.0, category=wanted(context, len(who), 1.0)
        )
