"""Serial returners: order in order to claim that it never arrived, or to send it back used."""

from __future__ import annotations

import numpy as np

from simulator import event_codes
from simulator.behaviour.browser import Browser
from simulator.behaviour.order_index import OrderIndex
from simulator.behaviour.overrides import BehaviourOverrides
from simulator.fraud.base import Attacks, FraudContext, Typology, go_shopping, wanted
from simulator.world.catalogue import DAY


class RefundAbuse(Typology):
    """Own account, own card, own name.

    Only the account's history of claims and its taste for expensive goods stand out.
    """

    label = "refund_abuse"
    of = "orders"
    habit = 2.0

    def disguise(self, mimicry: float) -> tuple[float, float, float]:
        """Use the real country and card mostly: the goods must arrive."""
        return 0.5 + 0.45 * mimicry, 0.85 + 0.13 * mimicry, 0.75 + 0.2 * mimicry

    def brief(self, context: FraudContext, overrides: BehaviourOverrides, who: np.ndarray) -> None:
        """Buy expensive goods, and pay for them."""
        m = context.mimicry
        overrides.price_sensitivity[who] *= m - 0.1 * (1 - m)
        overrides.leave_shift[who] += 0.5 * (1 - m)
        go_shopping(overrides, who, own_taste=0.6, category=wanted(context, len(who), 0.6))

    def claims(self, context: FraudContext, time: np.ndarray) -> np.ndarray:
        """Claim nine of ten orders, sooner than honest shoppers unless mimicry is high."""
        after = 2 + (4 + 5 * context.mimicry) * context.rng.lognormal(0, 0.5, len(time))
        return np.where(context.rng.random(len(time)) < 0.9, time + DAY * after, np.inf)

    def act(
        self,
        context: FraudContext,
        attacks: Attacks,
        start: np.ndarray,
        session: np.ndarray,
        browser: Browser,
        order_index: OrderIndex,
    ) -> np.ndarray:
        """Claim the refund of one item, as any shopper does."""
        item, price = order_index.line_of(attacks.reference, context.rng)
        time = start + 20.0 + 100.0 * context.rng.random(len(attacks))
        browser.events.add(event_codes.LOGIN, session=session, time=start)
        browser.events.add(
            event_codes.REFUND,
            session=session,
            time=time,
            item=item,
            price=price,
            order=attacks.reference,
            quantity=1,
            p_choice=0.9,
            rank=0,
        )
        return time
