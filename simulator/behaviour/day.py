"""A day of sessions: every scheduled event, from the visit to what follows it. Compiled code."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from eventlog._runtime.compiled import inner
from simulator import event_codes
from simulator.behaviour import counter_index, draws
from simulator.behaviour.account import log_in, perhaps_log_in, sign_up
from simulator.behaviour.campaigns import interest, make_offer
from simulator.behaviour.cart import buy_wishes
from simulator.behaviour.channels import choose_channel, set_shifts
from simulator.behaviour.checkout import (
    BROWSE,
    LATE_PARCEL,
    check_out,
    end_session,
    follow_up,
    schedule,
    schedule_delivery,
)
from simulator.behaviour.overrides import BURST
from simulator.behaviour.pace import set_pace
from simulator.behaviour.quota import is_open
from simulator.behaviour.rows import write
from simulator.behaviour.satisfaction import disappoint, show_up_probability
from simulator.behaviour.sessions import (
    MAIN_DEVICE,
    browse,
    find_intent,
    set_feature_weights,
)
from simulator.behaviour.shoppers import ACCOUNT_TAKEN_OVER, COUNTRIES
from simulator.counter_rng import child, normal, uniform
from simulator.world.catalogue import DAY

ERRANDS = 3  # at most, in one session: an order may be followed by another
PAUSE = 1_800.0  # seconds at least between two sessions of a shopper
# Share of honest reviews that are about something looked at here and bought elsewhere.
UNBOUGHT = 0.15
# How a review's stars follow from quality (per sd) and lateness, and the likings from which on one
# gives 2, 3, 4 and 5 stars: 8, 5, 9, 19 and 59 % of reviews, as on Amazon (McAuley et al. 2015).
LIKES_QUALITY, MINDS_LATENESS = 0.5, 1.6
RATING_THRESHOLDS = (-1.77, -1.42, -0.98, -0.33)
ABROAD = 0.02  # share of honest sessions from a random country
N_COUNTRIES = len(COUNTRIES)


@njit(cache=True)
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


@njit(cache=True)
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
        record_session(session, day_state, buffers)
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
    record_session(session, day_state, buffers)
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
def begin_session(shopper, session, day_state, buffers):
    """Set the session to that of an honest shopper who has done nothing yet."""
    rules = day_state.rules[0]
    session.typology, session.ring, session.device, session.card = -1, -1, -1, -1
    session.country, session.price_sensitivity = shopper.country, shopper.price_sensitivity
    session.checkout_shift = 0.0
    session.cart_shift = 0.0
    # who is about to leave is listless: fewer pages, and fewer carts (see `channels.set_shifts`)
    listless = rules.churn_listless * (1.0 - shopper.engagement)
    session.payment_failure = rules.checkout_payment_failure
    session.payment_attempts, session.category, session.own_taste = 2, -1, 1.0
    mean = math.log(rules.sessions_leave / (1.0 - rules.sessions_leave))
    deviate = normal(session.key, draws.LEAVE_LOGIT)
    session.leave_logit = mean + rules.sessions_leave_sigma * deviate + listless
    session.redeem_welcome = welcome_chance(shopper, session, rules)
    deviate = normal(session.key, draws.DETACHMENT)
    session.detachment = rules.navigation_detachment * deviate
    session.logged_in = uniform(session.key, draws.REMEMBERED) < rules.navigation_remembered
    set_pace(shopper, session, rules)
    session.change_address = rules.checkout_change_address
    session.came_to_buy, session.hurry = 0, 0
    session.accepted = 1
    session.number = buffers.counters[counter_index.SESSIONS]
    session.bought, session.views, session.order, session.need = 0, 0, -1, -1


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
        record_session(session, day_state, buffers)
        if shopper.signed_up == 0:
            sign_up(shopper, session, buffers)
        elif foreign and step == 0:
            log_in(session, buffers, overrides.login_failure)
        visit(shopper, session, day_state, buffers, False)
        card = session.card


@inner
def choose_device(shopper, session, n_shoppers, is_new):
    """Draw the device: the main one, the second, or one never seen, which replaces the second."""
    if is_new:
        shopper.devices += 1
        shopper.device[1] = (1 + shopper.devices) * n_shoppers + session.user % n_shoppers
        session.device = shopper.device[1]
    else:
        main = uniform(session.key, draws.OWN_DEVICE) < MAIN_DEVICE
        session.device = shopper.device[0 if main else 1]


@inner
def record_session(session, day_state, buffers):
    """Write the session to its buffer."""
    row = buffers.sessions[buffers.counters[counter_index.SESSIONS]]
    buffers.counters[counter_index.SESSIONS] += 1
    row.user = session.user % day_state.n_shoppers
    row.device, row.ring = session.device, session.ring
    row.country, row.channel, row.typology = session.country, session.channel, session.typology


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


@inner
def welcome_chance(shopper, session, rules):
    """Return the probability to order with a welcome coupon: 0 for an old account or customer."""
    is_young = session.time - shopper.born < rules.coupons_welcome_days * DAY
    return rules.coupons_welcome if is_young and shopper.orders == 0 else 0.0


@inner
def visit(shopper, session, day_state, buffers, offered):
    """Play a session: one errand, and after an order perhaps another.

    `offered`: whether a campaign just made its offer.
    """
    honest, spent = session.typology < 0, 0.0
    looked = interest(shopper, session.time)
    buy_wishes(shopper, session, day_state, buffers)
    for _ in range(ERRANDS):
        paid = run_errand(shopper, session, day_state, buffers)
        spent += paid
        if not honest and paid > 0.0:  # the shop does not know yet: it sends the parcel
            late = uniform(session.key, draws.LATE_DELIVERY) < day_state.rules[0].checkout_late
            schedule_delivery(session, day_state, buffers, late)
        if not honest or paid == 0.0:
            break
        after_order(shopper, session, day_state, buffers, paid)
        if uniform(session.key, draws.GOES_ON) >= day_state.rules[0].navigation_goes_on:
            break
        session.key, session.need = child(session.key, draws.CHILD_GOES_ON), -1
    shopper.last_end = session.time
    if honest:
        shopper.interest = 0.0 if spent > 0.0 else looked + session.views
        if offered and spent == 0.0:
            remind(shopper, session, day_state, buffers)
        end_session(shopper, session, day_state, buffers)
    elif session.ring >= 0 and shopper.ring != session.ring:
        shopper.grievance = ACCOUNT_TAKEN_OVER  # the attack ran on somebody else's account


@inner
def run_errand(shopper, session, day_state, buffers):
    """Play intent, browsing and checkout. Return the amount paid, 0 where nothing was bought."""
    rules, honest = day_state.rules[0], session.typology < 0
    find_intent(shopper, session, day_state)
    session.focus = session.category if session.category >= 0 else shopper.intent[0]
    if honest:
        for k in range(shopper.taste.shape[0]):
            deviate = normal(session.key, draws.TASTE_DRIFT + 2 * k)
            shopper.taste[k] += rules.shoppers_drift * deviate
    set_feature_weights(shopper, session, 0)
    holds_coupon = honest and shopper.coupon > 0 and session.time < shopper.outcome_until
    session.coupon_pull = 0.0
    if holds_coupon:
        worth = -session.price_sensitivity * math.log(1.0 - shopper.coupon)
        session.coupon_pull = worth * shopper.response
    browse(shopper, session, day_state, buffers)
    return check_out(shopper, session, day_state, buffers)


@inner
def after_order(shopper, session, day_state, buffers, paid):
    """Play what follows an honest order of which `paid` was spent."""
    if shopper.offer >= 0 and session.time < shopper.outcome_until:
        offer = buffers.offers[shopper.offer]
        offer.y[shopper.treated] = 1
        offer.spend[shopper.treated] += paid
    follow_up(shopper, session, day_state, buffers, shopper.bought[0])


@inner
def remind(shopper, session, day_state, buffers):
    """Perhaps schedule a visit to which a coupon that was not used brings the shopper back."""
    rules = day_state.rules[0]
    reminded = uniform(session.key, draws.COUPON_REMINDER) < rules.coupons_remind * shopper.response
    if shopper.coupon > 0 and reminded:
        share = 0.2 + 0.7 * uniform(session.key, draws.COUPON_REMINDER_TIME)
        time = session.time + rules.coupons_window * DAY * share
        if time < day_state.end:
            child_key = draws.CHILD_COUPON_REMINDER
            schedule(buffers, session, BROWSE, time, session.user, -1, child_key)


@inner
def play_service(event, shopper, session, day_state, buffers):
    """Play a short session in which an item is sent back or reviewed.

    A review names no order: the shop must look up what was bought.
    """
    main = uniform(session.key, draws.SERVICE_DEVICE) < MAIN_DEVICE
    session.device, session.channel = shopper.device[0 if main else 1], 0
    record_session(session, day_state, buffers)
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
    record_session(session, day_state, buffers)
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
