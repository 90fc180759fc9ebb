"""Rows of the log, as compiled code writes them."""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator import event_codes
from simulator.behaviour import counter_index, draws
from simulator.counter_rng import uniform


@njit(cache=True)
def write(buffers, event, session):
    """Start a row of the log and return it: blank except for event, session and time."""
    row = buffers.events[buffers.counters[counter_index.EVENTS]]
    buffers.counters[counter_index.EVENTS] += 1
    row.event, row.session, row.time = event, session.number, session.time
    row.card, row.item, row.order, row.query = -1, -1, -1, -1
    row.rank, row.coupon, row.quantity = -1, -1, 0
    row.price, row.rating, row.discount, row.p_choice = np.nan, np.nan, np.nan, np.nan
    return row


@njit(cache=True)
def log_in(session, day_state, buffers, number):
    """Write a login, unless the session is logged in or goes on as a guest.

    `number`: of the draw that decides, one of draws.LOGIN_AT_START and LOGIN_TO_BUY.
    """
    rules = day_state.rules[0]
    starts = number == draws.LOGIN_AT_START
    chance = rules.navigation_login if starts else rules.navigation_login_to_buy
    if session.logged_in == 0 and uniform(session.key, number) < chance:
        write(buffers, event_codes.LOGIN, session)
        session.time += 2.0 + 12.0 * uniform(session.key, number + 1)
        session.logged_in = 1
