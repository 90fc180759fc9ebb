"""Rows of the log, as compiled code writes them."""

from __future__ import annotations

import numpy as np

from eventlog._runtime.compiled import inner
from simulator.behaviour.buffers import counter_index


@inner
def write(buffers, event, session):
    """Start a row of the log and return it: blank except for event, session and time."""
    row = buffers.events[buffers.counters[counter_index.EVENTS]]
    buffers.counters[counter_index.EVENTS] += 1
    row.event, row.session, row.time = event, session.number, session.time
    row.card, row.item, row.order, row.query = -1, -1, -1, -1
    row.rank, row.coupon, row.quantity = -1, -1, 0
    row.logged_in = session.logged_in
    row.price, row.rating, row.discount, row.p_choice = np.nan, np.nan, np.nan, np.nan
    return row
