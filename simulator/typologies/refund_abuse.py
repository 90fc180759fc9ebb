"""Serial returners: orders made with the intent to claim that they never arrived, or to send back
what was used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator import event_codes
from simulator.behaviour.sessions import BehaviourOverrides, Browser
from simulator.fraud.base import (
    Attacks,
    FraudContext,
    Typology,
    accounts_of_rings,
    go_shopping,
    wanted,
)
from simulator.world.catalogue import DAY

if TYPE_CHECKING:
    from simulator.behaviour.checkout import OrderIndex


class RefundAbuse(Typology):
    """Own account, own card, own name: only the account's history of claims and its taste for dear
    goods stand out.
    """

    label = "refund_abuse"
    of = "orders"
    habit = 2.0

    def candidates(self, crime: FraudContext, now: float, served: np.ndarray) -> np.ndarray:
        """Accounts of rings, once they have been used."""
        return accounts_of_rings(crime.population)

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Goods must arrive, so country and card are real."""
        return 0.5 + 0.45 * mimicry, 0.85 + 0.13 * mimicry, 0.75 + 0.2 * mimicry

    def brief(self, crime: FraudContext, goals: BehaviourOverrides, who: np.ndarray) -> None:
        """Dear goods; paid for without trouble."""
        m = crime.mimicry
        goals.price[who] *= m - 0.1 * (1 - m)
        goals.leave[who] += 0.5 * (1 - m)
        go_shopping(goals, who, own_taste=0.6, category=wanted(crime, len(who), 0.6))

    def claims(self, crime: FraudContext, time: np.ndarray) -> np.ndarray:
        """Nine of ten orders are claimed, sooner than honest shoppers send things back unless they
        are copied.
        """
        after = 2 + (4 + 5 * crime.mimicry) * crime.rng.lognormal(0, 0.5, len(time))
        return np.where(crime.rng.random(len(time)) < 0.9, time + DAY * after, np.inf)

    def act(
        self,
        crime: FraudContext,
        attacks: Attacks,
        start: np.ndarray,
        session: np.ndarray,
        browser: Browser,
        till: OrderIndex,
    ) -> np.ndarray:
        """The claim, at the service desk like any other refund."""
        item, price = till.line_of(attacks.ref, crime.rng)
        time = start + 20.0 + 100.0 * crime.rng.random(len(attacks))
        browser.rows.add(event_codes.LOGIN, session=session, time=start)
        browser.rows.add(
            event_codes.REFUND,
            session=session,
            time=time,
            item=item,
            price=price,
            order=attacks.ref,
            quantity=1,
            p_choice=0.9,
            rank=0,
        )
        return time
