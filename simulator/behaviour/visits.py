"""A visit: how it begins, its errands, and what follows an order. Compiled code."""

from __future__ import annotations

import math

from eventlog._runtime.compiled import inner
from simulator.behaviour import draws
from simulator.behaviour.buffers import counter_index
from simulator.behaviour.campaigns import interest
from simulator.behaviour.session.browsing import browse
from simulator.behaviour.session.cart import buy_wishes
from simulator.behaviour.session.checkout import (
    BROWSE,
    check_out,
    end_session,
    follow_up,
    schedule,
    schedule_delivery,
)
from simulator.behaviour.session.devices import MAIN_DEVICE
from simulator.behaviour.session.intent import find_intent
from simulator.behaviour.session.pace import set_pace
from simulator.behaviour.session.utility import set_feature_weights
from simulator.behaviour.shoppers import ACCOUNT_TAKEN_OVER
from simulator.counter_rng import child, normal, uniform
from simulator.world.catalogue import DAY

ERRANDS = 3  # at most, in one session: an order may be followed by another


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
def record_session(shopper, session, day_state, buffers):
    """Write the session to its buffer."""
    row = buffers.sessions[buffers.counters[counter_index.SESSIONS]]
    buffers.counters[counter_index.SESSIONS] += 1
    row.start, row.engagement = session.time, shopper.engagement
    row.user = session.user % day_state.n_shoppers
    row.device, row.ring = session.device, session.ring
    row.country, row.channel, row.typology = session.country, session.channel, session.typology


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
