"""calibrated: the simulated shop, fitted to a log, as a generator among the others.

`fit` is `python -m simulator calibrate`. `sample` simulates the fitted scenario over the log's
span, and gives the rows the log's event names, columns and, where they are known, items. Nothing
more of the log is kept, which with epsilon is one differentially private release. The module is
here because generators and simulator do not import each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd

# by its whole name: this file may also be run by its path
from benchmark.adapters.calibrated_state import check_state
from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import Range
from eventlog.log import sort_events, to_ms
from eventlog.privacy.public_lists import ITEMS
from eventlog.schema import TIME, roles_of
from generators.base import Generator
from generators.privacy.accounting import NO_PROOF
from generators.privacy.public import Public
from simulator.world.catalogue import weights_by_day

# At most this multiple of the users is simulated, because some shoppers never come.
MAX_OVERSAMPLING = 8
# Without epsilon and without items.parquet, items that fewer users touched are not named.
MIN_ITEM_USERS = 5
ITEM_FACTS = ("category", "brand")


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
            epsilon=epsilon,
            delta=delta,
            public=used,
            seed=seed,
            noise_seed=noise_seed,
        )
        outline = made.outline
        if epsilon is None:
            first, last = log.span
        # of the log itself nothing is read from here on but its columns, its currency and the
        # catalogue
        else:
            first, last = outline.first, outline.last + pd.Timedelta(days=1, milliseconds=-1)
        names: dict[str, str] = {}
        for name, role in outline.events.items():
            names.setdefault(role, name)
        roles = {k: v for k, v in (log.manifest.get("roles") or {}).items() if k in outline.events}
        self.data_: dict[str, Any] = {
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
        events = self._converted(made, made.events[kept])
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

    def _converted(self, made: EventLog, events: pd.DataFrame) -> pd.DataFrame:
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
            place = self._places(made, events, table)
            for column in table:
                events[column] = pd.Categorical(
                    np.array([*table[column], None], dtype=object)[place]
                )
        events = events[[c for c in data["columns"] if c in events]]
        return sort_events(events).reset_index(drop=True)

    @staticmethod
    def _places(made: EventLog, events: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
        """Return the (n,) row of `table` for each row's simulated item, -1 = none.

        Categories are paired by size, and within them items by popularity, so that similar items
        stay together.
        """
        assert made.items is not None
        code = pd.Index(made.items["item_id"].astype(str)).get_indexer(
            events["item_id"].astype(str)
        )
        count = np.bincount(code[code >= 0], minlength=len(made.items))
        theirs = (
            table["category"].astype(str).to_numpy()
            if "category" in table
            else np.zeros(len(table), dtype=object)
        )
        ours = (
            made.items["category"].astype(str).to_numpy()
            if "category" in table
            else np.zeros(len(count), dtype=object)
        )
        # the catalogue's categories, largest first
        big = pd.Series(theirs).value_counts(sort=True).index
        mine = (
            pd.Series(count).groupby(ours).sum().sort_values(ascending=False, kind="stable").index
        )
        place = np.full(len(count) + 1, -1)
        for rank, name in enumerate(mine):
            members = np.flatnonzero(ours == name)
            members = members[np.argsort(-count[members], kind="stable")]
            # Most popular first, as the table is.
            partners = np.flatnonzero(theirs == big[rank % len(big)])
            place[members] = partners[np.arange(len(members)) * len(partners) // len(members)]
        return place[code]

    def _items(self, made: EventLog) -> pd.DataFrame | None:
        """Return the catalogue, if the log came with one."""
        if not self.data_["has_items"]:
            return None
        return made.items if self.data_["items"] is None else pd.DataFrame(self.data_["items"])

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        return {"none": np.zeros(1, dtype=np.float32)}, self.data_

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        check_state(arrays, data)
        self.data_ = data
