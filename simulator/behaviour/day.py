"""A day of sessions: every scheduled event, from the visit to what follows it. Compiled code."""

from __future__ import annotations

import numpy as np

from eventlog._runtime.compiled import compiled, inner
from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.attacks import attack
from simulator.behaviour.buffers import counter_index
from simulator.behaviour.buffers.rows import write
from simulator.behaviour.campaigns import make_offer
from simulator.behaviour.overrides import BURST
from simulator.behaviour.service import play_delivery, play_service
from simulator.behaviour.session.account import log_in, perhaps_log_in, sign_up
from simulator.behaviour.session.channels import choose_channel, set_shifts
from simulator.behaviour.session.checkout import BROWSE, LATE_PARCEL, follow_up
from simulator.behaviour.session.satisfaction import show_up_probability
from simulator.behaviour.shoppers import COUNTRIES
from simulator.behaviour.visits import (
    ERRANDS,
    begin_session,
    choose_device,
    record_session,
    visit,
    welcome_chance,
)
from simulator.counter_rng import child, uniform

PAUSE = 1_800.0  # seconds at least between two sessions of a shopper
ABROAD = 0.02  # share of honest sessions from a random country
N_COUNTRIES = len(COUNTRIES)


@compiled()
def play(scheduled, first, shoppers, session_table, day_state, buffers, room):
    """Play `scheduled[first:]`, until all are played or less than `room` is left in a buffer.

    Returns the place of the first event that is not played.
    """
    session, counters, n = session_table[0], buffers.counters, day_state.n_shoppers
    for i in range(first, len(scheduled)):
        if not has_room(buffers, room, day_state.rules[0].truth_exposures > 0):
            return i
        event = scheduled[i]
        shopper = shoppers[event.user]
        if event.user >= n and event.scheduled_at < offer_time(shopper, buffers.offers):
            continue  # scheduled by the counterfactual of an earlier campaign
        kept = written(counters)
        if event.user < n:
            session.accepted_in = 0
        offered = play_event(event, event.user, shoppers, session, day_state, buffers)
        if event.user < n:
            kept = written(counters)
            # What was scheduled before the offer happens in both worlds.
            earlier = event.scheduled_at < offer_time(shopper, buffers.offers)
            both = not offered and earlier and event.time < shopper.outcome_until
            if both and not is_service(event):
                play_event(event, n + event.user, shoppers, session, day_state, buffers)
        # What a counterfactual session wrote is discarded: only its outcome stays.
        discard(counters, kept)
    return len(scheduled)


@compiled()
def play_past(past, shoppers, session_table, day_state, buffers):
    """Play what follows the orders `past`, (n,) shoppers.PAST_ORDER, before the first day.

    Their own rows lie before the log. What would have happened by now is left out.
    """
    session, counters = session_table[0], buffers.counters
    for n in range(len(past)):
        shopper = shoppers[past[n].user]
        session.user, session.time = past[n].user, past[n].time
        session.key = child(shopper.key, draws.CHILD_PAST_ORDER - n)
        factor, grievance = shopper.visit_factor, shopper.grievance
        satisfaction = shopper.satisfaction
        begin_session(shopper, session, day_state, buffers)
        session.device, session.channel = shopper.device[0], 0
        record_session(shopper, session, day_state, buffers)
        session.order = counters[counter_index.ORDERS]
        order = buffers.orders[session.order]
        counters[counter_index.ORDERS] += 1
        order.time, order.first = session.time, counters[counter_index.EVENTS]
        order.user, order.ring, order.lines, order.views = session.user, -1, 1, 1
        order.typology = -1
        row = write(buffers, event_codes.PURCHASE, session)
        row.item, row.order, row.quantity = past[n].item, session.order, 1
        row.price = day_state.items[past[n].item].price
        first = counters[counter_index.SCHEDULED]
        follow_up(shopper, session, day_state, buffers, past[n].item)
        shopper.visit_factor, shopper.grievance = factor, grievance
        shopper.satisfaction = satisfaction
        keep_future(buffers, first)


@inner
def keep_future(buffers, first):
    """Take out of what is scheduled, from place `first` on, all that lies before the first day."""
    last, kept = buffers.counters[counter_index.SCHEDULED], first
    for k in range(first, last):
        if buffers.scheduled[k].time >= 0.0:
            buffers.scheduled[kept] = buffers.scheduled[k]
            kept += 1
    buffers.counters[counter_index.SCHEDULED] = kept


@inner
def has_room(buffers, room, keeps_pages):
    """Return whether every buffer has room for what one event may write."""
    counters = buffers.counters
    return (
        len(buffers.events) - counters[counter_index.EVENTS] >= room
        and len(buffers.sessions) - counters[counter_index.SESSIONS] >= BURST
        and len(buffers.orders) - counters[counter_index.ORDERS] >= BURST
        and len(buffers.scheduled) - counters[counter_index.SCHEDULED] >= 10 * ERRANDS
        and len(buffers.offers) - counters[counter_index.OFFERS] >= 1
        and (not keeps_pages or len(buffers.pages) - counters[counter_index.PAGES] >= room)
    )


@inner
def written(counters):
    """Return the counters that `discard` restores."""
    return (
        counters[counter_index.EVENTS],
        counters[counter_index.SESSIONS],
        counters[counter_index.ORDERS],
        counters[counter_index.PAGES],
        counters[counter_index.STOLEN_CARDS],
    )


@inner
def discard(counters, kept):
    """Discard what was written since `kept` was taken by `written`."""
    counters[counter_index.EVENTS] = kept[0]
    counters[counter_index.SESSIONS] = kept[1]
    counters[counter_index.ORDERS] = kept[2]
    counters[counter_index.PAGES] = kept[3]
    counters[counter_index.STOLEN_CARDS] = kept[4]


@inner
def is_service(event):
    """Return whether a scheduled event is a refund or a review, in which nothing is browsed."""
    return event.kind == event_codes.REFUND or event.kind == event_codes.REVIEW


@inner
def needed(event):
    """Return the item that a visit is for, -1 where it is for none in particular."""
    return event.reference if event.kind == BROWSE else -1


@inner
def offer_time(shopper, offers):
    """Return when the shopper's last offer was made; -inf where there was none."""
    return offers[shopper.offer].time if shopper.offer >= 0 else -np.inf


@inner
def play_event(event, user, shoppers, session, day_state, buffers):
    """Play a scheduled event of a shopper or a counterfactual, if it takes place.

    Returns whether the shopper was made an offer.
    """
    shopper, n, rules = shoppers[user], day_state.n_shoppers, day_state.rules[0]
    session.key, session.user = event.key, user
    session.time = max(event.time, shopper.last_end + PAUSE)
    attacks = event.override >= 0
    if not shopper.alive or session.time >= day_state.end:
        return False
    # After bad experiences a shopper plans as before and comes less often. An attack does not ask.
    asks = event.kind == BROWSE and not attacks
    if asks and uniform(session.key, draws.SHOW_UP) >= show_up_probability(shopper, rules):
        return False
    # A counterfactual ends with the window of its offer.
    if user >= n and session.time >= shopper.outcome_until:
        return False
    if attacks:
        attack(shopper, session, day_state, buffers, day_state.overrides[event.override])
        return False
    if shopper.signed_up == 0:
        shopper.born = session.time
    begin_session(shopper, session, day_state, buffers)
    session.need = needed(event)
    if is_service(event):
        play_service(event, shopper, session, day_state, buffers)
        return False
    if event.kind == event_codes.DELIVERY or event.kind == LATE_PARCEL:
        play_delivery(event, shopper, session, day_state, buffers)
        return False
    if uniform(session.key, draws.ABROAD) < ABROAD:
        session.country = int(uniform(session.key, draws.COUNTRY) * N_COUNTRIES)
    is_new = uniform(session.key, draws.NEW_DEVICE) < day_state.rules[0].shoppers_new_device
    choose_device(shopper, session, n, is_new)
    choose_channel(shopper, session, day_state.rules[0])
    set_shifts(shopper, session, day_state.rules[0])
    record_session(shopper, session, day_state, buffers)
    if shopper.signed_up == 0:
        sign_up(shopper, session, buffers)
    elif is_new:
        log_in(session, buffers, day_state.rules[0].sessions_login_failure)
    else:
        perhaps_log_in(session, day_state, buffers, draws.LOGIN_AT_START)
    offered = make_offer(shoppers, session, day_state, buffers)
    logged_in = session.logged_in
    visit(shopper, session, day_state, buffers, offered)
    if offered:
        play_counterfactual(event, shoppers, session, logged_in, day_state, buffers)
    return offered


@inner
def play_counterfactual(event, shoppers, session, logged_in, day_state, buffers):
    """Play the session in which an offer was just made once more, with the other outcome.

    The rows are discarded; what is scheduled stays, for the counterfactual. `logged_in`: whether
    the session was when the offer was made.
    """
    counters = buffers.counters
    kept = written(counters)
    shopper = shoppers[day_state.n_shoppers + session.user]
    session.user += day_state.n_shoppers
    session.key, session.time = event.key, buffers.offers[shopper.offer].time
    session.order, session.bought, session.views, session.need = -1, 0, 0, needed(event)
    set_shifts(shopper, session, day_state.rules[0])
    session.price_sensitivity, session.logged_in = shopper.price_sensitivity, logged_in
    session.redeem_welcome = welcome_chance(shopper, session, day_state.rules[0])
    visit(shopper, session, day_state, buffers, True)
    discard(counters, kept)
