"""Find breaches: events that usually come after another, and in some rows do not."""

from __future__ import annotations

from generators.sequences.codes import BOUGHT, CART, EVER
from generators.structure.relations.breaches import Breach, carried
from generators.structure.tables import Tables

# Role -> flag that its item usually carries.
USUAL = {"uncart": CART, "purchase": CART, "refund": BOUGHT, "review": EVER}
ENDS = 0.98  # share of purchases in the session of their cart, from which on carts end with it
MOST_BROKEN = 0.5  # share of an event's rows from which on it is no rule


def carts_end(tables: Tables) -> bool:
    """Is nearly everything that is bought out of a cart put into it in the same session?"""
    bought = tables.has_role("purchase")
    of_user = carried(tables, CART) & bought
    of_session = carried(tables, CART, carts_end=True) & bought
    return bool(of_user.any() and of_session.sum() >= ENDS * of_user.sum())


def find_breaches(tables: Tables) -> list[Breach]:
    """Return the events that usually come after what they need, and how often they do not."""
    found, ends = [], carts_end(tables)
    for event, role in sorted(tables.roles.items()):
        if role not in USUAL:
            continue
        rows = tables.is_event([event])
        broken = rows & ~carried(tables, USUAL[role], carts_end=ends)
        rate = broken.sum() / max(rows.sum(), 1)
        if 0 < rate < MOST_BROKEN:
            found.append(
                Breach(
                    column="event",
                    event=event,
                    flag=USUAL[role],
                    carts_end=ends,
                    exceptions=float(rate),
                )
            )
    return found
