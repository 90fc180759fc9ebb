"""The event-log schema: columns, event names and the roles that events play.

Event names are those that GA4 recommends for e-commerce, plus a few that it lacks. A foreign name
is kept; the manifest's `roles` says what it means, and all code asks for a role, never for a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

TIME = "datetime64[ms, UTC]"  # pandas type of every time column
Kind = Literal["id", "categorical", "numeric", "integer", "time"]


@dataclass(frozen=True)
class Column:
    """One column of `events`."""

    name: str
    kind: Kind
    required: bool = False
    nonnegative: bool = False


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("event_id", "integer", required=True, nonnegative=True),
        Column("user_id", "id", required=True),
        Column("timestamp", "time", required=True),
        Column("event", "categorical", required=True),
        Column("session_id", "id"),
        Column("item_id", "id"),
        Column("order_id", "id"),
        Column("coupon_id", "id"),
        Column("category", "categorical"),
        Column("brand", "categorical"),
        Column("device", "categorical"),
        Column("channel", "categorical"),
        Column("payment_method", "categorical"),
        Column("country", "categorical"),
        Column("query", "categorical"),
        Column("price", "numeric", nonnegative=True),
        Column("quantity", "numeric", nonnegative=True),
        Column("rating", "numeric", nonnegative=True),
        Column("discount", "numeric", nonnegative=True),
    )
}

LABELS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("event_id", "integer", required=True),
        Column("kind", "categorical", required=True),
        Column("value", "numeric", required=True),
        Column("known_at", "time", required=True),
    )
}
# What must be right in each table beside the events; an import types their other columns.
TABLE_COLUMNS: dict[str, dict[str, Column]] = {
    "users": {"user_id": Column("user_id", "id", required=True)},
    "items": {"item_id": Column("item_id", "id", required=True)},
    "labels": LABELS,
    "truth": {"event_id": Column("event_id", "numeric")},  # none for what was only shown
}

REQUIRED = tuple(name for name, column in COLUMNS.items() if column.required)

# The role of each event name. A log's manifest may add names: "roles": {"gekauft": "purchase"}.
ROLES: dict[str, str] = {
    "view_item_list": "list",
    "view_item": "view",
    "search": "search",
    "add_to_cart": "cart",
    "remove_from_cart": "uncart",
    "add_to_wishlist": "wishlist",
    "begin_checkout": "checkout",
    "add_payment_info": "payment",
    "payment_failed": "payment_failed",
    "purchase": "purchase",
    "refund": "refund",
    "review": "review",
    "login": "login",
    "sign_up": "sign_up",
    "delivery": "delivery",
    "support_contact": "support",
    "out_of_stock": "out_of_stock",
    "login_failed": "login_failed",
    "change_address": "change_address",
    "coupon_offer": "coupon_offer",
    "coupon_redeem": "coupon_redeem",
}
ROLE_NAMES = frozenset(ROLES.values()) | {"other"}

# Roles by how much interest in an item they show, weakest first. Of several consecutive events on
# one item the strongest counts.
FUNNEL = ("list", "search", "view", "wishlist", "uncart", "cart", "checkout", "payment", "purchase")


def named_as_id(name: str) -> bool:
    """Return whether the name of a column beyond the schema says that it holds ids.

    An import, and the encoder, take such a column as ids even where its values are numbers.
    """
    return name.lower().endswith("_id") and name not in COLUMNS


def roles_of(names: Iterable[str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Map each event name to its role: as in `extra`, otherwise the standard one, or 'other'."""
    extra = extra or {}
    return {name: extra.get(name, ROLES.get(name, "other")) for name in names}
