"""The items that a shopper has seen, a bit each; items may share one. Compiled code."""

from __future__ import annotations

from eventlog._runtime.compiled import inner
from simulator.behaviour.shoppers import MEMORY


@inner
def has_seen(shopper, item):
    """Return whether the shopper has seen an item, or one that shares its cell of the memory."""
    cell = item % MEMORY
    return shopper.seen[cell >> 3] >> (cell & 7) & 1 > 0


@inner
def note_seen(shopper, item):
    """Put an item into the shopper's memory of items seen."""
    cell = item % MEMORY
    shopper.seen[cell >> 3] |= 1 << (cell & 7)
