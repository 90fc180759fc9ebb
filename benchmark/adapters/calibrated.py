"""calibrated: the simulated shop, fitted to a log, as a generator among the others.

`fit` is `python -m simulator calibrate`; where the items are known, it also learns which items
users come to and after which (`label_chain`). `sample` simulates the fitted scenario over the log's
span, and gives the rows the log's event names, columns and items. Nothing more of the log is kept;
with epsilon both are differentially private and share the budget. The module is here because
generators and simulator do not import each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pandas as pd

# by its whole name: this file may also be run by its path
from benchmark.adapters.calibrated_state import check_state
from benchmark.adapters.label_chain import learn_chain, ledger_after, redraw, rounds
from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import Range
from eventlog.log import sort_events, to_ms
from eventlog.privacy.noise import DELTA_MOST, USERS_SHARE, gaussian_epsilon, mu_of
from eventlog.privacy.public_lists import ITEMS
from eventlog.schema import TIME, roles_of
from generators.base import Generator
from generators.markov.label_chain import LabelChain, Visits
from generators.privacy.accounting import NO_PROOF
from generators.privacy.counts import Tables
from generators.privacy.pairs import Facts
from generators.privacy.public import Public
from simulator.world.build import weights_by_day

if TYPE_CHECKING:
    from simulator.calibration.result import Calibration

# At most this multiple of the users is simulated, because some shoppers never come.
MAX_OVERSAMPLING = 8
# Without epsilon and without items.parquet, items that fewer users touched are not named.
MIN_ITEM_USERS = 5
ITEM_FACTS = ("category", "brand")
# Shares of what a budget allows (of the square of sensitivity over noise) for the two chains.
CHAIN_SHARES = {"categories": 0.05, "items": 0.5}
ITEM_STREAM = 7  # last number of the key of the random stream of items


def _from_first_day(settings: dict[str, Any], first: pd.Timestamp) -> dict[str, Any]:
    """Settings of a shop that opens on `first`; visits by day stay those of their dates."""
    weights = settings.get("calendar.day_weights")
    moved = settings | {"calendar.start": str(first.date())}
    if weights:
        start = pd.Timestamp(settings["calendar.start"], tz="UTC")
        ahead = max((start - first.tz_convert("UTC").floor("D")).days, 0)
        moved["calendar.day_weights"] = weights_by_day(
            np.array(weights), len(weights) + ahead, ahead
        ).tolist()
    return moved


class Calibrated(Generator):
    """A simulated shop fitted to the log, by `trials` simulations."""

    supports_epsilon: ClassVar[bool] = True

    def __init__(self, *, trials: Annotated[int, Range(1)] = 40) -> None:
        self.trials = trials

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {"trials": self.trials}

    def fit(
        self,
        log: EventLog,
        *,
        seed: int,
        epsilon: float | None = None,
        delta: float | None = None,
        public: Sequence[str] | Mapping[str, Any] = (),
        noise_seed: int | None = None,
    ) -> None:
        """See Generator.fit. Of what is declared public only the catalogue is used."""
        from simulator.calibration.calibrate import calibrate

        log = log.ordered()
        declared = Public.declared(log, public, private=epsilon is not None)
        if declared.items is not None:
            provenance = {**log.manifest.get("provenance", {}), "items": "given"}
            log = replace(
                log, items=declared.items, manifest={**log.manifest, "provenance": provenance}
            )
        used = () if declared.items is None else ("items",)
        made = calibrate(
            log,
            trials=self.trials,
            epsilon=_budget_of_shop(epsilon, delta) if epsilon and used else epsilon,
            delta=delta,
            public=used,
            seed=seed,
            noise_seed=noise_seed,
        )
        self.data_ = self._kept(log, made, private=epsilon is not None)
        self._learn_items(log, made.privacy, epsilon, noise_seed)
        if made.privacy and used:
            made.privacy["public_lists"] = {
                "items": next(v for k, v in declared.sources.items() if k in ITEMS)
            }
        self.privacy = made.privacy or {
            "proved": "none",
            "statement": NO_PROOF,
            "epsilon": None,
            "delta": None,
            "unit": "user",
            "ledger": [],
            "public": [],
        }

    def _kept(self, log: EventLog, made: Calibration, *, private: bool) -> dict[str, Any]:
        """Return what is kept of a log.

        Where it is `private` nothing is read of the log itself but its columns, its currency and
        the catalogue.
        """
        outline = made.outline
        if private:
            first, last = outline.first, outline.last + pd.Timedelta(days=1, milliseconds=-1)
        else:
            first, last = log.span
        names: dict[str, str] = {}
        for name, role in outline.events.items():
            names.setdefault(role, name)
        roles = {k: v for k, v in (log.manifest.get("roles") or {}).items() if k in outline.events}
        return {
            "settings": _from_first_day(made.settings, first),
            "days": (last.floor("D") - first.floor("D")).days + 1,
            "first": to_ms(first),
            "last": to_ms(last),
            "log_price": made.log_price,
            "names": names,
            "columns": [str(c) for c in log.events],
            "users": None if log.users is None else [str(c) for c in log.users],
            "labels": outline.kinds,
            "currency": log.manifest.get("currency"),
            "roles": roles,
            "items": self._catalogue(log, made.items, made.popularity),
            "has_items": log.items is not None,
            "distance": [made.distance_before, made.distance],
        }

    def _learn_items(
        self,
        log: EventLog,
        privacy: dict[str, Any] | None,
        epsilon: float | None,
        noise_seed: int | None,
    ) -> None:
        """Learn the chains of categories and of items; `privacy` gains what they cost."""
        self.chains_: dict[str, LabelChain] = {}
        if self.data_["items"] is None:
            return
        item, user = pd.Index(self.data_["items"]["item_id"]), log.events["user_id"].cat
        codes = user.codes.to_numpy(dtype=np.int64)
        there = item.get_indexer(log.events["item_id"].astype(str))
        of = _categories(self.data_["items"])
        category = np.where(there >= 0, of[there], -1)
        seen = {
            "categories": (Visits.of(codes, category), _groups(self.data_["items"]), Facts()),
            "items": (Visits.of(codes, there), of, _facts(log, item)),
        }
        tables = None
        if epsilon is not None:
            assert privacy is not None
            ledger = ledger_after(privacy, epsilon, noise_seed)
            asked = [rounds(what, share) for what, share in CHAIN_SHARES.items()]
            weights = {name: share for each in asked for name, share in each.items()}
            tables = Tables(ledger, weights, n_users=len(user.categories))
        self.chains_ = {what: learn_chain(*learnt, tables, what) for what, learnt in seen.items()}
        if tables is not None and privacy is not None:
            privacy |= {
                "epsilon": epsilon,
                "epsilon_spent": round(ledger.spent(), 6),
                "ledger": ledger.entries,
                "statement": privacy["statement"].replace(
                    f"({privacy['epsilon']:g}, ", f"({epsilon:g}, ", 1
                ),
            }

    @staticmethod
    def _catalogue(
        log: EventLog, items: np.ndarray | None, popularity: np.ndarray | None
    ) -> dict[str, list[Any]] | None:
        """Return the log's items, most popular first, with category and brand.

        None where they must not be known.
        """
        if items is None or popularity is None:
            return None
        frame = pd.DataFrame({"item_id": items, "popularity": popularity})
        known = log.items if log.items is not None else log.events
        if log.items is None:
            users = (
                log.events.drop_duplicates(["user_id", "item_id"])["item_id"]
                .astype(str)
                .value_counts()
            )
            frame = frame[frame["item_id"].map(users).fillna(0) >= MIN_ITEM_USERS]
        facts = (
            known[["item_id", *(c for c in ITEM_FACTS if c in known)]]
            .dropna(subset="item_id")
            .astype(str)
            .drop_duplicates("item_id")
        )
        frame = frame.merge(facts, on="item_id", how="left").sort_values(
            ["popularity", "item_id"], ascending=[False, True]
        )
        return (
            {str(c): frame[c].tolist() for c in frame if c != "popularity"} if len(frame) else None
        )

    def sample(
        self,
        users: int,
        *,
        seed: int,
        where: Mapping[str, str] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> EventLog:
        """See Generator.sample. There are no conditions: edit the calibrated scenario instead."""
        import simulator

        if where or rates:
            raise InputError(
                "The generator 'calibrated' samples under no conditions; edit the scenario of "
                "'simulator calibrate' instead."
            )
        if users < 1:
            raise InputError(f"users is {users}; it must be 1 or more.")
        data, shoppers = self.data_, math.ceil(users * 1.3)
        while True:
            made = simulator.simulate(
                "shop", users=shoppers, days=data["days"], seed=seed, settings=data["settings"]
            )
            kept = self._rows(made)
            there = np.unique(made.events["user_id"].astype(str).to_numpy()[kept])
            if len(there) >= users or shoppers >= MAX_OVERSAMPLING * users:
                break
            more = math.ceil(shoppers * 1.2 * users / max(len(there), 1))
            shoppers = min(more, MAX_OVERSAMPLING * users)
        there = there[:users]  # ids are random, so the first are a fair draw
        kept &= made.events["user_id"].astype(str).isin(there).to_numpy()
        events = self._converted(
            made, made.events[kept], np.random.default_rng([seed, ITEM_STREAM])
        )
        old = events["event_id"].to_numpy()
        labels = made.labels
        if labels is not None:
            labels = labels[
                labels["event_id"].isin(old) & labels["kind"].astype(str).isin(data["labels"])
            ].reset_index(drop=True)
            labels["event_id"] = pd.Index(old).get_indexer(labels["event_id"])
        people = None
        if data["users"] is not None and made.users is not None:
            people = made.users[made.users["user_id"].astype(str).isin(there)].reset_index(
                drop=True
            )
            people = people[[c for c in people if c in data["users"]]]
        return EventLog(
            events=events.assign(event_id=np.arange(len(events), dtype=np.int64)),
            users=people,
            items=self._items(made),
            labels=labels if data["labels"] else None,
            manifest={
                "made_by": "generator calibrated",
                "currency": data["currency"],
                "roles": data["roles"] or {},
                "privacy": self.privacy,
            },
        )

    def _rows(self, made: EventLog) -> np.ndarray:
        """Return (n,) bool: rows of kinds that the log has, within its span."""
        time = made.events["timestamp"].astype(TIME).astype("int64").to_numpy()
        return (
            np.isin(made.role(), list(self.data_["names"]))
            & (time >= self.data_["first"])
            & (time <= self.data_["last"])
        )

    def _converted(
        self, made: EventLog, events: pd.DataFrame, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Return the rows with the log's event names, price level, items and columns.

        They are sorted by user and time.
        """
        data = self.data_
        names = {
            str(n): data["names"].get(r, str(n))
            for n, r in roles_of(events["event"].cat.categories.astype(str)).items()
        }
        events = events.assign(event=events["event"].astype(str).map(names).astype("category"))
        bought = events["event"].astype(str) == data["names"].get("purchase")
        if math.isfinite(data["log_price"]) and bought.any():
            level = float(np.log(events.loc[bought & (events["price"] > 0), "price"]).mean())
            events["price"] = (
                (events["price"] * math.exp(data["log_price"] - level)).round(2).astype(np.float32)
            )
        if data["items"] is not None:
            table = pd.DataFrame(data["items"])
            place = self._places(made, events, rng)
            for column in table:
                events[column] = pd.Categorical(
                    np.array([*table[column], None], dtype=object)[place]
                )
        events = events[[c for c in data["columns"] if c in events]]
        return sort_events(events).reset_index(drop=True)

    def _places(self, made: EventLog, events: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """Return the (n,) row of the catalogue for each row's simulated item, -1 = none.

        A user's simulated categories become categories of the log, and their items items of those.
        """
        assert made.items is not None
        item = pd.Index(made.items["item_id"].astype(str)).get_indexer(
            events["item_id"].astype(str)
        )
        user = events["user_id"].astype("category").cat.codes.to_numpy(dtype=np.int64)
        rows = np.flatnonzero(item >= 0)
        user, item = user[rows], item[rows]
        simulated = pd.factorize(made.items["category"].astype(str))[0][item]
        category = redraw(self.chains_["categories"], user, simulated, np.zeros_like(user), rng)
        place = np.full(len(events), -1)
        place[rows] = redraw(self.chains_["items"], user, item, category, rng)
        return place

    def _items(self, made: EventLog) -> pd.DataFrame | None:
        """Return the catalogue, if the log came with one."""
        if not self.data_["has_items"]:
            return None
        return made.items if self.data_["items"] is None else pd.DataFrame(self.data_["items"])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        arrays = {"none": np.zeros(1, dtype=np.float32)}
        for what, chain in self.chains_.items():
            arrays |= chain.state(what)
        return arrays, self.data_

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        check_state(arrays, data)
        self.data_, self.chains_ = data, {}
        if data["items"] is not None:
            groups = {"categories": _groups(data["items"]), "items": _categories(data["items"])}
            self.chains_ = {
                what: LabelChain.restored(arrays, what, group) for what, group in groups.items()
            }


def _categories(items: Mapping[str, list[Any]]) -> np.ndarray:
    """Return the code of each item's category, (n_items,) int64; one for all without categories."""
    if "category" not in items:
        return np.zeros(len(items["item_id"]), dtype=np.int64)
    codes = pd.factorize(pd.Series(items["category"]).astype(str), sort=True)[0]
    return codes.astype(np.int64)


def _groups(items: Mapping[str, list[Any]]) -> np.ndarray:
    """Return the group of each category, (n_categories,) int64: all categories are one group."""
    return np.zeros(int(_categories(items).max()) + 1, dtype=np.int64)


def _facts(log: EventLog, items: pd.Index) -> Facts:
    """Return what the catalogue that came with the log says of `items`: brand and price."""
    if log.items is None:
        return Facts()
    of = log.items.assign(item_id=log.items["item_id"].astype(str)).drop_duplicates("item_id")
    of = of.set_index("item_id").reindex(items)
    brand = [1 + pd.factorize(of["brand"])[0].astype(np.int64)] if "brand" in of else []
    price = [of["price"].to_numpy(dtype=np.float64, na_value=np.nan)] if "price" in of else []
    return Facts(texts=brand, numbers=price)


def _budget_of_shop(epsilon: float, delta: float | None) -> float:
    """Return the epsilon for the scenario that leaves CHAIN_SHARES of the budget."""
    at = DELTA_MOST if delta is None else delta
    mu = mu_of(epsilon * (1 - USERS_SHARE), at) * math.sqrt(1 - sum(CHAIN_SHARES.values()))
    return gaussian_epsilon(mu, at) / (1 - USERS_SHARE)
