"""One campaign: its days, who is offered its coupon, and the state of users at an offer."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Finite, Share
from generators.structure.tables import Tables, first_rows

PAST = -1  # event_id of the rows of a user who is continued
INSERTED = -2  # event_id of a row that a relation has put in
FEW, BUSY = 3, 2  # levels of the purchases, and of the rows, before an offer
STATES = FEW * BUSY * 2  # of a user at an offer: these, and whether a purchase follows

Attributes = dict[str, str | Finite]
Time = Annotated[int, msgspec.Meta(ge=-(10**13), le=10**13)]  # ms
Window = Annotated[int, msgspec.Meta(ge=1, le=10**12)]  # ms


class Campaign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One campaign.

    Attributes:
        coupon: its id.
        first, last: ms; offers are made from `first` up to, but not at, `last`.
        visiting: share of the users with a visit in these days who are offered it then.
        others: share of the users there were, but without a visit, who are offered it.
        prompt: share of the offers at a visit that come at the first one in these days.
        treated: share of treated offers by state, see `states`.
        randomised: does the arm not depend on the past?
        redeemed: share of the treated offers with an order while they are open that are redeemed.
        control, treatment: what ghost and treated offers carry.
    """

    coupon: str
    first: Time
    last: Time
    visiting: Share
    others: Share
    prompt: Share
    treated: Annotated[list[Share], msgspec.Meta(min_length=STATES, max_length=STATES)]
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


def states(
    tables: Tables, user: np.ndarray, time: np.ndarray, *, window: int, busy: float
) -> np.ndarray:
    """Return the state of users (n,) at offers at `time` (n,): a code below STATES.

    It is made of the purchases and the rows before the offer, and whether a purchase follows it
    within the window.
    """
    bought = np.array([tables.roles.get(e) == "purchase" for e in tables.event], dtype=bool)
    bought &= first_of_order(tables)
    before, open_ = (np.zeros(len(user), dtype=np.int64) for _ in range(2))
    if bought.any():
        before = count_until(tables, bought, user, time) - count_until(
            tables, bought, user, np.full(len(user), BEGIN)
        )
        open_ = count_until(tables, bought, user, time + window) - count_until(
            tables, bought, user, time
        )
    many = rows_before(tables, user, time) > busy
    code: np.ndarray = (np.minimum(before, FEW - 1) * BUSY + many) * 2 + (open_ > 0)
    return code


BEGIN = -(2**41)  # ms before all times
_SPAN = 2**43


def rows_before(tables: Tables, user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return how many rows users (n,) have up to `time` (n,)."""
    every = np.ones(len(tables.user), dtype=bool)
    return count_until(tables, every, user, time) - count_until(
        tables, every, user, np.full(len(user), BEGIN)
    )


def count_until(tables: Tables, rows: np.ndarray, user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return how many of `rows` (bool) lie before or at (user, time), users before it included."""
    axis = tables.user[rows] * _SPAN + tables.time[rows] - BEGIN
    found: np.ndarray = np.searchsorted(np.sort(axis), user * _SPAN + time - BEGIN, "right")
    return found


def first_of_order(tables: Tables) -> np.ndarray:
    """Return whether each row is the first of its order with its event, (n,) bool."""
    if "order_id" not in tables.events:
        return np.ones(len(tables.events), dtype=bool)
    order = tables.events["order_id"].astype("category").cat.codes.to_numpy().astype(np.int64)
    key = (tables.user * (order.max(initial=0) + 2) + order) * 1_000 + (
        pd.factorize(tables.event)[0] % 1_000
    )
    return first_rows(np.where(order >= 0, key, -1)) | (order < 0)
