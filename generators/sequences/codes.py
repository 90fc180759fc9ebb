"""Codes with a fixed meaning in a row, and the flags of a recent item. Import the module.

Example::

    from generators.sequences import codes

    is_fresh = row[:, col.COPY_ACTION] == codes.FRESH
"""

from __future__ import annotations

from collections.abc import Mapping

# How the item of a row is chosen: none, one that is not among the user's recent items, or a copy:
# FIRST_COPY + r is the recent item of rank r among those that the event may refer to. The first
# N_SESSION_RANKS ranks are of items of the session, the others of items before it. EARLIER is an
# item before the session that has no rank, or of an event that needs flags, any that has none.
NO_ITEM, FRESH, FIRST_COPY = 0, 1, 2
N_RECENT = 32  # recent items that are remembered of a user
N_COPY_RANKS = 16  # ranks that have a code
N_SESSION_RANKS = 10
EARLIER = FIRST_COPY + N_COPY_RANKS
N_COPY_ACTIONS = EARLIER + 1

# Which order a row belongs to: none, a new one, the user's last one, or the last one of its item.
NO_ORDER, NEW_ORDER, SAME_ORDER, ITEMS_ORDER = 0, 1, 2, 3
N_ORDERS = 4

# A categorical column: 0 = missing, 1 = the user's previous value of it; then the values.
SAME = 1

# An id column: 0 = missing, the user's previous id, an earlier one of the user, a new one, or a new
# one that other users have too.
SAME_ID, EARLIER_ID, NEW_ID, SHARED_ID = 1, 2, 3, 4
N_ID_RELATIONS = 5

# What a user does about the offer that is open: there is none, they do not buy while it is open,
# they are to buy at a later visit, at this one, they have bought.
NO_OFFER, NOT_BUYING, TO_BUY, DUE, HAS_BOUGHT = 0, 1, 2, 3, 4
N_RESPONSES = 5

# Flags of a recent item, and what an event of each role does to them.
SEEN, CART, BOUGHT, EVER, IN_SESSION = 1, 2, 4, 8, 16
BOUGHT_NOW = BOUGHT | IN_SESSION
NEEDED = (SEEN, CART, BOUGHT, EVER, BOUGHT_NOW)  # flags that an event may need of its item
FLAGS_SET: Mapping[str, int] = {
    "view": SEEN,
    "list": SEEN,
    "search": SEEN,
    "wishlist": SEEN,
    "cart": SEEN | CART,
    "purchase": SEEN | BOUGHT | EVER,
}
FLAGS_CLEARED: Mapping[str, int] = {"uncart": CART, "purchase": CART, "refund": BOUGHT}
