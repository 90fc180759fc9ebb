"""Sessions: how a shopper walks through the shop. Compiled code.

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
from simulator.behaviour import counter_index, draws
from simulator.behaviour.cart import consider_wish, in_cart, put_into_cart
from simulator.behaviour.pace import wait
from simulator.behaviour.pages import (
    front_page,
    log_page,
    page_beside,
    page_in_view,
    page_variant,
    record_page,
    result_page,
)
from simulator.behaviour.records import PRICE_FEATURE
from simulator.behaviour.rows import write
from simulator.behaviour.satisfaction import disappoint
from simulator.behaviour.shoppers import BOUGHT, CART, MEMORY, RECENT
from simulator.counter_rng import normal, uniform
from simulator.world.catalogue import (
    DAY,
    LEAST_SENSITIVITY,
    QUALITY,
    SENSITIVITY_STEP,
    TIERS,
)
from simulator.world.queries import TEXTS
from simulator.world.recommender import ITEM_VARIANTS

OUT_OF_STOCK, IN_STOCK, NOT_LAUNCHED = 0, 1, 2  # `stock` of an item
OUT_OF_STOCK_WEIGHT = math.exp(-2.0)  # factor on the weight of an item that is out of stock
# Utility of a clicked item that leaves the log-odds to cart where the scenario puts them.
MATCH_CENTRE = 4.0
# Share of the price sensitivity, which is an elasticity of sales, that works at each of the two
# choices. They add up to more than 1 because a logit of probability p damps its share by 1 - p.
CLICK_PRICE, CART_PRICE = 0.85, 1.2
# How far clicked items are cheaper than others: 1 = as far as if all items stood on one page.
CLICKED_CHEAPER = 0.7
MAIN_DEVICE = 0.78  # share of sessions on a shopper's main device
N_TIERS = len(TIERS)
ENOUGH_LOOKED = 2  # earlier visits after which another one makes a purchase no likelier
# Of the sessions, those that open with what is shown beside the item seen last; and of those that
# open with neither this nor the front page, those that open with a category and not a search.
FIRST_BESIDE, FIRST_CATEGORY = 0.15, 28 / 73


# --- intent ---------------------------------------------------------------------------------------


@inner
def find_intent(shopper, session, day_state):
    """Set what the session is about: the unfinished intent, the one before it, or a new one.

    A visit for what was used up is about that, and interrupts what was going on.
    """
    life = day_state.rules[0].sessions_intent_days * DAY
    current, previous = 0.0, 0.0  # how fresh each intent is, from 1 to 0
    if shopper.intent[0] >= 0:
        current = math.exp(-(session.time - shopper.intent_time[0]) / life)
    if shopper.intent[1] >= 0:
        previous = math.exp(-(session.time - shopper.intent_time[1]) / life)
    kept = True
    if session.need >= 0 or uniform(session.key, draws.KEEP_INTENT) >= 0.65 * current:
        resumes = uniform(session.key, draws.RESUME_INTENT) < 0.9 * previous
        swap_intents(shopper)
        kept = resumes and session.need < 0
        if not kept:
            new_intent(shopper, session, day_state)
    if kept:
        shopper.looked[0] += 1
    shopper.intent_time[0] = session.time
    category = shopper.intent[0]
    thinks = session.typology < 0 and day_state.considered[category]
    session.project = category if thinks else -1
    compared = min(shopper.looked[0], ENOUGH_LOOKED) - 0.5 * ENOUGH_LOOKED
    session.deliberation = day_state.rules[0].needs_deliberation * compared


@inner
def swap_intents(shopper):
    """Exchange the current intent and the interrupted one."""
    intent, time = shopper.intent, shopper.intent_time
    style, recent, looked = shopper.intent_style, shopper.recent, shopper.looked
    intent[0], intent[1] = intent[1], intent[0]
    time[0], time[1] = time[1], time[0]
    looked[0], looked[1] = looked[1], looked[0]
    for k in range(style.shape[1]):
        style[0, k], style[1, k] = style[1, k], style[0, k]
    for k in range(RECENT):
        recent[0, k], recent[1, k] = recent[1, k], recent[0, k]


@inner
def new_intent(shopper, session, day_state):
    """Draw a new intent: something bought before, or a category; and the style that is wanted."""
    rules, item, own_taste = day_state.rules[0], session.need, 1.0
    spread = rules.sessions_intent_style
    for k in range(RECENT):
        shopper.recent[0, k] = -1
    if item < 0 and uniform(session.key, draws.REPLENISH) < rules.sessions_replenish:
        item = shopper.bought[int(uniform(session.key, draws.REPEAT_ITEM) * BOUGHT)]
    if item >= 0:
        shopper.recent[0, 0] = item  # it comes to mind with its category
        shopper.intent[0] = day_state.items[item].category
    else:
        if uniform(session.key, draws.GIFT) < day_state.gifts:
            own_taste, spread = 0.0, rules.shoppers_taste
        shopper.intent[0] = draw_category(shopper, session, day_state, own_taste)
    shopper.looked[0] = 0
    for k in range(shopper.taste.shape[0]):
        deviate = normal(session.key, draws.INTENT_STYLE + 2 * k)
        shopper.intent_style[0, k] = spread * deviate + (own_taste - 1.0) * shopper.taste[k]


@inner
def draw_category(shopper, session, day_state, own_taste):
    """Draw a category by a nested logit.

    Its inclusive value moves with the season, and with the prices as far as the shopper minds them.
    `own_taste`: 1, or 0 for a gift.
    """
    total, n = 0.0, shopper.category_logit.shape[0]
    for c in range(n):
        total += category_weight(shopper, day_state, own_taste, c)
    left = uniform(session.key, draws.CATEGORY) * total
    for c in range(n):
        left -= category_weight(shopper, day_state, own_taste, c)
        if left < 0:
            return c
    return n - 1


@inner
def category_weight(shopper, day_state, own_taste, c):
    """Return exp(utility) of category `c` for a new intent."""
    cheaper = CLICK_PRICE * shopper.price_sensitivity * day_state.price_cut[c]
    return math.exp(own_taste * shopper.category_logit[c] + day_state.demand[c] + cheaper)


@inner
def set_feature_weights(shopper, session, which):
    """Set the weights of the item features: style, price, quality, appeal.

    `which`: 0 = the current intent, 1 = the interrupted one.
    """
    styles = shopper.taste.shape[0]
    weight = session.feature_weight
    for k in range(styles):
        weight[k] = (shopper.taste[k] + shopper.intent_style[which, k]) * session.own_taste
    weight[styles], weight[styles + 1], weight[styles + 2] = (
        -CLICK_PRICE * session.price_sensitivity,
        QUALITY,
        1.0,
    )


@inner
def reference_utility(grid, sensitivity):
    """Return the utility of reference prices at a price sensitivity (see World), interpolated."""
    place = (sensitivity - LEAST_SENSITIVITY) / SENSITIVITY_STEP
    k = min(max(int(place), 0), len(grid) - 2)
    return grid[k] + (place - k) * (grid[k + 1] - grid[k])


@inner
def attraction(shopper, session, rules, item):
    """Return exp(utility) of an item record."""
    utility = item.lift - session.reference_utility
    for k in range(session.feature_weight.shape[0]):
        utility += item.feature[k] * session.feature_weight[k]
    if item.brand == shopper.favourite_brand[session.focus // 2]:
        utility += rules.shoppers_brand_loyalty
    if item.category == session.focus:
        utility += rules.sessions_intent_match
    weight = math.exp(min(utility, 30.0))
    if item.stock == IN_STOCK:
        return weight
    return 0.0 if item.stock == NOT_LAUNCHED else weight * OUT_OF_STOCK_WEIGHT


# --- pages ----------------------------------------------------------------------------------------


@inner
def load_page(shopper, session, day_state, buffers):
    """Show page `session.page`.

    An item that was opened before is reached by going back to it, not from the page.
    """
    rules, items = day_state.rules[0], day_state.items
    satiated = math.exp(-rules.sessions_satiation)
    table, place, policy = page_in_view(session, day_state)
    for k in range(table.shape[1]):
        i = table[place, k]
        weight, known = 0.0, False
        if i >= 0:
            for j in range(RECENT):
                known = known or session.items[j] == i
            if not known:
                weight = attraction(shopper, session, rules, items[i])
                if shopper.seen[i % MEMORY]:
                    weight *= satiated
        session.items[RECENT + k], session.weight[RECENT + k] = i, weight
    if rules.truth_exposures > 0:
        record_page(session, day_state, buffers, policy)
    if rules.recommender_log_lists > 0:
        log_page(session, day_state, buffers)


@inner
def draw_text(session, rules, slot):
    """Draw how the query is typed: in plain words, or in one of the others by Zipf's law."""
    u, plain = uniform(session.key, slot + draws.QUERY_WORDS), rules.navigation_plain_queries
    if u < plain or plain >= 1.0:
        return 0
    return min(int(TEXTS ** ((u - plain) / (1.0 - plain))), TEXTS - 1)


@inner
def search(shopper, session, day_state, buffers, slot):
    """Type a query for the category in focus.

    The query names the category, a price tier of it (price-sensitive shoppers want the cheap one)
    or the favourite brand. `slot`: first number of the step's draws.
    """
    home, facets = day_state.home_brands, day_state.facets
    u = uniform(session.key, slot + draws.QUERY)
    facet = 0
    if 0.45 <= u < 0.75:
        usual = max(day_state.rules[0].shoppers_price_sensitivity, 1e-6)
        thrift = session.price_sensitivity / usual
        facet = 1 + (0 if thrift > 1.25 else 1 if thrift > 0.75 else 2)
    elif u >= 0.75:
        pair = session.focus // 2
        for b in range(facets - 1 - N_TIERS - 1, -1, -1):
            if b < home.shape[1] and home[pair, b] == shopper.favourite_brand[pair]:
                facet = 1 + N_TIERS + b
    session.query, session.depth = session.focus * facets + facet, 0
    row = write(buffers, event_codes.SEARCH, session)
    row.query = session.query * TEXTS + draw_text(session, day_state.rules[0], slot)
    session.time += 4.0 + 8.0 * uniform(session.key, slot + draws.QUERY_TIME)
    variant = page_variant(day_state, uniform(session.key, slot + draws.QUERY_VARIANT))
    session.page = result_page(day_state, session.query, variant, 0)


@inner
def open_first_page(shopper, session, day_state, buffers):
    """Open a session: a search, a category, the front page, or items like the one seen last."""
    slot = draws.STEP
    u = uniform(session.key, slot + draws.NEXT_PAGE)
    draw = uniform(session.key, slot + draws.VARIANT)
    front = FIRST_BESIDE + (1.0 - FIRST_BESIDE) * day_state.rules[0].sessions_front_page
    if u < FIRST_BESIDE and session.items[0] >= 0 and session.typology < 0:
        session.page = page_beside(day_state, session.items[0], int(draw * ITEM_VARIANTS))
    elif FIRST_BESIDE <= u < front:
        session.page = front_page(day_state, page_variant(day_state, draw))
    elif u < front + (1.0 - front) * FIRST_CATEGORY:
        session.page = result_page(day_state, session.query, page_variant(day_state, draw), 0)
    else:
        search(shopper, session, day_state, buffers, slot)
    load_page(shopper, session, day_state, buffers)


# --- the walk -------------------------------------------------------------------------------------


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
def look_elsewhere(shopper, session, day_state, buffers, slot):
    """Go on where nothing was clicked: the next page, or a search (perhaps the other intent)."""
    action = uniform(session.key, slot + draws.NEXT_ACTION)
    if action < 0.45:
        session.depth += 1
        variant = page_variant(day_state, uniform(session.key, slot + draws.VARIANT))
        session.page = result_page(day_state, session.query, variant, session.depth)
        return
    if action >= 0.85 and shopper.intent[1] >= 0 and session.category < 0:
        session.focus = shopper.intent[1]
        set_feature_weights(shopper, session, 1)
    search(shopper, session, day_state, buffers, slot)


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
        shopper.seen[i % MEMORY] = 1
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
