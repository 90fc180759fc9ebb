"""Places in `OutputBuffers.counters`: the length of each buffer, and two running totals."""

from __future__ import annotations

EVENTS = 0
SESSIONS = 1
ORDERS = 2
PAGES = 3
SCHEDULED = 4
STOLEN_CARDS = 5  # cards that card testers went through
OFFERS = 6
HONEST_SESSIONS = 7
SIZE = 8
