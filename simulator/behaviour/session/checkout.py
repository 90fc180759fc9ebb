"""From the cart to the order and what follows it: delivery, refund, review, next visit.

Compiled code.
"""

from __future__ import annotations

import math

import numpy as np

from eventlog._runtime.compiled import inner
from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.buffers import counter_index
from simulator.behaviour.buffers.records import IN_STOCK
from simulator.behaviour.buffers.rows import write
from simulator.behaviour.quota import count_order
from simulator.behaviour.session.account import change_address, perhaps_log_in
from simulator.behaviour.session.cart import (
    drop_line,
    empty_cart,
    in_cart,
    put_into_cart,
    review_cart,
    take_out,
)
from simulator.behaviour.session.pages import page_beside
from simulator.behaviour.session.satisfaction import disappoint, leave_for_good, look_back
from simulator.behaviour.session.utility import attraction
from simulator.behaviour.shoppers import BOUGHT, CART, RESERVED
from simulator.counter_rng import child, normal, uniform
from simulator.world.catalogue import DAY
from simulator.world.recommender import ITEM_VARIANTS

# Kinds of scheduled events that are no events of the log: an ordinary visit, and a parcel that
# comes after the day promised.
BROWSE, LATE_PARCEL = -1, -2
# Median and log-sd of the days until an order is followed by a visit for more.
MORE_DAYS, MORE_SIGMA = 9.0, 0.8
# Days until an order is reviewed: shift, median beyond it, log-sd.
REVIEW_SHIFT, REVIEW_DAYS, REVIEW_SIGMA = 2.0, 6.0, 0.7
# An order below this value pays shipping, which is where the price shock comes from.
SHIPPING_FREE = 35.0
MAIN_CARD = 0.78  # share of payments with the main card
NEW_CARD = 0.92  # draws from here on: a card that the shop has not seen
REMOVES_ITEM = 0.12  # of shoppers who leave with a filled cart


@inner
def schedule(buffers, session, kind, time, user, reference, n):
    """Schedule an event of `user` at `time`; its key is the n-th child of the session's."""
    event = buffers.scheduled[buffers.counters[counter_index.SCHEDULED]]
    buffers.counters[counter_index.SCHEDULED] += 1
    event.time, event.scheduled_at, event.key = time, session.time, child(session.key, n)
    event.user, event.reference, event.override, event.kind = user, reference, -1, kind


@inner
def check_out(shopper, session, day_state, buffers):
    """Perhaps order what is in the cart.

    Returns the amount paid, 0 where nothing was bought; `session.order` is the order's number.
    """
    session.order = -1
    if shopper.cart_size == 0:
        return 0.0
    logit = checkout_logit(shopper, session, day_state.rules[0])
    if uniform(session.key, draws.BEGIN_CHECKOUT) >= 1.0 / (1.0 + math.exp(-logit)):
        leave_cart(shopper, session, day_state, buffers)
        return 0.0
    work_off_list(shopper, session, day_state, buffers)
    drop_sold_out(shopper, session, day_state)
    review_cart(shopper, session, day_state, buffers)
    if shopper.cart_size == 0:
        return 0.0
    session.time += 5.0 + 40.0 * uniform(session.key, draws.BEGIN_TIME)
    perhaps_log_in(session, day_state, buffers, draws.LOGIN_TO_BUY)
    write(buffers, event_codes.BEGIN_CHECKOUT, session)
    if shipping_shocks(shopper, session, day_state):
        return 0.0
    change_address(session, buffers)
    card = pay(shopper, session, day_state, buffers)
    if card < 0:
        return 0.0
    return place_order(shopper, session, day_state, buffers, card)


@inner
def checkout_logit(shopper, session, rules):
    """Return the log-odds to begin the checkout."""
    return (
        rules.checkout_begin
        + 0.6 * shopper.propensity
        + shopper.trust
        + session.checkout_shift
        + 0.25 * (shopper.cart_size - 1)
        + (rules.needs_urgency if session.need >= 0 else 0.0)
        + rules.coupons_pull * session.coupon_pull
    )


@inner
def work_off_list(shopper, session, day_state, buffers):
    """Put the rest of the shopping list into the cart, unopened, before an order.

    Each line is chosen among what the shop shows beside the line before it, similar items or
    complements, in proportion to exp(utility).
    """
    rules = day_state.rules[0]
    if session.hurry:
        return
    deviate = normal(session.key, draws.LIST_LENGTH)
    lines = int(rules.navigation_list * math.exp(rules.navigation_list_sigma * deviate))
    for line in range(min(lines, CART - shopper.cart_size)):
        slot = draws.LIST + draws.LIST_STRIDE * line
        u = uniform(session.key, slot + draws.FROM_LIST_VARIANT)
        beside = shopper.cart[shopper.cart_size - 1] + (len(day_state.items) if u < 0.5 else 0)
        variant = int(2.0 * u * ITEM_VARIANTS) % ITEM_VARIANTS
        slate = day_state.slates[page_beside(day_state, beside, variant)]
        total = 0.0
        for k in range(len(slate)):
            total += list_weight(shopper, session, day_state, slate[k])
        left = uniform(session.key, slot + draws.FROM_LIST_ITEM) * total
        for k in range(len(slate)):
            weight = list_weight(shopper, session, day_state, slate[k])
            left -= weight
            if left < 0.0 and weight > 0.0:
                session.time += 4.0 + 30.0 * uniform(session.key, slot + draws.FROM_LIST_TIME)
                rank = 0
                for j in range(len(slate)):
                    rank += list_weight(shopper, session, day_state, slate[j]) > weight
                p = weight / total
                put_into_cart(shopper, session, day_state, buffers, slate[k], p, rank, slot)
                break


@inner
def list_weight(shopper, session, day_state, i):
    """Return exp(utility) of an item for the list; 0 where it cannot be bought now."""
    if i < 0 or day_state.items[i].stock != IN_STOCK or in_cart(shopper, i) >= 0:
        return 0.0
    return attraction(shopper, session, day_state.rules[0], day_state.items[i])


@inner
def drop_sold_out(shopper, session, day_state):
    """Take out of the cart what has been sold out meanwhile; an honest shopper minds."""
    size = shopper.cart_size
    for k in range(size - 1, -1, -1):
        if day_state.items[shopper.cart[k]].stock != IN_STOCK:
            drop_line(shopper, k)
    if shopper.cart_size < size and session.typology < 0:
        disappoint(shopper, day_state.rules[0], 0.5)


@inner
def leave_cart(shopper, session, day_state, buffers):
    """Leave with a filled cart: some remove an item, some forget all of it, most keep it."""
    if uniform(session.key, draws.REMOVE_ITEM) < REMOVES_ITEM:
        session.time += 5.0 + 10.0 * uniform(session.key, draws.REMOVE_TIME)
        take_out(shopper, session, day_state, buffers, shopper.cart_size - 1, REMOVES_ITEM)
    if uniform(session.key, draws.FORGET_CART) < day_state.rules[0].checkout_forget:
        empty_cart(shopper)


@inner
def shipping_shocks(shopper, session, day_state):
    """Return whether an honest shopper gives up when the shipping costs of a small order show."""
    if session.typology >= 0:
        return False
    total = 0.0
    for k in range(shopper.cart_size):
        total += day_state.items[shopper.cart[k]].price * shopper.pieces[k]
    shock = day_state.rules[0].checkout_shipping_shock
    return total < SHIPPING_FREE and uniform(session.key, draws.SHIPPING_SHOCK) < shock


@inner
def choose_card(shopper, session, day_state):
    """Return the card to pay with: the main one, the second, one never seen, or a stolen one."""
    if session.card >= 0:
        return session.card
    u = uniform(session.key, draws.CARD)
    if u >= NEW_CARD:
        shopper.cards += 1
        n = day_state.n_shoppers
        shopper.card[1] = (1 + shopper.cards) * n + session.user % n
    return shopper.card[0 if u < MAIN_CARD else 1]


@inner
def pay(shopper, session, day_state, buffers):
    """Try to pay, `payment_attempts` times at most; return the card, -1 where none worked."""
    card, failure = choose_card(shopper, session, day_state), session.payment_failure
    if not session.accepted:
        failure = 1.0
    session.time += 15.0 + 60.0 * uniform(session.key, draws.PAYMENT_TIME)
    row = write(buffers, event_codes.ADD_PAYMENT_INFO, session)
    row.card = card
    for attempt in range(session.payment_attempts):
        slot = draws.PAYMENT_ATTEMPT + draws.PAYMENT_STRIDE * attempt
        session.time += 8.0 + 30.0 * uniform(session.key, slot + draws.ATTEMPT_TIME)
        if uniform(session.key, slot + draws.ATTEMPT_SUCCEEDS) >= failure:
            return card
        row = write(buffers, event_codes.PAYMENT_FAILED, session)
        row.card = card
        if session.typology >= 0:  # who tests cards always has another one
            stolen = buffers.counters[counter_index.STOLEN_CARDS]
            card = RESERVED + (RESERVED >> 1) + stolen
            buffers.counters[counter_index.STOLEN_CARDS] += 1
            session.card = card
        elif uniform(session.key, slot + draws.ATTEMPT_CHANGES_CARD) < 0.5:
            card = shopper.card[1]
    if session.typology < 0:
        disappoint(shopper, day_state.rules[0], day_state.rules[0].service_payment)
    return -1


@inner
def redeem_coupon(shopper, session, rules):
    """Return the discount and number of the coupon that is redeemed; number -1 = none."""
    if shopper.coupon > 0 and session.time < shopper.outcome_until and session.typology < 0:
        off = shopper.coupon
        shopper.coupon = 0.0
        return np.float64(off), np.int64(shopper.campaign)
    if uniform(session.key, draws.REDEEM_WELCOME) < session.redeem_welcome:
        return rules.coupons_welcome_discount, np.int64(0)
    return 0.0, np.int64(-1)


@inner
def place_order(shopper, session, day_state, buffers, card):
    """Write one row per line of the order, and one for the coupon; empty the cart.

    Returns the amount paid.
    """
    counters = buffers.counters
    session.time += 3.0 + 10.0 * uniform(session.key, draws.ORDER_TIME)
    off, coupon = redeem_coupon(shopper, session, day_state.rules[0])
    order = buffers.orders[counters[counter_index.ORDERS]]
    session.order = counters[counter_index.ORDERS]
    counters[counter_index.ORDERS] += 1
    if coupon >= 0:
        row = write(buffers, event_codes.COUPON_REDEEM, session)
        row.coupon, row.order, row.discount = coupon, session.order, off
    first = counters[counter_index.EVENTS]
    amount = 0.0
    for k in range(shopper.cart_size):
        amount += write_line(shopper, session, day_state, buffers, card, k, off)
    order.time, order.first, order.lines = session.time, first, shopper.cart_size
    order.user, order.ring, order.views = session.user, session.ring, session.views
    order.typology, order.late = session.typology, 0
    if session.user < day_state.n_shoppers and session.time < day_state.end:
        count_order(session.typology, buffers.placed)
    if session.typology < 0:
        for k in range(BOUGHT - 1, 0, -1):
            shopper.bought[k] = shopper.bought[k - 1]
        shopper.bought[0] = shopper.cart[0]
    empty_cart(shopper)
    session.bought, session.redeem_welcome = 1, 0.0
    return amount


@inner
def write_line(shopper, session, day_state, buffers, card, k, off):
    """Write line `k` of the order, its price reduced by `off`. Return what it costs."""
    i = shopper.cart[k]
    price = day_state.items[i].price
    row = write(buffers, event_codes.PURCHASE, session)
    row.item, row.order, row.card = i, session.order, card
    row.p_choice, row.rank, row.quantity = 1.0 - session.payment_failure, 0, shopper.pieces[k]
    row.price = np.round(price * (1.0 - off) * 100.0) / 100.0
    row.discount = day_state.items[i].discount  # the coupon's is in its own row
    return row.price * row.quantity


@inner
def follow_up(shopper, session, day_state, buffers, item):
    """Draw what an honest order leads to: delivery, refund, review, next intent, visit for more.

    Counterfactual sessions write no refund claims and no reviews. `item`: of the first line.
    """
    rules = day_state.rules[0]
    shopper.orders += 1
    late = uniform(session.key, draws.LATE_DELIVERY) < rules.checkout_late
    p_refund = rules.refund_late if late else rules.refund_on_time
    refunds = uniform(session.key, draws.REFUND) < p_refund
    if refunds and uniform(session.key, draws.REFUND_ANNOYS) < 0.5:
        disappoint(shopper, rules, 1.0)
    if not refunds and not late:
        # Most trust is earned by the first orders.
        shopper.trust += rules.checkout_trust * math.exp(-0.5 * shopper.orders)
    # The need is met: the category that complements it comes to mind, or nothing.
    complements = uniform(session.key, draws.COMPLEMENT) < rules.sessions_complement
    if complements and shopper.intent[0] >= 0:
        shopper.intent[0] = day_state.partner[shopper.intent[0]]
    else:
        shopper.intent[0] = -1
    shopper.looked[0] = -1
    schedule_next_visit(session, day_state, buffers, item)
    schedule_delivery(session, day_state, buffers, late)
    if session.user < day_state.n_shoppers:
        buffers.orders[session.order].late = late
        schedule_service(session, day_state, buffers, refunds)


@inner
def schedule_next_visit(session, day_state, buffers, item):
    """Schedule the visit that an order leads to: for `item` once it is used up, or for more."""
    rules, end = day_state.rules[0], day_state.end
    lasts = day_state.used_up_days[day_state.items[item].category]
    if lasts > 0.0 and uniform(session.key, draws.USED_UP) < rules.needs_again:
        deviate = normal(session.key, draws.USED_UP_TIME)
        time = session.time + DAY * lasts * math.exp(rules.needs_regularity * deviate)
        if time < end:
            schedule(buffers, session, BROWSE, time, session.user, item, draws.CHILD_USED_UP)
    elif uniform(session.key, draws.BACK_FOR_MORE) < rules.checkout_back_for_more:
        deviate = normal(session.key, draws.BACK_FOR_MORE_TIME)
        time = session.time + DAY * MORE_DAYS * math.exp(MORE_SIGMA * deviate)
        if time < end:
            schedule(buffers, session, BROWSE, time, session.user, -1, draws.CHILD_BACK_FOR_MORE)


@inner
def schedule_delivery(session, day_state, buffers, late):
    """Schedule the arrival of an order: within the days promised, or some days after them."""
    rules, u = day_state.rules[0], uniform(session.key, draws.DELIVERY_TIME)
    if late:
        days = rules.service_promised_days - rules.service_late_days * math.log(1.0 - u)
    else:
        days = rules.service_promised_days * (0.3 + 0.7 * u)
    time, kind = session.time + DAY * days, LATE_PARCEL if late else event_codes.DELIVERY
    if time < day_state.end:
        schedule(buffers, session, kind, time, session.user, session.order, draws.CHILD_DELIVERY)


@inner
def schedule_service(session, day_state, buffers, refunds):
    """Schedule the refund of an order, if any, and perhaps its review."""
    user, order, end = session.user, session.order, day_state.end
    if refunds:
        wait = 2.0 + 9.0 * math.exp(0.5 * normal(session.key, draws.REFUND_TIME))
        time = session.time + DAY * wait
        if time < end:
            schedule(buffers, session, event_codes.REFUND, time, user, order, draws.CHILD_REFUND)
    if uniform(session.key, draws.REVIEW) < day_state.rules[0].checkout_review:
        wait = REVIEW_DAYS * math.exp(REVIEW_SIGMA * normal(session.key, draws.REVIEW_TIME))
        time = session.time + DAY * (REVIEW_SHIFT + wait)
        if time < end:
            schedule(buffers, session, event_codes.REVIEW, time, user, order, draws.CHILD_REVIEW)


@inner
def end_session(shopper, session, day_state, buffers):
    """End an honest session: gone for good, back in a day or so, or at the next planned visit."""
    rules = day_state.rules[0]
    if leave_for_good(shopper, session, rules):
        return
    look_back(shopper, session, rules)
    unfinished = session.bought == 0 and session.views > 1
    if unfinished and uniform(session.key, draws.RETURN_VISIT) < rules.sessions_return_visit:
        time = session.time + 16.0 * 3_600.0 * math.exp(
            0.9 * normal(session.key, draws.RETURN_TIME)
        )
        if time < day_state.end:
            schedule(buffers, session, BROWSE, time, session.user, -1, draws.CHILD_RETURN)
