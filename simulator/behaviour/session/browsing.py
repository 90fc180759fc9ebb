"""Browsing: how a shopper walks through the shop in a session. Compiled code.

A session is intent -> page -> examination -> click, again and again. A page of K items is examined
from the top, one rank further with probability `examine` (the cascade model of Craswell et al.
2008). Among what was examined, the items that can be opened again and the outside option (click on
nothing), the choice is a multinomial logit. Summed over depths d,

    P(click k) = w_k * sum_{d >= k} P(depth = d) / (w_0 + sum_{j <= d} w_j),      w = exp(utility).

The click is drawn by inversion, so the probability of every choice is known exactly and kept as
truth. All draws are keyed by (shopper, visit, step, purpose): see `draws`.
"""

from __future__ import annotations

import math

from eventlog._runtime.compiled import inner
from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.buffers import counter_index
from simulator.behaviour.buffers.records import IN_STOCK
from simulator.behaviour.buffers.rows import write
from simulator.behaviour.session.cart import cart_probability, consider_cart, put_into_cart
from simulator.behaviour.session.memory import note_seen
from simulator.behaviour.session.navigation import load_page, look_elsewhere, open_first_page
from simulator.behaviour.session.pace import wait
from simulator.behaviour.session.pages import page_beside
from simulator.behaviour.session.utility import (
    CART_PRICE,
    CLICK_PRICE,
    attraction,
    reference_utility,
)
from simulator.behaviour.shoppers import BOUGHT, RECENT
from simulator.counter_rng import uniform
from simulator.world.recommender import ITEM_VARIANTS

# How far clicked items are cheaper than others: 1 = as far as if all items stood on one page.
CLICKED_CHEAPER = 0.7


@inner
def browse(shopper, session, day_state, buffers):
    """Play a session from its first page to its end, writing searches, views and carts."""
    rules = day_state.rules[0]
    longest = int(rules.sessions_longest)
    grid, sensitivity = day_state.reference_utility, session.price_sensitivity
    session.reference_utility = reference_utility(grid, CLICK_PRICE * sensitivity)
    clicked = CLICKED_CHEAPER * CLICK_PRICE * sensitivity
    session.cart_reference = reference_utility(
        grid, clicked + CART_PRICE * sensitivity
    ) - reference_utility(grid, clicked)
    recall(shopper, session, day_state)
    session.last, session.query = -1, session.focus * day_state.facets
    session.depth, held = 0, shopper.cart_size
    open_first_page(shopper, session, day_state, buffers)
    for step in range(longest):
        # The first page took the numbers of the first step, so its click takes those of a step
        # after the last.
        slot = draws.STEP * (longest + 1 if step == 0 else step + 1)
        set_chances(session, rules)
        chosen = draw_click(session, slot)
        wait(session, rules, slot)
        session.page = -1
        if chosen >= 0:
            click(shopper, session, day_state, buffers, chosen, slot)
        filled = shopper.cart_size > held
        if session.hurry and filled:
            break
        stays = session.came_to_buy and not filled
        done = rules.navigation_done if chosen >= 0 else 0.0
        p_leave = 1.0 / (1.0 + math.exp(-session.leave_logit - done))
        if not stays and uniform(session.key, slot + draws.LEAVE) < p_leave:
            break
        if chosen < 0:
            look_elsewhere(shopper, session, day_state, buffers, slot)
        if session.page >= 0:
            load_page(shopper, session, day_state, buffers)
    if session.typology < 0:
        for k in range(RECENT):
            shopper.recent[0, k] = session.items[k]


@inner
def recall(shopper, session, day_state):
    """Put the items that the shopper remembers within reach."""
    rules = day_state.rules[0]
    reopen = math.exp(rules.sessions_reopen)
    for k in range(RECENT):
        i = shopper.recent[0, k]
        session.items[k], session.weight[k] = i, 0.0
        if i >= 0:
            habit = 0.0
            for b in range(BOUGHT):
                if shopper.bought[b] == i:
                    habit = rules.sessions_habit
            if i == session.need:
                habit += rules.needs_urgency
            weight = attraction(shopper, session, rules, day_state.items[i])
            session.weight[k] = weight * reopen * math.exp(habit)


@inner
def set_chances(session, rules):
    """Set the probability to click on each item within reach (see the top of this file)."""
    slate = session.depth_probability.shape[0]
    at_once = math.exp(rules.navigation_at_once)
    inclusive = math.exp(
        rules.sessions_outside
        + session.detachment
        + rules.sessions_fatigue * session.views
        - rules.coupons_salience * session.coupon_pull
    )
    for k in range(RECENT):
        inclusive += session.weight[k] * (at_once if session.items[k] == session.last else 1.0)
    for k in range(slate):
        inclusive += session.weight[RECENT + k]
        session.chance[RECENT + k] = session.depth_probability[k] / inclusive
    tail = 0.0
    for k in range(slate - 1, -1, -1):
        tail += session.chance[RECENT + k]
        session.chance[RECENT + k] = session.weight[RECENT + k] * tail
    for k in range(RECENT):
        again = at_once if session.items[k] == session.last else 1.0
        session.chance[k] = session.weight[k] * again * tail


@inner
def draw_click(session, slot):
    """Return the place of the item that is clicked, -1 where none is."""
    left = uniform(session.key, slot + draws.CLICK)
    for k in range(session.items.shape[0]):
        left -= session.chance[k]
        if left < 0:
            return k
    return -1


@inner
def click(shopper, session, day_state, buffers, chosen, slot):
    """Open the item at place `chosen`; perhaps put it into the cart; perhaps go on from it."""
    rules, items = day_state.rules[0], day_state.items
    again, i, weight = chosen < RECENT, session.items[chosen], session.weight[chosen]
    p_click, item = session.chance[chosen], items[i]
    rank = -1
    for k in range(session.items.shape[0]):
        if session.chance[k] >= p_click:
            rank += 1
    p_cart = cart_probability(shopper, session, rules, items, chosen)
    p_quick = rules.navigation_quick_add * (p_cart if item.stock == IN_STOCK else 0.0)
    quick = uniform(session.key, slot + draws.QUICK_ADD) < p_quick
    viewed = -1
    if quick:
        chance = p_click * p_quick
        put_into_cart(shopper, session, day_state, buffers, i, chance, rank, slot)
    else:
        viewed = buffers.counters[counter_index.EVENTS]
        row = write(buffers, event_codes.VIEW_ITEM, session)
        row.item, row.price, row.rank = i, item.price, rank
        row.p_choice = p_click * (1.0 - p_quick)
        session.last = i
        note_seen(shopper, i)
        session.views += 1
        if item.stock != IN_STOCK:
            row = write(buffers, event_codes.OUT_OF_STOCK, session)
            row.item, row.price, row.p_choice, row.rank = i, item.price, 1.0, 0
    carted = quick or consider_cart(shopper, session, day_state, buffers, chosen, p_cart, slot)
    # From the page to what can be opened again.
    if again:
        session.weight[chosen] *= rules.navigation_habituation
    else:
        remember(session, chosen, i, weight * math.exp(rules.sessions_reopen))
        if rules.truth_exposures > 0:
            shown = buffers.counters[counter_index.PAGES] - 1
            buffers.pages[shown].event[chosen - RECENT] = viewed
    u = uniform(session.key, slot + draws.NEXT_PAGE)
    variant = int(uniform(session.key, slot + draws.VARIANT) * ITEM_VARIANTS)
    if carted and u < 0.5:
        session.page = page_beside(day_state, len(items) + i, variant)
        session.focus = day_state.partner[session.focus]
    elif not carted and u < rules.sessions_similar:
        session.page = page_beside(day_state, i, variant)


@inner
def remember(session, chosen, i, weight):
    """Put item `i` first among those that can be opened again; the last one is forgotten."""
    session.weight[chosen] = 0.0
    for k in range(RECENT - 1, 0, -1):
        session.items[k], session.weight[k] = session.items[k - 1], session.weight[k - 1]
    session.items[0], session.weight[0] = i, weight
