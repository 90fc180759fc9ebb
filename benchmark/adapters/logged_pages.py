"""What the front pages of a log say about a policy that did not fill them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmark.evaluation.off_policy import ClickModel, LoggedPages, estimate, examination
from eventlog import EventLog
from simulator.output import shards
from simulator.output.task import item_ids, user_ids
from simulator.scenario import Scenario

NDCG_PLACES = 10


class Codes:
    """Users and items of a log as the simulator numbers them."""

    def __init__(self, scenario: Scenario, *, users: int, days: int, seed: int) -> None:
        todo = shards.tasks(scenario, users=users, days=days, seed=seed)
        self.shard_users = [task.users for task in todo]  # users of the shards follow one another
        self.n_items = scenario.catalogue.items
        self.users = pd.Index(pa.concat_arrays([user_ids(task) for task in todo]).to_pylist())
        self.items = pd.Index(item_ids(seed, self.n_items).to_pylist())

    def user(self, column: pd.Series) -> np.ndarray:
        """Return (n,) the number of each user."""
        return self._codes(self.users, column)

    def item(self, column: pd.Series) -> np.ndarray:
        """Return (n,) the number of each item."""
        return self._codes(self.items, column)

    @staticmethod
    def _codes(known: pd.Index, column: pd.Series) -> np.ndarray:
        place = known.get_indexer(column.cat.categories)
        return place[column.cat.codes.to_numpy()]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class FrontPages:
    """The front pages of a log. Arrays are (pages,)."""

    day: np.ndarray
    user: np.ndarray
    in_random_order: np.ndarray
    shown: LoggedPages


class Slates:
    """The slates that a policy would have shown, to be found by day and user.

    Args:
        shards: of each shard of the shop: days, users (n,) of the shard, and their slates.
        codes: of the shop.
    """

    def __init__(
        self, shards: Sequence[Sequence[tuple[int, np.ndarray, np.ndarray]]], codes: Codes
    ) -> None:
        first = np.cumsum([0, *codes.shard_users])
        told = [
            (np.full(len(users), day), users + offset, slates)
            for offset, shard in zip(first, shards, strict=False)
            for day, users, slates in shard
        ]
        self.empty = not told
        if self.empty:
            return
        day, user, self.items = (np.concatenate(part) for part in zip(*told, strict=True))
        order = np.lexsort((user, day))
        self.items, self.key = self.items[order], self._key(day, user)[order]

    @staticmethod
    def _key(day: np.ndarray, user: np.ndarray) -> np.ndarray:
        return day.astype(np.int64) * 2**32 + user

    def find(self, day: np.ndarray, user: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where (n,) days and users have a slate, (n,) bool, and its row for those."""
        key = self._key(day, user)
        place = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        found = self.key[place] == key
        return found, place[found]


def is_front(shown: pd.DataFrame) -> pd.Series:
    """Return which exposures are of a front page."""
    return shown["query"].isna() & shown["anchor"].isna()


def midnight(log: EventLog) -> pd.Timestamp:
    """Return when the first day of a simulated log begins."""
    return pd.Timestamp(log.manifest["scenario"]["calendar"]["start"], tz="UTC")


def front_pages(log: EventLog, codes: Codes) -> FrontPages:
    """Return the front pages of a log that keeps exposures."""
    shown = log.truth["exposures"]
    front = shown[is_front(shown)]
    page = np.cumsum(np.append(True, np.diff(front["exposure_id"].to_numpy()) != 0)) - 1
    at = page, front["rank"].to_numpy()
    first = np.flatnonzero(np.append(True, np.diff(page) != 0))

    def grid(values: np.ndarray, empty: float) -> np.ndarray:
        full = np.full((page[-1] + 1, int(at[1].max()) + 1), empty, dtype=values.dtype)
        full[at] = values
        return full

    clicked = grid(front["event_id"].fillna(np.inf).to_numpy(dtype=np.float64), np.inf)
    earliest = clicked.min(axis=1, keepdims=True)  # event ids ascend with time
    return FrontPages(
        day=_day(front["timestamp"], log)[first],
        user=codes.user(front["user_id"])[first],
        in_random_order=(front["policy"] == "explore").to_numpy()[first],
        shown=LoggedPages(
            item=grid(codes.item(front["item_id"]), -1),
            propensity=grid(front["propensity"].to_numpy(dtype=np.float64), 1.0),
            click=np.where((clicked == earliest) & np.isfinite(clicked), 1.0, 0.0),
        ),
    )


def predicted(log: EventLog, slates: Slates, codes: Codes, first_day: int) -> dict[str, float]:
    """Return what a log says about the slates of a policy that did not fill its pages.

    ndcg: at NDCG_PLACES, of each slate, of the items that its user viewed that day. ips, snips, dr,
    choice: estimates of the share of front pages that are clicked; see `off_policy`. What they need
    to know of clicks in general is learnt from the days before `first_day`, on which there are no
    slates.
    """
    if slates.empty:
        return dict.fromkeys(("ndcg", "ips", "snips", "dr", "choice"), float("nan"))
    pages = front_pages(log, codes)
    asked, row = slates.find(pages.day, pages.user)
    before = pages.day < first_day
    found = estimate(
        pages.shown.take(asked),
        slates.items[row],
        ClickModel(pages.shown.take(before), codes.n_items),
        examination(pages.shown.take(before & pages.in_random_order)),
    )
    viewed = log.events[log.events["event"] == "view_item"]
    ndcg = _ndcg(
        slates,
        _day(viewed["timestamp"], log),
        codes.user(viewed["user_id"]),
        codes.item(viewed["item_id"]),
    )
    return {
        "ndcg": ndcg,
        "ips": found.ips,
        "snips": found.snips,
        "dr": found.dr,
        "choice": found.choice,
    }


def _day(times: pd.Series, log: EventLog) -> np.ndarray:
    return ((times - midnight(log)) // pd.Timedelta(days=1)).to_numpy(dtype=np.int64)


def _ndcg(slates: Slates, day: np.ndarray, user: np.ndarray, item: np.ndarray) -> float:
    """Mean NDCG of the slates whose users viewed something on the day; `item` (n,) was viewed."""
    found, row = slates.find(day, user)
    pair = np.unique(np.column_stack([row, item[found]]), axis=0)
    if len(pair) == 0:
        return 0.0
    top = slates.items[:, :NDCG_PLACES]
    discount = 1 / np.log2(np.arange(top.shape[1]) + 2)
    hit = top[pair[:, 0]] == pair[:, 1, None]
    gain = np.bincount(pair[:, 0], (hit * discount).sum(axis=1))
    count = np.bincount(pair[:, 0])
    best = np.append(0.0, np.cumsum(discount))[np.minimum(count, len(discount))]
    asked = count > 0
    return float((gain[asked] / best[asked]).mean())
