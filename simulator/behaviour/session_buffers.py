"""The buffers that compiled sessions write to: room for what a day may bring, and what was written.

Compiled code cannot make a buffer grow. So room is made before it is called, and it stops at the
first event that might not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from simulator.behaviour import campaigns
from simulator.behaviour.browser import Browser
from simulator.behaviour.buffers import counter_index
from simulator.behaviour.buffers.day_state import OutputBuffers
from simulator.behaviour.buffers.event_buffer import SCHEDULED_EVENT, RecordBuffer
from simulator.behaviour.overrides import BURST
from simulator.behaviour.shoppers import CART
from simulator.behaviour.visits import ERRANDS
from simulator.scenario import Scenario

# Room for records that one event may take, times the events still to play, plus a reserve.
ROOM_PER_EVENT = {counter_index.EVENTS: 8, counter_index.PAGES: 8, counter_index.SCHEDULED: 2}
PAST_ORDER_LEADS_TO = 4  # events at most
RESERVE_OF_SCHEDULED, RESERVE = 64, 2 * BURST


class SessionBuffers:
    """All that the sessions of a shard write: rows, sessions, orders, pages, visits, offers.

    Args:
        scenario: what decides how long a session may be.
        browser: whose buffers hold rows, sessions, orders and pages.
        placed: (n_typologies + 1,) int64 orders placed, which compiled code counts.
    """

    def __init__(self, scenario: Scenario, browser: Browser, placed: np.ndarray) -> None:
        self.browser, self.placed = browser, placed
        self.scheduled = RecordBuffer(SCHEDULED_EVENT)  # all visits that were not planned
        self.offers = RecordBuffer(campaigns.OFFER)
        self.stolen_cards = 0  # cards that card testers went through
        self.keeps_pages = int(scenario.truth.exposures)
        # The most rows that one event writes: four a step and those of the checkout; an attack has
        # up to BURST sessions, a visit up to ERRANDS errands in both worlds. A page may be logged.
        page = scenario.sessions.slate * scenario.recommender.log_lists
        steps = (4 + page) * (scenario.sessions.longest + 2)
        self.room = max(BURST, 2 * ERRANDS) * (steps + 2 * CART + 40)

    def expect(self, visits: int) -> None:
        """Take the memory that a log of `visits` planned visits is about to fill.

        Memory that is not touched costs nothing, and growing does.
        """
        self.browser.events.reserve(8 * visits)
        self.browser.sessions.reserve(2 * visits)

    def make_room(self, events: int) -> None:
        """Make room in each buffer for about `events` events, for one of them at least."""
        reserve = {
            counter_index.EVENTS: self.room,
            counter_index.PAGES: self.room * self.keeps_pages + 1,
            counter_index.SCHEDULED: RESERVE_OF_SCHEDULED,
        }
        for place, buffer in self._by_counter().items():
            each = ROOM_PER_EVENT.get(place, 1)
            if place == counter_index.PAGES:
                each *= self.keeps_pages
            buffer.reserve(each * events + reserve.get(place, RESERVE))

    def make_room_for_past(self, orders: int) -> None:
        """Make room in each buffer for what `orders` from before the first day lead to."""
        for buffer in self._by_counter().values():
            buffer.reserve(PAST_ORDER_LEADS_TO * orders + RESERVE)

    @contextmanager
    def writing(self) -> Iterator[OutputBuffers]:
        """Give the buffers to compiled code, and take over how much it wrote."""
        buffers = self._by_counter()
        counters = np.zeros(counter_index.SIZE, dtype=np.int64)
        counters[counter_index.STOLEN_CARDS] = self.stolen_cards
        for place, buffer in buffers.items():
            counters[place] = buffer.n
        yield OutputBuffers(
            self.browser.events.table,
            self.browser.sessions.table,
            self.browser.orders.table,
            self.browser.pages.table,
            self.scheduled.table,
            self.offers.table,
            self.placed,
            counters,
        )
        for place, buffer in buffers.items():
            buffer.n = int(counters[place])
        self.stolen_cards = int(counters[counter_index.STOLEN_CARDS])

    def _by_counter(self) -> dict[int, RecordBuffer]:
        """The buffers by the place of their counters."""
        return {
            counter_index.EVENTS: self.browser.events,
            counter_index.SESSIONS: self.browser.sessions,
            counter_index.ORDERS: self.browser.orders,
            counter_index.PAGES: self.browser.pages,
            counter_index.SCHEDULED: self.scheduled,
            counter_index.OFFERS: self.offers,
        }
