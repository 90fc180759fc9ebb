"""One campaign: its days, whom its offers reach, and what they carry."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from generators.structure.relations.base import Finite, Share
from generators.structure.tables import Tables, first_rows

PAST = -1  # event_id of the rows of a user who is continued
INSERTED = -2  # event_id of a row that a relation has put in

Attributes = dict[str, str | Finite]
Time = Annotated[int, msgspec.Meta(ge=-(10**13), le=10**13)]  # ms
Window = Annotated[int, msgspec.Meta(ge=1, le=10**12)]  # ms


class Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One campaign.

    Attributes:
        coupon: its id.
        first, last: ms; offers are made from `first` up to, but not at, `last`.
        first_visit: chance of an offer at a user's first visit in these days.
        later_visit: chance at each later one, as long as there was no offer.
        others: chance of an offer between two visits, if there was none at a visit.
        treated: share of treated offers.
        randomised: does the arm not depend on the past?
        redeemed: share of the treated offers with an order while they are open that are redeemed.
        control, treatment: what ghost and treated offers carry.
    """

    coupon: str
    first: Time
    last: Time
    first_visit: Share
    later_visit: Share
    others: Share
    treated: Share
    randomised: bool
    redeemed: Share
    control: Attributes
    treatment: Attributes

    def __post_init__(self) -> None:
        if self.last <= self.first:
            raise ValueError(f"the campaign {self.coupon} ends before it begins")


class Unoffered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A coupon that is redeemed without an open offer, and in which share of those redemptions."""

    coupon: str
    share: Share
    carries: Attributes


BEGIN = -(2**41)  # ms before all times
_SPAN = 2**43


def count_until(tables: Tables, rows: np.ndarray, user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return how many of `rows` (bool) lie before or at (user, time), users before it included."""
    axis = tables.user[rows] * _SPAN + tables.time[rows] - BEGIN
    found: np.ndarray = np.searchsorted(np.sort(axis), user * _SPAN + time - BEGIN, "right")
    return found


def counted_between(
    tables: Tables, rows: np.ndarray, user: np.ndarray, after: np.ndarray, until: np.ndarray
) -> np.ndarray:
    """Return how many of `rows` (bool) users (n,) have after `after` and up to `until` (n,) ms."""
    return count_until(tables, rows, user, until) - count_until(tables, rows, user, after)


def purchases(tables: Tables) -> np.ndarray:
    """Return which rows are the first of a purchase, (n,) bool."""
    return tables.has_role("purchase") & first_of_order(tables)


def first_of_order(tables: Tables) -> np.ndarray:
    """Return whether each row is the first of its order with its event, (n,) bool."""
    if "order_id" not in tables.events:
        return np.ones(len(tables.events), dtype=bool)
    order = tables.events["order_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    key = (tables.user * (order.max(initial=0) + 2) + order) * 1_000 + (tables.event_code % 1_000)
    return first_rows(np.where(order >= 0, key, -1)) | (order < 0)
