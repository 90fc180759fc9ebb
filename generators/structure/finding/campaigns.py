"""Find campaigns: the days of each, who is offered it, in which arm, and what redeems it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from generators.structure.finding import evidence
from generators.structure.relations.campaigns import (
    BEGIN,
    Attributes,
    Campaign,
    Unoffered,
    counted_between,
    purchases,
)
from generators.structure.relations.offers import OWN, Campaigns, open_offer
from generators.structure.tables import DAY_MS, Tables, codes_of, first_rows, is_number, text_of

HOUR_MS = 3_600_000
MOST_CAMPAIGNS = 1_000
COVERED = 0.9  # share of the offers in campaigns that enough users have
TWICE = 0.05  # share of offers of a coupon that the user had before, at most
ALIKE = 0.98  # share of the rows in which an attribute must be what it follows from
BESIDE = 0.9  # share of the redemptions that must stand right before a row of a purchase
MOST_ARMS = 20
FEWEST_CONTROLS = 50
UNTREATED = 0.02  # of the redemptions: how many of them may follow offers of a control
STATES = 6  # of a user at an offer: purchases before it (0, 1, more), and whether rows are many
DEPENDS = 4.0  # standard deviations from which on an arm depends on the past
USUAL_WINDOW_MS = 7 * DAY_MS


@dataclass(frozen=True)
class _Offers:
    """The offers of a log; (n,) each."""

    row: np.ndarray
    user: np.ndarray
    time: np.ndarray
    number: np.ndarray  # of the campaign
    treated: np.ndarray


def find_campaigns(
    tables: Tables, *, min_users: int, said: Sequence[Mapping[str, Any]] = ()
) -> Campaigns | None:
    """Return the campaigns of a log, None where it has none that can be told apart.

    `said` are the campaigns of the log's manifest; of them it is read how long offers are open.
    """
    names = [[e for e, r in tables.roles.items() if r == role] for role in _ROLES]
    if "coupon_id" not in tables.events or len(names[0]) != 1 or len(names[1]) > 1:
        return None
    offer, redeem = names[0][0], names[1][0] if names[1] else None
    row = np.flatnonzero(tables.is_event([offer]))
    coupons = text_of(tables.events["coupon_id"]).astype("category")
    code = coupons.cat.codes.to_numpy().astype(np.int64)
    elsewhere = ~tables.is_event([*names[0], *names[1]])
    if not len(row) or (code[elsewhere] >= 0).any():
        return None
    users = evidence.users_of(code[row], tables.user[row])
    kept = np.flatnonzero(users >= max(min_users, 1))
    row_kept = row[np.isin(code[row], kept)]
    pairs = tables.user[row_kept] * (len(users) + 1) + code[row_kept]
    if (
        not 0 < len(kept) <= MOST_CAMPAIGNS
        or len(row_kept) < COVERED * len(row)
        or pd.Series(pairs).duplicated().mean() > TWICE
    ):
        return None
    finder = _Finder(tables, offer, redeem, row_kept, code, kept, min_users)
    return finder.found(list(coupons.cat.categories.astype(str)), said)


_ROLES = ("coupon_offer", "coupon_redeem")


class _Finder:
    def __init__(
        self,
        tables: Tables,
        offer: str,
        redeem: str | None,
        row: np.ndarray,
        code: np.ndarray,
        kept: np.ndarray,
        min_users: int,
    ) -> None:
        self.tables, self.offer, self.redeem, self.min_users = tables, offer, redeem, min_users
        self.row, self.code, self.kept = row, code, kept
        self.redemption = np.flatnonzero(tables.is_event([redeem]))
        self.linked = self._links()
        self.number = np.searchsorted(kept, code[row])

    def _links(self) -> np.ndarray:
        """Return for each redemption the place in `row` of its coupon's offer before it, or -1."""
        tables, r = self.tables, self.redemption
        size = int(self.code.max()) + 2
        key = tables.user * size + self.code + 1
        ever = 2**41
        return open_offer(key[r], tables.time[r], key[self.row], tables.time[self.row], ever)

    def found(self, names: list[str], said: Sequence[Mapping[str, Any]]) -> Campaigns | None:
        """Return what is found, None where rows carry what follows from nothing."""
        tables, row = self.tables, self.row
        treated = self._treated()
        own, of_visit = self._attributes(treated)
        order = self._orders()
        of_offer, of_order = self._of_redemptions(own, order)
        if of_visit is None or of_order is None or of_offer is None:
            return None
        window = self._window(said)
        offers = _Offers(row, tables.user[row], tables.time[row], self.number, treated)
        bare = Tables(tables.events, tables.users, dict(tables.roles))
        state = _states(bare, offers)
        bought = counted_between(
            bare, purchases(bare), offers.user, offers.time, offers.time + window
        )
        visit = self._next_of_visit()
        gap = tables.time[np.minimum(row + 1, len(tables.time) - 1)] - offers.time
        stated = {str(c.get("coupon_id")): c.get("randomised") for c in said}
        campaigns = [
            self._campaign(names[c], k, offers, state, bought > 0, own, stated.get(names[c]))
            for k, c in enumerate(self.kept)
        ]
        without, rate = self._unoffered(names, of_offer, offers, window)
        return Campaigns(
            column="coupon_id",
            offer=self.offer,
            redeem=self.redeem,
            campaigns=campaigns,
            window=window,
            gap=(
                evidence.quantiles(
                    gap[visit].astype(np.float64), offers.user[visit], self.min_users
                )
                if visit.any()
                else [0.0, 0.0]
            ),
            of_visit=of_visit,
            of_order=of_order,
            of_offer=of_offer,
            without=without,
            exceptions=rate,
        )

    def _next_of_visit(self) -> np.ndarray:
        """Return which offers have a next row of their visit, other than an offer, (n,) bool."""
        tables = self.tables
        after = np.minimum(self.row + 1, len(tables.time) - 1)
        same = (tables.session[after] == tables.session[self.row]) & (after > self.row)
        found: np.ndarray = (
            same & (tables.session[after] >= 0) & ~tables.is_event([self.offer])[after]
        )
        return found

    # --- arms and attributes ----------------------------------------------------------------------

    def _treated(self) -> np.ndarray:
        """Return which offers are treated: by the column whose values part those redeemed.

        In a log without redemptions an offer is treated if it has a discount.
        """
        events = self.tables.events.iloc[self.row]
        redeemed = np.bincount(self.linked[self.linked >= 0], minlength=len(self.row)) > 0
        best, most = np.ones(len(self.row), dtype=bool), 0
        for name in [n for n in events if n not in OWN | {"coupon_id", "session_id"}]:
            values = text_of(events[name]).astype("category").cat.codes.to_numpy().astype(int) + 1
            number = np.bincount(values)
            if (number > 0).sum() not in range(2, MOST_ARMS + 1):
                continue
            share = np.bincount(values, redeemed) / max(redeemed.sum(), 1)
            controls = (share <= UNTREATED * number / len(values)) & (number > 0)
            found = ~controls[values]
            if (~found).sum() >= FEWEST_CONTROLS and found.any() and (~found).sum() > most:
                best, most = found, int((~found).sum())
        if not redeemed.any() and "discount" in events:
            best = np.nan_to_num(self.tables.numbers("discount")[self.row]) > 0
        return best

    def _attributes(
        self, treated: np.ndarray
    ) -> tuple[list[tuple[Attributes, Attributes]], list[str] | None]:
        """Return what ghost and treated offers of each campaign carry, and what the visit has.

        None where a column is neither.
        """
        events = self.tables.events.iloc[self.row]
        group = 2 * self.number + treated
        own: list[tuple[Attributes, Attributes]] = [({}, {}) for _ in self.kept]
        of_visit: list[str] = []
        beside = self._next_of_visit()
        after = self.tables.events.iloc[np.minimum(self.row + 1, len(self.tables.time) - 1)]
        for name in [n for n in events if n not in OWN | {"coupon_id"}]:
            there = events[name].notna().to_numpy()
            if not there.any():
                continue
            usual = there.mean() > 0.5
            if usual and beside.any() and _same(events[name], after[name])[beside].mean() >= ALIKE:
                of_visit.append(name)
                continue
            value = codes_of(events[name])
            mode = pd.Series(value).groupby(group).agg(lambda x: x.mode().iloc[0])
            follows = (mode.reindex(group).to_numpy() == value).mean() >= ALIKE
            if follows and name != "session_id":
                self._keep(own, name, events[name], group)
            elif usual and not beside.any():
                of_visit.append(name)
            else:
                return own, None
        return own, of_visit

    @staticmethod
    def _keep(
        own: list[tuple[Attributes, Attributes]], name: str, column: pd.Series, group: np.ndarray
    ) -> None:
        """Write the usual value of a column for each campaign and arm."""
        values = column if is_number(column) else text_of(column)
        for at, part in pd.Series(values.to_numpy()).groupby(group):
            usual = part.mode(dropna=False).iloc[0]
            if not pd.isna(usual):
                own[int(at) // 2][int(at) % 2][name] = _plain(usual, column)

    def _orders(self) -> np.ndarray:
        """Return the purchase row right after each redemption, (m,), -1 = none."""
        tables, after = self.tables, np.minimum(self.redemption + 1, len(self.tables.time) - 1)
        bought = tables.has_role("purchase")[after]
        same = tables.user[after] == tables.user[self.redemption]
        return np.where(bought & same, after, -1)

    def _of_redemptions(
        self, own: list[tuple[Attributes, Attributes]], order: np.ndarray
    ) -> tuple[list[str] | None, list[str] | None]:
        """Return the columns that redemptions repeat from offers, and from orders."""
        if not len(self.redemption):
            return [], []
        if (order >= 0).mean() < BESIDE:
            return None, None
        events, linked = self.tables.events, self.linked >= 0
        mine = events.iloc[self.redemption]
        offered = events.iloc[self.row[np.maximum(self.linked, 0)]]
        ordered = events.iloc[np.maximum(order, 0)]
        columns = {n for pair in own for one in pair for n in one}
        of_offer, of_order = [], []
        for name in [n for n in events if n not in OWN | {"coupon_id"}]:
            if not mine[name].notna().any():
                continue
            repeats = _same(mine[name], offered[name])[linked]
            if name in columns and linked.any() and repeats.mean() >= ALIKE:
                of_offer.append(name)
            elif _same(mine[name], ordered[name])[order >= 0].mean() >= ALIKE:
                of_order.append(name)
            else:
                return None, None
        return of_offer, of_order

    # --- rates ------------------------------------------------------------------------------------

    def _window(self, said: Sequence[Mapping[str, Any]]) -> int:
        """Return for how long offers are open: as the manifest says, or as redemptions show."""
        days = [c["window_days"] for c in said if isinstance(c.get("window_days"), int | float)]
        if days and 0 < max(days) < 10_000:
            return int(max(days) * DAY_MS)
        there = self.linked >= 0
        if there.sum() < self.min_users:
            return USUAL_WINDOW_MS
        r = self.redemption[there]
        lag = self.tables.time[r] - self.tables.time[self.row[self.linked[there]]]
        high = evidence.quantiles(lag.astype(np.float64), self.tables.user[r], self.min_users)[-1]
        return max(int(-(-high // HOUR_MS)), 1) * HOUR_MS

    def _campaign(
        self,
        coupon: str,
        k: int,
        offers: _Offers,
        state: np.ndarray,
        bought: np.ndarray,
        own: list[tuple[Attributes, Attributes]],
        stated: Any,
    ) -> Campaign:
        """Return campaign `k`; `stated` is whether the manifest says that it is randomised."""
        tables, mine = self.tables, offers.number == k
        first = int(offers.time[mine].min() // HOUR_MS * HOUR_MS)
        last = int(offers.time[mine].max() // HOUR_MS * HOUR_MS) + HOUR_MS
        act = ~tables.is_event([self.offer, self.redeem])
        begins = np.zeros(len(act), dtype=bool)
        begins[np.flatnonzero(act)[first_rows(tables.session[act])]] = True
        inside = np.flatnonzero(begins & (tables.time >= first) & (tables.time < last))
        there = np.unique(tables.user[begins & (tables.time < last)])
        offered = np.unique(offers.user[mine])
        beside = mine & self._next_of_visit()
        at_visit = offers.user[beside], offers.time[beside]
        first_visit, later_visit = _at_visits(tables, inside, *at_visit)
        left = np.setdiff1d(there, at_visit[0])
        treated = offers.treated[mine]
        redeemed = np.zeros(len(offers.row), dtype=bool)
        redeemed[self.linked[self.linked >= 0]] = True
        randomised = stated if isinstance(stated, bool) else not _depends(state[mine], treated)
        return Campaign(
            coupon=coupon,
            first=first,
            last=last,
            first_visit=first_visit,
            later_visit=later_visit,
            others=_share(np.isin(left, offered)),
            treated=_share(treated),
            randomised=randomised,
            redeemed=_share(redeemed[mine & offers.treated & bought]),
            control=own[k][0],
            treatment=own[k][1],
        )

    def _unoffered(
        self,
        names: list[str],
        of_offer: list[str],
        offers: _Offers,
        window: int,
    ) -> tuple[list[Unoffered], float]:
        """Return what is redeemed without an open offer, and in which share of the orders."""
        tables = self.tables
        broken = self.linked < 0
        rows = self.redemption[broken]
        orders = np.flatnonzero(purchases(tables))
        given = offers.treated
        free = open_offer(
            tables.user[orders], tables.time[orders], offers.user[given], offers.time[given], window
        )
        users = evidence.users_of(self.code[rows], tables.user[rows])
        out = []
        for c in np.flatnonzero(users >= self.min_users):
            these = rows[self.code[rows] == c]
            carries: Attributes = {}
            for name in of_offer:
                column = tables.events[name].iloc[these]
                usual = column.mode()
                if len(usual):
                    carries[name] = _plain(usual.iloc[0], column)
            out.append(Unoffered(coupon=names[c], share=len(these) / len(rows), carries=carries))
        kept = sum(u.share for u in out) * len(rows)
        return out, float(min(kept / max((free < 0).sum(), 1), 1.0))


def _plain(value: Any, column: pd.Series) -> str | float:
    """Return a value of a column as text, or as the shortest number that it is written as."""
    return float(str(value)) if is_number(column) else str(value)


def _share(yes: np.ndarray) -> float:
    return float(yes.mean()) if len(yes) else 0.0


def _same(a: pd.Series, b: pd.Series) -> np.ndarray:
    """Return in which rows two columns hold the same, or nothing, (n,) bool."""
    left, right = text_of(a).to_numpy(dtype=object), text_of(b).to_numpy(dtype=object)
    missing = pd.isna(left) & pd.isna(right)
    return np.asarray(missing | (left == right), dtype=bool)


def _at_visits(
    tables: Tables, visit: np.ndarray, user: np.ndarray, time: np.ndarray
) -> tuple[float, float]:
    """Return the share of first visits at which an offer is made, and of each later one.

    `visit` (v,) are rows with which visits in the days of a campaign begin, by user; `user` and
    `time` (m,) those of its offers. A visit counts as long as no offer was made before it.
    """
    at = pd.Series(time).groupby(user).min().reindex(tables.user[visit]).to_numpy()
    is_first = first_rows(tables.user[visit])
    before = np.append(np.nan, tables.time[visit][:-1])
    before[is_first] = -np.inf
    open_ = ~(at <= before)  # a user without an offer has none before
    made = open_ & (at <= tables.time[visit])
    return _share(made[is_first & open_]), _share(made[~is_first & open_])


def _states(tables: Tables, offers: _Offers) -> np.ndarray:
    """Return the state of users at offers, (n,), a code below STATES: what they did before it."""
    begin, every = np.full(len(offers.user), BEGIN), np.ones(len(tables.user), dtype=bool)
    rows, orders = (
        counted_between(tables, which, offers.user, begin, offers.time)
        for which in (every, purchases(tables))
    )
    state: np.ndarray = np.minimum(orders, 2) * 2 + (rows > np.median(rows))
    return state


def _depends(state: np.ndarray, treated: np.ndarray) -> bool:
    """Does the share of treated offers depend on the state?"""
    overall = treated.mean()
    n, yes = (np.bincount(state, w, STATES) for w in (None, treated))
    sd = np.sqrt(overall * (1 - overall) / np.maximum(n, 1))
    depends = (n > 0) & (np.abs(yes / np.maximum(n, 1) - overall) > DEPENDS * sd)
    return bool(depends.any())
