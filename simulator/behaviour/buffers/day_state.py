"""What compiled code reads of the shop on a day, and the buffers that it writes to.

Named tuples of arrays: numba passes them to compiled functions as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eventlog._runtime.references import by_reference
from simulator.behaviour.quota import Quota


@by_reference
class DayState(NamedTuple):
    """The shop on one day, as compiled code reads it."""

    rules: np.ndarray  # (1,) the scenario's numbers, see `records.rules`
    items: np.ndarray  # (n_items,) see `records.item_records`
    slates: np.ndarray  # (n_slates, slate) int32 items, -1 = empty place
    policy: np.ndarray  # (n_slates,) int8 index into recommender.POLICIES
    found: np.ndarray  # (n_queries + 1,) int32 items that a query finds; all that are for sale
    n_queries: int
    variants: int  # of each result page, the ranked ones first
    ranked: int  # of them, those that are ranked and not in random order
    # What a policy shows, see policy_host.PolicyPages.
    own_slates: np.ndarray  # (n, slate) int32 items of the front pages of some users
    own_slate: np.ndarray  # (n_shoppers,) int32 row of each user's, -1 = none
    score: int  # address of the function that scores what a query finds, 0 = none
    pools: np.ndarray  # (n_queries, widest) int32 items that each query finds, -1 = none
    pool_score: np.ndarray  # (widest,) float32, written by that function
    scored_page: np.ndarray  # (1, slate) int32, the page that was scored last
    bad_scores: np.ndarray  # (1,) int64, scores that were no number
    home_brands: np.ndarray  # (n_pairs, brands per pair) int32, largest brand first
    partner: np.ndarray  # (n_categories,) int32 category that complements each
    used_up_days: np.ndarray  # (n_categories,) float64, 0 = its goods last
    considered: np.ndarray  # (n_categories,) bool, where purchases are thought over
    demand: np.ndarray  # (n_categories,) float64, log of the season's factor on new intents
    gifts: float  # share of new intents that are gifts
    facets: int  # queries per category
    price_cut: np.ndarray  # (n_categories,) float64, salience times the log price cut
    reference_utility: np.ndarray  # see World.reference_utility
    campaigns: np.ndarray  # (n,) campaigns.CAMPAIGN
    overrides: np.ndarray  # (n,) overrides.OVERRIDE of the day's attacks
    n_shoppers: int  # rows of the shoppers' table from here on are counterfactuals
    end: float  # seconds; the log ends here
    quota: Quota  # what the day's attacks may amount to


@by_reference
class OutputBuffers(NamedTuple):
    """Where sessions write; `counters` says how much of each buffer is written."""

    events: np.ndarray  # event_buffer.EVENT
    sessions: np.ndarray  # event_buffer.SESSION
    orders: np.ndarray  # event_buffer.ORDER
    pages: np.ndarray  # records.page_dtype
    scheduled: np.ndarray  # event_buffer.SCHEDULED_EVENT
    offers: np.ndarray  # campaigns.OFFER
    placed: np.ndarray  # (n_typologies + 1,) int64 orders since the log began, the honest ones last
    counters: np.ndarray  # (counter_index.SIZE,) int64
