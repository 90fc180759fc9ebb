"""Places in `OutputBuffers.counters`: the length of each buffer, and a running total."""

from __future__ import annotations

EVENTS = 0
SESSIONS = 1
ORDERS = 2
PAGES = 3
SCHEDULED = 4
STOLEN_CARDS = 5  # cards that card testers went through
OFFERS = 6
SIZE = 7
