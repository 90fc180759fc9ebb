"""Sessions without browsing: deliveries, refunds and reviews. Compiled code."""

from __future__ import annotations

import numpy as np

from eventlog._runtime.compiled import inner
from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.buffers.rows import write
from simulator.behaviour.session.account import log_in
from simulator.behaviour.session.checkout import LATE_PARCEL
from simulator.behaviour.session.devices import MAIN_DEVICE
from simulator.behaviour.session.satisfaction import disappoint
from simulator.behaviour.visits import record_session
from simulator.counter_rng import normal, uniform

# Share of honest reviews that are about something looked at here and bought elsewhere.
UNBOUGHT = 0.15
# How a review's stars follow from quality (per sd) and lateness, and the likings from which on one
# gives 2, 3, 4 and 5 stars: 8, 5, 9, 19 and 59 % of reviews, as on Amazon (McAuley et al. 2015).
LIKES_QUALITY, MINDS_LATENESS = 0.5, 1.6
RATING_THRESHOLDS = (-1.77, -1.42, -0.98, -0.33)


@inner
def play_service(event, shopper, session, day_state, buffers):
    """Play a short session in which an item is sent back or reviewed.

    A review names no order: the shop must look up what was bought.
    """
    main = uniform(session.key, draws.SERVICE_DEVICE) < MAIN_DEVICE
    session.device, session.channel = shopper.device[0 if main else 1], 0
    record_session(shopper, session, day_state, buffers)
    order = buffers.orders[event.reference]
    line = order.first + int(uniform(session.key, draws.SERVICE_LINE) * order.lines)
    log_in(session, buffers, day_state.rules[0].sessions_login_failure)
    if event.kind == event_codes.REFUND:
        write_refund(event, session, day_state, buffers, order, line)
    else:
        sold = buffers.events[line]
        write_review(shopper, session, day_state, buffers, order, sold)
    shopper.last_end = session.time


@inner
def play_delivery(event, shopper, session, day_state, buffers):
    """Write the arrival of an order, from no device; a late one annoys, and some complain."""
    rules = day_state.rules[0]
    session.device, session.channel = -1, -1
    record_session(shopper, session, day_state, buffers)
    row = write(buffers, event_codes.DELIVERY, session)
    row.order = event.reference
    own = session.user >= day_state.n_shoppers or buffers.orders[event.reference].typology < 0
    if event.kind == LATE_PARCEL and own:
        disappoint(shopper, rules, 1.0)
        if uniform(session.key, draws.SUPPORT_CONTACT) < rules.service_contact:
            session.time += 600.0 + 7_200.0 * uniform(session.key, draws.SUPPORT_CONTACT_TIME)
            row = write(buffers, event_codes.SUPPORT_CONTACT, session)
            row.order = event.reference
    shopper.last_end = session.time


@inner
def write_refund(event, session, day_state, buffers, order, line):
    """Write the refund of an order: of `line`, and of each other line with some probability."""
    rules = day_state.rules[0]
    session.time = session.time + 20.0 + 100.0 * uniform(session.key, draws.SERVICE_TIME)
    for k in range(order.first, order.first + order.lines):
        u = uniform(session.key, draws.REFUND_LINE + k - order.first)
        if k != line and u >= rules.navigation_refund_more:
            continue
        sold = buffers.events[k]
        row = write(buffers, event_codes.REFUND, session)
        row.item, row.price, row.order = sold.item, sold.price, event.reference
        row.quantity, row.p_choice, row.rank = sold.quantity, rules.checkout_refund, 0
        session.time += 0.2


@inner
def write_review(shopper, session, day_state, buffers, order, sold):
    """Write the review of an item bought here, or looked at here and bought elsewhere.

    `sold`: the row of the order's line.
    """
    start, items = session.time, day_state.items
    recent, item, price, late = shopper.recent[0, 0], sold.item, sold.price, order.late
    if recent >= 0 and uniform(session.key, draws.REVIEW_UNBOUGHT) < UNBOUGHT:
        item, price, late = recent, items[recent].price, np.uint8(0)
    session.time = start + 4.0 + 16.0 * uniform(session.key, draws.SERVICE_VIEW_TIME)
    row = write(buffers, event_codes.VIEW_ITEM, session)
    row.item, row.price, row.p_choice, row.rank = item, price, 1.0, 0
    session.time = start + 20.0 + 100.0 * uniform(session.key, draws.SERVICE_TIME)
    row = write(buffers, event_codes.REVIEW, session)
    deviate = normal(session.key, draws.RATING)
    liking = LIKES_QUALITY * items[item].quality - MINDS_LATENESS * late + deviate
    rating = 1.0
    for threshold in RATING_THRESHOLDS:
        rating += liking > threshold
    row.item, row.price, row.p_choice, row.rank = item, price, day_state.rules[0].checkout_review, 0
    row.rating = rating
