"""Sessions that a fraudster plays: alone or in a burst, with equipment and goals of their own.

Compiled code.
"""

from __future__ import annotations

import math

from eventlog._runtime.compiled import inner
from simulator.behaviour import draws
from simulator.behaviour.quota import is_open
from simulator.behaviour.session.account import log_in, sign_up
from simulator.behaviour.session.channels import choose_channel
from simulator.behaviour.visits import begin_session, choose_device, record_session, visit
from simulator.counter_rng import child, normal


@inner
def override(session, overrides):
    """Give the session a fraudster's equipment and goals (a record of overrides.OVERRIDE)."""
    session.typology, session.ring = overrides.typology, overrides.ring
    session.device, session.card = overrides.device, overrides.card
    if overrides.country >= 0:
        session.country = overrides.country
    session.price_sensitivity = overrides.price_sensitivity
    session.leave_logit += overrides.leave_shift
    session.cart_shift, session.checkout_shift = overrides.cart_shift, overrides.checkout_shift
    session.payment_failure = overrides.payment_failure
    session.payment_attempts = overrides.payment_attempts
    session.category, session.own_taste = overrides.category, overrides.own_taste
    session.redeem_welcome = overrides.redeem_welcome
    session.change_address = overrides.change_address
    session.came_to_buy, session.hurry = overrides.came_to_buy, overrides.hurry


@inner
def attack(shopper, session, day_state, buffers, overrides):
    """Play an attack if its typology is behind its share: a session, or a burst of them.

    In a burst the same equipment comes back after a pause, and the amounts rise. All its sessions
    take place, but cards are accepted only within the share.
    """
    key, card = session.key, overrides.card
    for step in range(overrides.sessions):
        if step > 0:
            session.key = child(key, draws.CHILD_ATTACK + step)
            pause = overrides.pause * math.exp(0.6 * normal(session.key, draws.BURST_PAUSE))
            session.time = shopper.last_end + pause
        if session.time >= day_state.end:
            return
        if session.user < day_state.n_shoppers and is_open(
            overrides.typology, session.time, day_state.quota, buffers.placed
        ):
            session.accepted_in |= 1 << step
        if not session.accepted_in & 1:
            return
        if overrides.joins:
            shopper.ring = overrides.ring
        begin_session(shopper, session, day_state, buffers)
        override(session, overrides)
        session.card, session.accepted = card, session.accepted_in >> step & 1
        session.price_sensitivity -= step * overrides.rise
        foreign = session.device >= 0
        if not foreign:
            choose_device(shopper, session, day_state.n_shoppers, False)
        choose_channel(shopper, session, day_state.rules[0])
        record_session(shopper, session, day_state, buffers)
        if shopper.signed_up == 0:
            sign_up(shopper, session, buffers)
        elif foreign and step == 0:
            log_in(session, buffers, overrides.login_failure)
        visit(shopper, session, day_state, buffers, False)
        card = session.card
