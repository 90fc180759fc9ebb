"""Whether an opened item goes into the cart, what leaves it, and the wishlist. Compiled code."""

from __future__ import annotations

import math

from eventlog._runtime.compiled import inner
from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.buffers.records import IN_STOCK, PRICE_FEATURE
from simulator.behaviour.buffers.rows import write
from simulator.behaviour.session.satisfaction import disappoint
from simulator.behaviour.session.utility import CART_PRICE, CLICK_PRICE
from simulator.behaviour.shoppers import BOUGHT, CART, RECENT, WISHES
from simulator.counter_rng import uniform

# Utility of a clicked item that leaves the log-odds to cart where the scenario puts them.
MATCH_CENTRE = 4.0
CHEAP = 60.0  # price below which several pieces of an item may be bought
MORE_PIECES = math.log(0.4)  # pieces beyond the second are geometric with p = 0.6


@inner
def in_cart(shopper, i):
    """Return the line of item `i` in the cart, -1 where it is not there."""
    for k in range(shopper.cart_size):
        if shopper.cart[k] == i:
            return k
    return -1


@inner
def put_into_cart(shopper, session, day_state, buffers, i, p_choice, rank, slot):
    """Write the row by which item `i` comes into the cart, and draw how many pieces of it.

    `p_choice`, `rank`: of this choice. `slot`: first number of the step's draws.
    """
    price, pieces = day_state.items[i].price, 1
    several = uniform(session.key, slot + draws.SEVERAL_PIECES)
    if price < CHEAP and several < day_state.rules[0].navigation_several:
        u = uniform(session.key, slot + draws.PIECES)
        pieces = 2 + int(math.log(1.0 - u) / MORE_PIECES)
    row = write(buffers, event_codes.ADD_TO_CART, session)
    row.item, row.price, row.quantity, row.p_choice, row.rank = i, price, pieces, p_choice, rank
    shopper.cart[shopper.cart_size] = i
    shopper.pieces[shopper.cart_size] = pieces
    shopper.cart_size += 1


@inner
def take_out(shopper, session, day_state, buffers, line, p_choice):
    """Write the row by which a line leaves the cart."""
    i = shopper.cart[line]
    row = write(buffers, event_codes.REMOVE_FROM_CART, session)
    row.item, row.price, row.quantity = i, day_state.items[i].price, shopper.pieces[line]
    row.p_choice, row.rank = p_choice, 0
    drop_line(shopper, line)


@inner
def drop_line(shopper, line):
    """Take a line out of the cart; those behind it move up."""
    shopper.cart_size -= 1
    for k in range(line, shopper.cart_size):
        shopper.cart[k], shopper.pieces[k] = shopper.cart[k + 1], shopper.pieces[k + 1]
    shopper.cart[shopper.cart_size] = -1


@inner
def empty_cart(shopper):
    """Take everything out of the cart."""
    for k in range(shopper.cart_size):
        shopper.cart[k] = -1
    shopper.cart_size = 0


@inner
def review_cart(shopper, session, day_state, buffers):
    """Perhaps remove lines before the checkout; the last one put in is looked at first."""
    rules = day_state.rules[0]
    for k in range(shopper.cart_size - 1, -1, -1):
        slot = draws.CART_LINE + draws.CART_LINE_STRIDE * k
        if uniform(session.key, slot + draws.REMOVES_LINE) < rules.navigation_removes:
            session.time += 3.0 + 12.0 * uniform(session.key, slot + draws.REMOVES_LINE_TIME)
            take_out(shopper, session, day_state, buffers, k, rules.navigation_removes)


@inner
def cart_logit(shopper, session, rules, items, weight, again, i):
    """Return the log-odds to put item `i`, just opened, into the cart."""
    item = items[i]
    price = item.feature[PRICE_FEATURE]
    # Appeal draws more clicks than purchases: popular items are looked at out of curiosity too.
    utility = math.log(weight) - rules.checkout_curiosity * item.appeal
    utility -= rules.sessions_reopen if again else 0.0
    # The price has a coefficient of its own here.
    utility += CLICK_PRICE * session.price_sensitivity * price + session.reference_utility
    logit = (
        rules.checkout_cart
        + shopper.propensity
        + session.cart_shift
        + rules.checkout_cart_match * (utility - MATCH_CENTRE)
        - CART_PRICE * session.price_sensitivity * price
        - session.cart_reference
    )
    logit += (
        (rules.checkout_basket if shopper.cart_size > 0 else 0.0)
        + (0.6 if again else 0.0)
        + rules.coupons_pull * session.coupon_pull
    )
    for k in range(BOUGHT):
        if shopper.bought[k] == i:
            logit += rules.sessions_habit
            break
    if i == session.need:
        logit += rules.needs_urgency
    if item.category == session.project:
        logit += session.deliberation
    for k in range(shopper.cart_size):
        if items[shopper.cart[k]].category == item.category:
            logit -= rules.checkout_substitute
            break
    return logit


@inner
def cart_probability(shopper, session, rules, items, chosen):
    """Return the probability to put the item at place `chosen` into the cart, once it is opened."""
    i, again = session.items[chosen], chosen < RECENT
    if shopper.cart_size >= CART or in_cart(shopper, i) >= 0:
        return 0.0
    logit = cart_logit(shopper, session, rules, items, session.weight[chosen], again, i)
    return 1.0 / (1.0 + math.exp(-logit))


@inner
def consider_cart(shopper, session, day_state, buffers, chosen, p_cart, slot):
    """Perhaps put the item at place `chosen` into the cart. Return whether it was."""
    rules, i = day_state.rules[0], session.items[chosen]
    wants = uniform(session.key, slot + draws.ADD_TO_CART) < p_cart
    if day_state.items[i].stock != IN_STOCK:
        # It would have been bought: a stock-out annoys.
        minds = wants and session.typology < 0
        if minds and uniform(session.key, slot + draws.STOCK_OUT_ANNOYS) < 0.3:
            disappoint(shopper, rules, 1.0)
        return False
    if not wants:
        consider_wish(shopper, session, day_state, buffers, i, p_cart, slot)
        return False
    session.time += 3.0 + 20.0 * uniform(session.key, slot + draws.CART_TIME)
    rank = 0
    for k in range(session.items.shape[0]):
        if k != chosen and session.chance[k] * (1.0 - p_cart) >= p_cart:
            rank += 1
    put_into_cart(shopper, session, day_state, buffers, i, p_cart, rank, slot)
    return True


# --- wishlist -------------------------------------------------------------------------------------


@inner
def consider_wish(shopper, session, day_state, buffers, i, p_cart, slot):
    """Perhaps put an item that was looked at and not bought onto the wishlist."""
    p_wish = min(day_state.rules[0].navigation_wishes * p_cart, 1.0)
    if uniform(session.key, slot + draws.WISH) >= p_wish:
        return
    for k in range(WISHES):
        if shopper.wish[k] == i:
            return
    session.time += 1.0 + 5.0 * uniform(session.key, slot + draws.WISH_TIME)
    row = write(buffers, event_codes.ADD_TO_WISHLIST, session)
    row.item, row.price, row.p_choice, row.rank = i, day_state.items[i].price, p_wish, 0
    for k in range(WISHES - 1, 0, -1):
        shopper.wish[k] = shopper.wish[k - 1]
    shopper.wish[0] = i


@inner
def buy_wishes(shopper, session, day_state, buffers):
    """Perhaps put items of the wishlist into the cart, as a session begins."""
    chance = day_state.rules[0].navigation_from_wishlist
    for k in range(WISHES):
        i = shopper.wish[k]
        slot = draws.WISHLIST + draws.WISHLIST_STRIDE * k
        if i < 0 or uniform(session.key, slot + draws.FROM_WISHLIST) >= chance:
            continue
        shopper.wish[k] = -1
        if shopper.cart_size < CART and in_cart(shopper, i) < 0:
            session.time += 3.0 + 20.0 * uniform(session.key, slot + draws.FROM_WISHLIST_TIME)
            put_into_cart(shopper, session, day_state, buffers, i, chance, 0, slot)
