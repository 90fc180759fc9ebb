"""From page to page: how a session opens, what is searched, where it goes on. Compiled code."""

from __future__ import annotations

import math

from eventlog._runtime.compiled import inner
from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.buffers.rows import write
from simulator.behaviour.session.memory import has_seen
from simulator.behaviour.session.pages import (
    front_page,
    log_page,
    page_beside,
    page_in_view,
    page_variant,
    record_page,
    result_page,
)
from simulator.behaviour.session.utility import attraction, set_feature_weights
from simulator.behaviour.shoppers import RECENT
from simulator.counter_rng import uniform
from simulator.world.catalogue import TIERS
from simulator.world.queries import TEXTS
from simulator.world.recommender import ITEM_VARIANTS

N_TIERS = len(TIERS)
# Of the sessions, those that open with what is shown beside the item seen last; and of those that
# open with neither this nor the front page, those that open with a category and not a search.
FIRST_BESIDE, FIRST_CATEGORY = 0.15, 28 / 73


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
                if has_seen(shopper, i):
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
