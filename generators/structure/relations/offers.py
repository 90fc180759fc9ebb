"""Campaigns: offers that a shop makes in the days of a campaign, and what redeems them.

An offer is not an act of the user: it falls inside its campaign's days, is made to a user once, and
its arm (treated, or a ghost offer) is the shop's draw. So offers and redemptions are taken out of a
log before a generator learns, and put back into a sample: an offer at a visit in the days of its
campaign, or alone; a redemption at an order while a treated offer is open, with its coupon and all
that it repeats of the offer.

Whom an offer reaches, when, and in which arm is drawn while the sample is: see
`generators.sequences.offers`. Here offers become rows, and orders redeem them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import pandas as pd

from generators.structure.relations.base import Quantiles, Relation
from generators.structure.relations.campaigns import (
    INSERTED,
    PAST,
    Attributes,
    Campaign,
    Unoffered,
    Window,
    count_until,
    purchases,
)
from generators.structure.tables import DAY_MS, Tables, first_rows, is_number, numbers_of, text_of

OWN = frozenset({"event_id", "user_id", "timestamp", "event"})  # never carried


class Campaigns(Relation, frozen=True, tag="campaigns", tag_field="kind"):
    """Offers lie in their campaign's days; redemptions follow a treated offer.

    `exceptions` is the share of the orders without an open offer that redeem a coupon all the same.

    Attributes:
        offer, redeem: names of the events; None = the log has no redemptions.
        campaigns: the calendar.
        window: ms for which an offer is open.
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
    gap: Quantiles
    of_visit: list[str]
    of_order: list[str]
    of_offer: list[str]
    without: list[Unoffered]

    def __post_init__(self) -> None:
        named = {*self.own_columns(), *self.of_visit, *self.of_order} & OWN
        if named:
            raise ValueError(f"offers cannot carry a {sorted(named)[0]} of their own")

    def reduce(self, tables: Tables) -> None:
        """Take out the rows of offers and redemptions, and the columns that only they have."""
        tables.keep_rows(~tables.is_event(self.events()))
        for name in self.own_columns():
            if name in tables.events and not tables.events[name].notna().any():
                del tables.events[name]
        for event in self.events():
            tables.roles.pop(event, None)

    def events(self) -> list[str]:
        """Return the names of the events that are put in."""
        return [self.offer] if self.redeem is None else [self.offer, self.redeem]

    def own_columns(self) -> set[str]:
        """Return the columns that offers and redemptions have of their own."""
        carried = [c.control for c in self.campaigns] + [c.treatment for c in self.campaigns]
        carried += [u.carries for u in self.without]
        return {self.column, *self.of_offer, *(name for one in carried for name in one)}

    def offers_in(self, tables: Tables) -> pd.DataFrame:
        """Return the offers of the campaigns in a log; see `Tables.offers`."""
        events = tables.events
        rows = np.flatnonzero(tables.is_event([self.offer]))
        coupons = pd.Index([c.coupon for c in self.campaigns])
        number = coupons.get_indexer(text_of(events[self.column].iloc[rows]))
        rows, number = rows[number >= 0], number[number >= 0]
        treated = np.zeros(len(rows), dtype=np.int64)
        for k, campaign in enumerate(self.campaigns):
            mine = number == k
            treated[mine] = _is_treated(events.iloc[rows[mine]], campaign)
        return pd.DataFrame(
            {
                "user_id": events["user_id"].iloc[rows].astype(str).to_numpy(),
                "time": tables.time[rows],
                "campaign": number,
                "treated": treated,
            }
        )

    def restore(self, tables: Tables, rng: np.random.Generator) -> None:
        """Put offers and redemptions into the new rows of a sample."""
        offers = offers_of(self, tables)
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
        return [
            {
                "coupon_id": c.coupon,
                "start": pd.Timestamp(c.first, unit="ms").isoformat(),
                "days": (c.last - c.first) / DAY_MS,
                "discount": c.treatment.get("discount"),
                "randomised": c.randomised,
                "window_days": self.window / DAY_MS,
            }
            for c in self.campaigns
        ]


def _is_treated(offers: pd.DataFrame, campaign: Campaign) -> np.ndarray:
    """Return which offers of a campaign carry what treated ones do rather than ghosts, (n,) bool.

    Where a row has neither all of the one nor of the other, the more columns decide.
    """
    score = np.zeros(len(offers))
    for sign, arm in ((1, campaign.treatment), (-1, campaign.control)):
        for name, value in arm.items():
            column = offers[name]
            if isinstance(value, str):
                score += sign * (text_of(column) == value).to_numpy()
            else:
                score += sign * np.isclose(numbers_of(column), value)
    found: np.ndarray = score > 0
    return found


@dataclass(frozen=True)
class Drawn:
    """Rows to be put in, (n,) each."""

    event: str
    anchor: np.ndarray  # the row from which they take what they share with it
    place: np.ndarray  # float: where they stand among the rows of the same time
    time: np.ndarray  # ms
    coupon: np.ndarray  # text
    kind: np.ndarray  # code in `carries`
    carries: list[Attributes]
    shared: list[str]  # columns that they have in common with the anchor
    alone: np.ndarray  # bool: a visit of its own
    treated: np.ndarray  # bool

    def rows(self, campaigns: Campaigns, tables: Tables) -> pd.DataFrame:
        """Return the rows, with a column `_place`."""
        source = tables.events.iloc[self.anchor].reset_index(drop=True)
        out = pd.DataFrame({"user_id": source["user_id"].astype(object)})
        out["timestamp"] = pd.to_datetime(self.time, unit="ms", utc=True).as_unit("ms")
        out["event"], out["event_id"] = self.event, INSERTED
        for name in [n for n in self.shared if n in source]:  # what was learnt
            out[name] = source[name].astype(object)
        if "session_id" in out and self.alone.any():
            own = source["user_id"].astype(str) + "-" + pd.Series(self.coupon, dtype=object)
            out["session_id"] = out["session_id"].where(~self.alone, own)
        out[campaigns.column] = self.coupon
        for name in sorted({n for one in self.carries for n in one}):
            table = np.array([one.get(name) for one in self.carries], dtype=object)
            out[name] = table[self.kind]
        return out.assign(_place=self.place)


def offers_of(campaigns: Campaigns, tables: Tables) -> Drawn:
    """Return the offers that were made in a sample, `tables.offers`, as rows to be put in."""
    made = tables.offers
    if made is None:
        made = pd.DataFrame({n: [] for n in ("user_id", "time", "campaign", "treated")})
    known = tables.events["user_id"].astype("category").cat.categories.astype(str)
    user = known.get_indexer(made["user_id"].astype(str))
    made, user = made[user >= 0], user[user >= 0]
    time, number, treated = (
        made[n].to_numpy(dtype=np.int64) for n in ("time", "campaign", "treated")
    )
    # the user's next row; where there is none, the last one
    every = np.ones(len(tables.user), dtype=bool)
    after = count_until(tables, every, user, time - 1)
    follows = after < len(tables.user)
    anchor = np.minimum(after, len(tables.user) - 1)
    follows &= tables.user[anchor] == user
    anchor = np.where(follows, anchor, after - 1)
    visit = follows & first_rows(tables.session)[anchor]
    inside = np.array([c.last for c in campaigns.campaigns])[number] > tables.time[anchor]
    return Drawn(
        event=campaigns.offer,
        anchor=anchor,
        place=np.where(follows, anchor - 0.5, anchor + 0.5),
        time=time,
        coupon=np.array([c.coupon for c in campaigns.campaigns], dtype=object)[number],
        kind=2 * number + treated,
        carries=[a for c in campaigns.campaigns for a in (c.control, c.treatment)],
        shared=campaigns.of_visit,
        alone=~(visit & inside),
        treated=treated > 0,
    )


def redemptions_of(
    campaigns: Campaigns, tables: Tables, offers: Drawn, rng: np.random.Generator
) -> Drawn:
    """Draw which orders redeem an open offer, or a coupon that was not offered."""
    order = np.flatnonzero(purchases(tables) & (tables.events["event_id"].to_numpy() != PAST))
    found = open_offer(
        tables.user[order],
        tables.time[order],
        tables.user[offers.anchor],
        np.where(offers.treated, offers.time, offers.time + 2**40),
        campaigns.window,
    )
    share = np.array([c.redeemed for c in campaigns.campaigns])[offers.kind // 2]
    first = first_rows(found)  # the first order after an offer
    kept = rng.random(len(order)) < np.where(
        first & (found >= 0), np.append(share, 0.0)[found], 0.0
    )
    free = (found < 0) & (rng.random(len(order)) < campaigns.exceptions)
    weight = np.array([u.share for u in campaigns.without])
    if weight.sum() > 0:
        other = rng.choice(len(weight), size=len(order), p=weight / weight.sum())
    else:
        free[:], other = False, np.zeros(len(order), dtype=np.int64)
    carries = [{n: v for n, v in one.items() if n in campaigns.of_offer} for one in offers.carries]
    offered = np.append(offers.kind, 0)[found]
    kind = np.where(kept, offered, len(carries) + other)
    coupons = [c.coupon for c in campaigns.campaigns for _ in range(2)]
    coupons += [u.coupon for u in campaigns.without]
    rows = kept | free
    assert campaigns.redeem is not None
    anchor = order[rows]
    return Drawn(
        event=campaigns.redeem,
        anchor=anchor,
        place=anchor - 0.25,
        time=tables.time[anchor],
        coupon=np.array([*coupons, ""], dtype=object)[kind[rows]],
        kind=kind[rows],
        carries=[*carries, *(u.carries for u in campaigns.without)],
        shared=campaigns.of_order,
        alone=np.zeros(len(anchor), dtype=bool),
        treated=np.ones(len(anchor), dtype=bool),
    )


def open_offer(
    user: np.ndarray, time: np.ndarray, offered: np.ndarray, at: np.ndarray, window: int
) -> np.ndarray:
    """Return the last offer of the user before each (user, time) (n,), -1 = none is open.

    `offered` (m,) are the users of offers and `at` (m,) their times.
    """
    order = np.lexsort((at, offered))
    span = 2**43
    axis = (offered * span + at)[order]
    place = np.searchsorted(axis, user * span + time, "right") - 1
    found = np.append(order, -1)[np.where(place >= 0, place, len(order))]
    known = np.append(at, 0)[found]
    good = (found >= 0) & (np.append(offered, -1)[found] == user) & (time - known <= window)
    out: np.ndarray = np.where(good, found, -1)
    return out


def insert(tables: Tables, rows: pd.DataFrame) -> None:
    """Put rows among those of their users, in time; at one time, where `_place` says."""
    events = tables.events.assign(_place=np.arange(len(tables.events), dtype=np.float64))
    numbers = {n: c.dtype for n, c in events.items() if is_number(c) and n in rows}
    for name in events:
        if isinstance(events[name].dtype, pd.CategoricalDtype):
            events[name] = events[name].astype(object)
    joined = pd.concat([events, rows.astype(numbers)], ignore_index=True)
    joined = in_time(joined, joined["_place"].to_numpy()).drop(columns="_place")
    for name in joined:
        if joined[name].dtype == object:
            joined[name] = _typed(joined[name])
    tables.replace_events(joined.reset_index(drop=True))


def in_time(events: pd.DataFrame, place: np.ndarray) -> pd.DataFrame:
    """Return rows by user and time, those of the past first; of one time by their `place` (n,)."""
    owner = pd.factorize(events["user_id"])[0]
    past = events["event_id"].to_numpy() == PAST
    time = events["timestamp"].astype("int64").to_numpy()
    return events.iloc[np.lexsort((place, time, owner, ~past))]


def _typed(column: pd.Series) -> pd.Series:
    """Return a column of objects as numbers, if it has no text, or as categories."""
    there = column.dropna()
    if len(there) and there.map(lambda v: isinstance(v, int | float)).all():
        return column.astype(np.float64)
    return column.astype("category")
