"""The fraud oracle's evidence: what a shop has seen of each order, and the truth of the past.

What concerns earlier sessions may use their truth (the oracle's investigators have closed every
earlier case). What concerns the session itself uses only what the shop has seen by then, and
nothing that comes later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from eventlog.log import EventLog
from eventlog.schema import TIME
from simulator.fraud.fraudsters import NAMES, PAYMENT, VICTIM
from simulator.output.truth_lookup import truth_table
from simulator.truth.running_counts import Earlier, matches, pair

DAY_MS = 86_400_000
COLUMNS = (
    "user_id",
    "session_id",
    "order_id",
    "device",
    "payment_method",
    "country",
    "category",
    "brand",
    "item_id",
    "channel",
)
# Traces that a shop computes from its log alone; the others use the truth of earlier sessions.
VISIBLE = (
    "value",
    "lines",
    "above_level",
    "most_expensive",
    "level",
    "quantity",
    "discount",
    "redeemed",
    "views_of_category",
    "views_of_item",
    "views_of_brand",
    "past_category",
    "past_item",
    "past_brand",
    "carted",
    "user_category",
    "device_sessions_user",
    "device_sessions",
    "device_elsewhere",
    "user_sessions",
    "days_known",
    "days_since",
    "days_since_order",
    "away",
    "country",
    "channel",
    "seen_there",
    "hour",
    "days_since_signup",
    "views",
    "searches",
    "carts",
    "removals",
    "failed",
    "logins",
    "logins_failed",
    "address_changes",
    "views_above",
    "categories",
    "past_views_above",
    "past_views",
    "cards",
    "card_new",
    "card_first_new",
    "card_elsewhere",
    "minutes",
    "seconds_per_view",
)


@dataclass(frozen=True)
class Traces:
    """One row per order, ordered by order code."""

    table: pd.DataFrame  # float64 columns, what the oracle may know
    kind: np.ndarray  # (n_orders,) int8 index into fraud.NAMES, -1 = honest: the truth
    user: np.ndarray  # (n_orders,) int64 code
    time: np.ndarray  # (n_orders,) int64 ms
    event_id: np.ndarray  # (n_orders,) int64 of the order's first line
    resale: np.ndarray  # (n_orders,) bool: the order's category resells well
    n_resale: int  # categories that do


def traces(log: EventLog) -> Traces:
    """Return the evidence on every order of a simulated log."""
    return _Reader(log).read()


class _Reader:
    """Columns as codes, and sessions, from which the traces are computed."""

    def __init__(self, log: EventLog) -> None:
        in_session = log.events["session_id"].notna()  # mails belong to none
        self.log = log = replace(log, events=log.events[in_session])
        events = log.events
        self.code = {
            name: events[name].astype("category").cat.codes.to_numpy().astype(np.int64)
            for name in COLUMNS
        }
        self.role = np.asarray(log.role())
        self.price = np.log(np.maximum(events["price"].to_numpy(dtype=np.float64), 0.01))
        self.when = events["timestamp"].astype(TIME).astype("int64").to_numpy()
        session = self.code["session_id"]
        begins = np.append(True, session[1:] != session[:-1])[: len(session)]
        # (n_sessions,) row at which each begins; the rows of a session are contiguous
        self.first = np.flatnonzero(begins)
        self.of = np.cumsum(begins) - 1  # (n_rows,) session of each row
        self.n = len(self.first)
        self.user, self.start = self.code["user_id"][self.first], self.when[self.first]
        self.of_user = Earlier(self.user, self.start)
        truth = truth_table(log, "events").loc[in_session.to_numpy()]
        name = truth["fraud"].astype(object).to_numpy()[self.first]
        # (n_sessions,) -1 = honest
        self.kind = pd.Categorical(name, categories=list(NAMES)).codes.astype(np.int64)

    def count(self, role: str) -> np.ndarray:
        """(n_sessions,) rows of a role."""
        return np.bincount(self.of[self.role == role], minlength=self.n).astype(np.float64)

    def read(self) -> Traces:
        of_sessions = self._history() | self._place() | self._browsing() | self._cards()
        lines = self._lines()
        by_order = lines.groupby("order")
        first = by_order.first()
        orders = pd.DataFrame(
            {
                "value": np.log(by_order["money"].sum()),
                "lines": by_order.size(),
                "above_level": by_order["above"].mean(),
                "most_expensive": by_order["above"].max(),
                "level": by_order["level"].mean(),
                "quantity": by_order["quantity"].max(),
                "discount": by_order["discount"].max(),
                "views_of_category": by_order["in_category_id"].sum(),
                "views_of_item": by_order["in_item_id"].sum(),
                "views_of_brand": by_order["in_brand"].sum(),
                "past_category": by_order["past_category_id"].mean(),
                "past_item": by_order["past_item_id"].mean(),
                "past_brand": by_order["past_brand"].mean(),
                "carted": by_order["carted"].mean(),
                "user_category": first["user_category"],
            }
        )
        session = first["session"].to_numpy()
        of_their_sessions = {name: values[session] for name, values in of_sessions.items()}
        table = pd.concat([orders.reset_index(drop=True), pd.DataFrame(of_their_sessions)], axis=1)
        table["minutes"] = (first["time"].to_numpy() - self.start[session]) / 60_000
        table["seconds_per_view"] = 60 * table["minutes"] / (table["views"] + 1)
        return Traces(
            table=table.astype(np.float64),
            kind=self.kind[session].astype(np.int8),
            user=self.user[session],
            time=first["time"].to_numpy(),
            event_id=self.log.events["event_id"].to_numpy()[first["row"].to_numpy()],
            resale=first["resale"].to_numpy(),
            n_resale=self.n_resale,
        )

    def _history(self) -> dict[str, np.ndarray]:
        """Per session: what happened before on its account and on its device."""
        user, start, kind = self.user, self.start, self.kind
        device = self.code["device"][self.first]
        buys, one, honest = self.count("purchase") > 0, np.ones(self.n), kind < 0
        payment, rings = np.append(PAYMENT, False)[kind], ~honest & ~np.append(VICTIM, False)[kind]
        of_both = Earlier(pair(device, user), start)
        of_device, of_user = Earlier(device, start), self.of_user
        device_is_new = of_both.total(honest) == 0
        found = {
            "device_sessions_user": of_both.total(one),
            "device_sessions": of_device.total(one),
            "device_honest_user": of_both.total(honest),
            "device_payment": of_device.total(payment),
            "device_abuse": of_device.total(rings & ~payment),
            "device_honest_orders": of_device.total(honest & buys),
            "user_sessions": of_user.total(one),
            "user_honest": of_user.total(honest),
            "user_rings": of_user.total(rings),
            "user_payment": of_user.total(payment),
            "user_honest_orders": of_user.total(honest & buys),
            "user_devices": of_user.total(honest & device_is_new),
        }
        found["device_elsewhere"] = found["device_sessions"] - found["device_sessions_user"]
        for k, name in enumerate(NAMES):
            found[f"user_{name}"] = of_user.total(kind == k)
            found[f"device_{name}"] = of_device.total(kind == k)
        ago = pd.DataFrame({"user": user, "start": start, "ordered": np.where(buys, start, np.nan)})
        found["days_known"] = (
            start - ago.groupby("user")["start"].transform("min").to_numpy()
        ) / DAY_MS
        found["days_since"] = (
            ((start - ago.groupby("user")["start"].shift()) / DAY_MS).fillna(-1.0).to_numpy()
        )
        ago["ordered"] = ago.groupby("user")["ordered"].ffill()
        found["days_since_order"] = (
            ((start - ago.groupby("user")["ordered"].shift()) / DAY_MS).fillna(-1.0).to_numpy()
        )
        return found

    def _place(self) -> dict[str, np.ndarray]:
        """Per session: country, hour, channel, age of the account."""
        users, log = self.log.users, self.log
        assert users is not None  # a simulated log has users
        ids = log.events["user_id"].astype("category").cat.categories.astype(str)
        known = users.set_index(users["user_id"].astype(str)).reindex(ids)
        names = log.events["country"].astype("category").cat.categories.astype(str)
        home = names.get_indexer(known["country"].astype(str))
        country = self.code["country"][self.first]
        signup = known["signup"].astype(TIME).astype("int64").to_numpy()
        there = pair(self.code["device"][self.first], country)
        of_country = Earlier(pair(self.user, country), self.start)
        guilty = np.append(PAYMENT, False)[self.kind]
        return {
            "away": (home[self.user] != country).astype(np.float64),
            "country": country,
            "channel": self.code["channel"][self.first],
            "seen_there": of_country.total(np.ones(self.n)),
            "device_payment_there": Earlier(there, self.start).total(guilty),
            "user_rings_there": of_country.total(self.kind >= 0),
            "hour": self.start % DAY_MS / 3_600_000,
            "days_since_signup": (self.start - signup[self.user]) / DAY_MS,
        }

    def _browsing(self) -> dict[str, np.ndarray]:
        """Per session: what was viewed, and how expensive it was within its category.

        The account's past views are there to compare with.
        """
        items = self.log.items
        assert items is not None  # a simulated log has a catalogue
        level = (
            np.log(items["price"].astype(np.float64)).groupby(items["category"].astype(str)).mean()
        )
        names = self.log.events["category"].astype("category").cat.categories.astype(str)
        # (n_categories,) mean log price
        self.level = level.reindex(names).to_numpy()
        self.resells = self.level >= np.median(level.to_numpy())  # as Fraudsters has it
        self.n_resale = int((level >= np.median(level.to_numpy())).sum())
        self.views = np.flatnonzero(self.role == "view")
        category, of = self.code["category"][self.views], self.of[self.views]
        above = self.price[self.views] - self.level[category]
        total, views = (
            np.bincount(of, above, minlength=self.n),
            np.bincount(of, minlength=self.n).astype(np.float64),
        )
        before = self.of_user.total(views)
        self.past_views = before
        _, one_of_each = np.unique(pair(of, category), return_index=True)
        distinct = np.bincount(of[one_of_each], minlength=self.n)
        return {
            "views": views,
            "searches": self.count("search"),
            "carts": self.count("cart"),
            "removals": self.count("uncart"),
            "failed": self.count("payment_failed"),
            "logins": self.count("login"),
            "logins_failed": self.count("login_failed"),
            "address_changes": self.count("change_address"),
            "redeemed": self.count("coupon_redeem"),
            "views_above": total / np.maximum(views, 1),
            "categories": distinct.astype(np.float64),
            "past_views_above": self.of_user.total(total) / (before + 3),
            "past_views": before,
        }

    def _cards(self) -> dict[str, np.ndarray]:
        """Per session: how many cards, and who used the first, last and least known of them."""
        card, row = self.code["payment_method"], np.flatnonzero(self.code["payment_method"] >= 0)
        used = pd.DataFrame({"session": self.of[row], "card": card[row]}).drop_duplicates()
        session, code = used["session"].to_numpy(), used["card"].to_numpy()
        user, start, kind = self.user[session], self.start[session], self.kind[session]
        one = np.ones(len(code))
        of_card, of_both = Earlier(code, start), Earlier(pair(code, user), start)
        mine, all_ = of_both.total(kind < 0), of_card.total(one)
        guilty, rings = (
            np.append(PAYMENT, False)[kind],
            (kind >= 0) & ~np.append(VICTIM, False)[kind],
        )
        grouped = (
            pd.DataFrame(
                {
                    "session": session,
                    "cards": one,
                    "card_new": all_ == 0,
                    "card_mine": mine,
                    "card_least": mine,
                    "card_first": mine,
                    "card_first_new": all_ == 0,
                    "card_payment": of_card.total(guilty),
                    "card_rings": of_card.total(rings),
                    "card_elsewhere": all_ - of_both.total(one),
                }
            )
            .groupby("session")
            .agg(
                {
                    "cards": "sum",
                    "card_new": "sum",
                    "card_mine": "last",
                    "card_least": "min",
                    "card_first": "first",
                    "card_first_new": "first",
                    "card_payment": "max",
                    "card_rings": "max",
                    "card_elsewhere": "max",
                }
            )
        )
        return {
            str(k): v.to_numpy(dtype=np.float64)
            for k, v in grouped.reindex(range(self.n), fill_value=0).items()
        }

    def _lines(self) -> pd.DataFrame:
        """One row per purchase row: what it is, and how often it was viewed, now and before."""
        row = np.flatnonzero(self.role == "purchase")
        session, category = self.of[row], self.code["category"][row]
        user = self.user[session]
        above = self.price[row] - self.level[category]
        found = pd.DataFrame(
            {
                "order": self.code["order_id"][row],
                "row": row,
                "session": session,
                "time": self.when[row],
                "money": np.exp(self.price[row]),
                "above": above,
                "level": self.level[category],
                "resale": self.resells[category],
                "quantity": self.log.events["quantity"].to_numpy(dtype=np.float64)[row],
                "discount": np.nan_to_num(
                    self.log.events["discount"].to_numpy(dtype=np.float64)[row]
                ),
            }
        )
        for name, column in (
            ("category_id", "category"),
            ("item_id", "item_id"),
            ("brand", "brand"),
        ):
            value, seen = self.code[column][row], self.code[column][self.views]
            inside = matches(self.of[self.views], seen, session, value)
            found[f"in_{name}"] = inside
            found[f"past_{name}"] = matches(
                self.user[self.of[self.views]],
                seen,
                user,
                value,
                self.start[self.of[self.views]],
                self.start[session],
            )
        carted = np.flatnonzero(self.role == "cart")
        found["carted"] = np.minimum(
            matches(
                self.of[carted], self.code["item_id"][carted], session, self.code["item_id"][row]
            ),
            1,
        )
        # The account's own taste for the category: its views there, shrunk towards everybody's by
        # six views.
        share = np.bincount(self.code["category"][self.views], minlength=len(self.level)) / max(
            len(self.views), 1
        )
        found["user_category"] = (found["past_category_id"] + 6 * share[category]) / (
            self.past_views[session] + 6
        )
        return found
