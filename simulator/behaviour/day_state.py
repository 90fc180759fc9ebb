"""What compiled code reads of the shop on a day, and the buffers that it writes to.

Named tuples of arrays: numba passes them to compiled functions as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.behaviour.quota import Quota


class DayState(NamedTuple):
    """The shop on one day, as compiled code reads it."""

    rules: np.ndarray  # (1,) the scenario's numbers, see `records.rules`
    items: np.ndarray  # (n_items,) see `records.item_records`
    slates: np.ndarray  # (n_slates, slate) int32 items, -1 = empty place
    policy: np.ndarray  # (n_slates,) int8 index into recommender.POLICIES
    n_queries: int
    variants: int  # of each result page
    home_brands: np.ndarray  # (n_pairs, brands per pair) int32, largest brand first
    partner: np.ndarray  # (n_categories,) int32 category that complements each
    facets: int  # queries per category
    price_cut: np.ndarray  # (n_categories,) float64, salience times the log price cut
    campaigns: np.ndarray  # (n,) campaigns.CAMPAIGN
    overrides: np.ndarray  # (n,) overrides.OVERRIDE of the day's attacks
    n_shoppers: int  # rows of the shoppers' table from here on are counterfactuals
    end: float  # seconds; the log ends here
    quota: Quota  # what the day's attacks may amount to


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
