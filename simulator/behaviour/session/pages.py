"""Pages: which list a page is of, what stands on it, and with which probability. Compiled code.

All lists of the shop's own recommender are rows of one table (`recommender.Slates`), and a page is
known by its row. Where a policy is at work, the front page of a user who has a slate of their own
shows that, and a policy with a score orders the result pages; a share of `recommender.explore` of
the pages stays in random order.
"""

from __future__ import annotations

import numpy as np

from eventlog._runtime.compiled import inner, inner_with_arrays
from simulator import event_codes
from simulator.behaviour.buffers import counter_index
from simulator.behaviour.buffers.records import NOT_LAUNCHED
from simulator.behaviour.buffers.rows import write
from simulator.behaviour.plugin_call import call
from simulator.behaviour.shoppers import RECENT
from simulator.world.queries import TEXTS
from simulator.world.ranking import insert
from simulator.world.recommender import EXPLORE, ITEM_VARIANTS, PAGES, POLICY


@inner
def page_variant(day_state, draw):
    """Return the variant of a page for a draw in [0, 1): one in random order, or a ranked one."""
    explore, n = day_state.rules[0].recommender_explore, day_state.ranked
    if draw < explore:
        return n + min(int(draw / explore * n), n - 1)
    return min(int((draw - explore) / (1.0 - explore) * n), n - 1)


@inner
def result_page(day_state, query, variant, depth):
    """Return the row of a page of a result list; beyond the last page, that of the last."""
    return (query * day_state.variants + variant) * PAGES + min(depth, PAGES - 1)


@inner
def front_page(day_state, variant):
    """Return the row of the front page (what is trending)."""
    return day_state.n_queries * day_state.variants * PAGES + variant


@inner
def page_beside(day_state, i, variant):
    """Return the row of the items similar to item `i`; of its complements for n_items + i."""
    return (day_state.n_queries * PAGES + 1) * day_state.variants + i * ITEM_VARIANTS + variant


@inner
def page_in_view(session, day_state):
    """Return the table and the row of it that holds the items of page `session.page`.

    And the policy that filled the page, an index into recommender.POLICIES.
    """
    policy = day_state.policy[session.page]
    if policy != EXPLORE or day_state.rules[0].truth_exposures > 0:
        table, row = policy_page(session, day_state)
        if policy != EXPLORE and row >= 0:
            return table, row, POLICY
    return day_state.slates, session.page, policy


@inner
def policy_page(session, day_state):
    """Return the table and row of what a policy shows on page `session.page`; row -1 = nothing."""
    front = front_page(day_state, 0)
    if session.page >= front:
        own = -1
        if session.page < front + day_state.variants:
            own = day_state.own_slate[session.user % day_state.n_shoppers]
        return day_state.own_slates, own
    if day_state.score == 0:
        return day_state.own_slates, -1
    rank_results(session, day_state)
    return day_state.scored_page, 0


@inner_with_arrays
def rank_results(session, day_state):
    """Rank what the query of page `session.page` finds by the policy's score.

    The items of the page are left in `day_state.scored_page`.
    """
    query = session.page // (day_state.variants * PAGES)
    pool, score = day_state.pools[query], day_state.pool_score
    call(day_state.score, session.user % day_state.n_shoppers, query)  # type: ignore[call-arg]
    slate, filled = day_state.scored_page.shape[1], 0
    last = (session.page % PAGES + 1) * slate
    items, keys = np.full(last, -1, dtype=np.int32), np.empty(last, dtype=np.float32)
    for j in range(len(pool)):
        if pool[j] < 0:
            break
        if np.isnan(score[j]):
            day_state.bad_scores[0] += 1
        elif day_state.items[pool[j]].stock != NOT_LAUNCHED:
            filled = insert(items, keys, filled, pool[j], score[j])
    for k in range(slate):
        day_state.scored_page[0, k] = items[last - slate + k]


@inner
def item_propensity(session, day_state, table, row, k):
    """Return the probability with which item `session.items[RECENT + k]` is shown at place `k`.

    `table`, `row`: see `policy_page`. NaN where the list is the shop's own: its recommender fills
    that in when the day is over.
    """
    if row < 0:
        return np.nan
    query, place = day_state.n_queries, k
    if session.page < front_page(day_state, 0):
        query = session.page // (day_state.variants * PAGES)
        place += session.page % PAGES * table.shape[1]
    explore = day_state.rules[0].recommender_explore
    by_chance = 1.0 / day_state.found[query] if place < day_state.found[query] else 0.0
    is_ranked = table[row, k] == session.items[RECENT + k]
    return explore * by_chance + (1.0 - explore) * (1.0 if is_ranked else 0.0)


@inner
def log_page(session, day_state, buffers):
    """Write a row of the log for each item of the page on the screen."""
    is_result = session.page < front_page(day_state, 0)
    for k in range(RECENT, session.items.shape[0]):
        i = session.items[k]
        if i >= 0:
            row = write(buffers, event_codes.VIEW_ITEM_LIST, session)
            row.item, row.price = i, day_state.items[i].price
            row.query = session.query * TEXTS if is_result else -1


@inner
def record_page(session, day_state, buffers, policy):
    """Write down the page on the screen: its list, its items and their propensities."""
    shown = buffers.pages[buffers.counters[counter_index.PAGES]]
    buffers.counters[counter_index.PAGES] += 1
    shown.time, shown.session = session.time, session.number
    shown.policy, shown.slate = policy, session.page
    table, row = policy_page(session, day_state)
    for k in range(shown.items.shape[0]):
        i = session.items[RECENT + k]
        shown.items[k], shown.event[k], shown.known[k], shown.propensity[k] = i, -1, 0, np.nan
        if i < 0:
            continue
        shown.price[k] = day_state.items[i].price
        shown.propensity[k] = item_propensity(session, day_state, table, row, k)
        for j in range(RECENT):
            if session.items[j] == i:
                shown.known[k] = 1
