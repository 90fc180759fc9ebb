"""Campaigns: offers that a shop sends in the days of a campaign, and what redeems them.

An offer is not an act of the user: it falls inside its campaign's days, is made to a user once, and
its arm (treated, or a ghost offer) is the shop's draw. So offers and redemptions are taken out of a
log before a generator learns, and put back into a sample: an offer at a visit in the days of its
campaign, or alone; a redemption at an order while a treated offer is open, with its coupon and all
that it repeats of the offer.

The arm of an offer comes from how often offers were treated, given what the user did before and
whether they bought while the offer was open. Visits and orders of a sample are there when it is
drawn, so this is the only draw that leaves the arm, the past and the outcome together as they are
in the log, and with them the effect of a treatment on buying.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relation import Finite, Quantiles, Relation, Share
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


class Campaigns(Relation, frozen=True, tag="campaigns", tag_field="kind"):
    """Offers lie in their campaign's days; redemptions follow a treated offer.

    `exceptions` is the share of the orders without an open offer that redeem a coupon all the same.

    Attributes:
        offer, redeem: names of the events; None = the log has no redemptions.
        campaigns: the calendar.
        window: ms for which an offer is open.
        busy: more rows than this before an offer are many.
        gap: quantiles of the ms between an offer at a visit and the visit's next row.
        of_visit: columns that an offer shares with its visit.
        of_order: columns that a redemption shares with the order's row.
        of_offer: columns that a redemption repeats from its offer.
        without: coupons that are redeemed without an open offer.
    """

    offer: str
    redeem: str | None
    campaigns: Annotated[list[Campaign], msgspec.Meta(min_length=1)]
    window: Window
    busy: Finite
    gap: Quantiles
    of_visit: list[str]
    of_order: list[str]
    of_offer: list[str]
    without: list[Unoffered]

    learnt = True

    def reduce(self, tables: Tables) -> None:
        """Take out the rows of offers and redemptions, and the columns that only they have."""
        events = tables.events[~np.isin(tables.event, [self.offer, self.redeem])]
        events = events.reset_index(drop=True)
        for name in ("event", "user_id"):
            if isinstance(events[name].dtype, pd.CategoricalDtype):
                events[name] = events[name].cat.remove_unused_categories()
        for name in self.own_columns():
            if name in events and not events[name].notna().any():
                del events[name]
        tables.replace_events(events)
        for name in (self.offer, self.redeem):
            tables.roles.pop(str(name), None)

    def own_columns(self) -> set[str]:
        """Return the columns that offers and redemptions have of their own."""
        carried = [c.control for c in self.campaigns] + [c.treatment for c in self.campaigns]
        carried += [u.carries for u in self.without]
        return {self.column, *self.of_offer, *(name for one in carried for name in one)}

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Put offers and redemptions into the new rows of a sample."""
        from generators.structure.campaign_draws import insert, offers_of, redemptions_of

        offers = offers_of(self, tables, rng)
        rows = [offers.rows(self, tables)]
        if self.redeem is not None:
            rows.append(redemptions_of(self, tables, offers, rng).rows(self, tables))
        insert(tables, pd.concat(rows, ignore_index=True))

    def sentence(self) -> str:
        """See Relation."""
        said = f"{self.offer} lies in the days of {len(self.campaigns)} campaigns"
        return said if self.redeem is None else f"{said}, and {self.redeem} follows it"

    def manifest(self) -> list[dict[str, object]]:
        """Return the campaigns as a log's manifest has them."""
        day = 86_400_000
        return [
            {
                "coupon_id": c.coupon,
                "start": pd.Timestamp(c.first, unit="ms").isoformat(),
                "days": (c.last - c.first) / day,
                "discount": c.treatment.get("discount"),
                "randomised": c.randomised,
                "window_days": self.window / day,
            }
            for c in self.campaigns
        ]


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
