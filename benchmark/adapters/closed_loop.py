"""Run the shop under a policy, and ask what a log of the shop without it had predicted.

Two worlds have the same seed. In both the shop's own recommender is at work for the first days, so
they are the same until then. In one of them a policy takes over, in the other it only says what it
would have shown. Draws are keyed by shopper, visit and decision, so the worlds differ only by what
the policy causes: common random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmark.adapters.baseline_policy import FittedOnce
from benchmark.evaluation.off_policy import ClickModel, LoggedPages, estimate
from eventlog import EventLog
from eventlog._runtime import plugins
from simulator import simulate
from simulator.output import shards
from simulator.output.task import POLICIES, item_ids, user_ids
from simulator.scenario import load
from simulator.world.policy import Policy, Shop

DAY_MS = 86_400_000


class Shadow(Policy):
    """Asks another policy and writes its slates down, and leaves the pages to the shop."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.oracle = policy, policy.oracle  # type: ignore[misc]
        self.wanted: list[tuple[int, np.ndarray, np.ndarray]] = []  # day, users, slates

    def learn(self, shop: Shop, rng: np.random.Generator) -> None:
        """Let the other policy learn."""
        self.policy.learn(shop, rng)

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> None:
        """Write the slates down."""
        slates = self.policy.slates(shop, users, rng)
        if slates is not None:
            self.wanted.append((shop.day, users, np.asarray(slates)))


@dataclass(frozen=True)
class World:
    """The worlds of a closed-loop cell."""

    scenario: str
    users: int
    learn_days: int
    run_days: int
    seed: int
    settings: Mapping[str, Any]


def play(
    world: World, name: str, *, built_in: bool, model_settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return what a policy earned, what the shop earned without it, and what was predicted.

    Args:
        world: the shop.
        name: of a policy in `simulator.policies` or, unless `built_in`, of a next-item model.
        built_in: see `name`.
        model_settings: of the model.
    """
    make: Callable[[], Policy] = (
        plugins.load(POLICIES, name, Policy, kind="policy")
        if built_in
        else FittedOnce(name, model_settings, seed=world.seed).policy
    )
    shadow = Shadow(make())
    without = _simulated(world, lambda: shadow)
    with_policy = _simulated(world, make)
    found = {
        **outcome(with_policy, world.learn_days),
        **{f"own_{k}": v for k, v in outcome(without, world.learn_days).items()},
    }
    return {**found, **predicted(without, shadow, world)}


def _simulated(world: World, policy: Callable[[], Policy]) -> EventLog:
    return simulate(
        world.scenario,
        users=world.users,
        days=world.learn_days + world.run_days,
        seed=world.seed,
        settings={**world.settings, "truth.exposures": True},
        policy=policy,
        policy_from=world.learn_days,
    )


def outcome(log: EventLog, first_day: int) -> dict[str, float]:
    """Return what honest shoppers did from `first_day` on.

    orders, revenue; retention, the share of the customers of that day who are not gone at the end;
    clicks, those on a front page per front page.
    """
    events, users, shown = log.events, log.truth["users"], log.truth["exposures"]
    start = _midnight(log) + pd.Timedelta(days=first_day)
    honest = log.truth["events"]["fraud"].isna().to_numpy()
    bought = events[
        (events["event"] == "purchase").to_numpy() & honest & (events["timestamp"] >= start)
    ]
    died = users["died"].dt.tz_convert("UTC")
    customers = (users["born"] < start) & ~(died < start)
    front = shown[_is_front(shown) & (shown["timestamp"] >= start)]
    return {
        "orders": float(bought["order_id"].nunique()),
        "revenue": float((bought["price"] * bought["quantity"]).sum()),
        "retention": float(died[customers].isna().mean()),
        "clicks": float(front["clicked"].sum() / max(front["exposure_id"].nunique(), 1)),
    }


def predicted(log: EventLog, shadow: Shadow, world: World) -> dict[str, float]:
    """Return what the log without the policy says about it.

    ndcg: of each slate, of the items that its user viewed that day. ips, snips, dr: estimates of
    the clicks per front page, the click model of the last from the days before.
    """
    ids = _Codes(world)
    shown = log.truth["exposures"]
    front = shown[_is_front(shown)]
    day = ids.day(front["timestamp"], log)
    item, user = ids.item(front["item_id"]), ids.user(front["user_id"])
    page = np.cumsum(np.append(True, np.diff(front["exposure_id"].to_numpy()) != 0)) - 1
    slate = int(front["rank"].max()) + 1
    at = page, front["rank"].to_numpy()
    first = np.flatnonzero(np.append(True, np.diff(page) != 0))

    def grid(values: np.ndarray, empty: float) -> np.ndarray:
        full = np.full((page[-1] + 1, slate), empty, dtype=values.dtype)
        full[at] = values
        return full

    pages = LoggedPages(
        grid(item, -1),
        grid(front["propensity"].to_numpy(dtype=np.float64), 1.0),
        grid(front["clicked"].to_numpy(dtype=np.float64), 0.0),
    )
    wanted, ndcg = _Wanted(shadow, slate), float("nan")
    if not wanted.rows:
        return {"ndcg": ndcg, "ips": ndcg, "snips": ndcg, "dr": ndcg}
    asked, row = wanted.find(day[first], user[first])
    before = day[first] < world.learn_days
    model = ClickModel(_pick(pages, before), ids.n_items)
    found = estimate(_pick(pages, asked), wanted.slates[row], model)
    viewed = log.events[log.events["event"] == "view_item"]
    ndcg = _ndcg(
        wanted,
        ids.day(viewed["timestamp"], log),
        ids.user(viewed["user_id"]),
        ids.item(viewed["item_id"]),
    )
    return {"ndcg": ndcg, "ips": found.ips, "snips": found.snips, "dr": found.dr}


class _Codes:
    """Users and items of a log as the simulator numbers them."""

    def __init__(self, world: World) -> None:
        days = world.learn_days + world.run_days
        scenario = load(world.scenario, world.settings)
        todo = shards.tasks(scenario, users=world.users, days=days, seed=world.seed)
        # Where there are several shards, their users follow one another.
        users = pa.concat_arrays([user_ids(task) for task in todo])
        self.n_items = scenario.catalogue.items
        self.users = pd.Index(users.to_pylist())
        self.items = pd.Index(item_ids(world.seed, self.n_items).to_pylist())

    def user(self, column: pd.Series) -> np.ndarray:
        return self._codes(self.users, column)

    def item(self, column: pd.Series) -> np.ndarray:
        return self._codes(self.items, column)

    @staticmethod
    def day(times: pd.Series, log: EventLog) -> np.ndarray:
        since = times - _midnight(log)
        return (since // pd.Timedelta(days=1)).to_numpy(dtype=np.int64)

    @staticmethod
    def _codes(known: pd.Index, column: pd.Series) -> np.ndarray:
        place = known.get_indexer(column.cat.categories)
        return place[column.cat.codes.to_numpy()]  # type: ignore[no-any-return]


class _Wanted:
    """The slates that a policy would have shown, to be found by day and user."""

    def __init__(self, shadow: Shadow, slate: int) -> None:
        self.rows = len(shadow.wanted)
        if not self.rows:
            return
        day = np.concatenate([np.full(len(users), day) for day, users, _ in shadow.wanted])
        user = np.concatenate([users for _, users, _ in shadow.wanted])
        self.slates = np.concatenate([slates for *_, slates in shadow.wanted])[:, :slate]
        order = np.lexsort((user, day))
        self.key = self._key(day[order], user[order])
        self.slates = self.slates[order]

    @staticmethod
    def _key(day: np.ndarray, user: np.ndarray) -> np.ndarray:
        return day.astype(np.int64) * 2**32 + user

    def find(self, day: np.ndarray, user: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where (n,) days and users have a slate, (n,) bool, and its row for those."""
        key = self._key(day, user)
        place = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        found = self.key[place] == key
        return found, place[found]


def _ndcg(wanted: _Wanted, day: np.ndarray, user: np.ndarray, item: np.ndarray) -> float:
    """Mean NDCG of the slates whose users viewed something on the day; `item` (n,) was viewed."""
    found, row = wanted.find(day, user)
    pair = np.unique(np.column_stack([row, item[found]]), axis=0)
    if len(pair) == 0:
        return 0.0
    place = np.arange(wanted.slates.shape[1])
    discount = 1 / np.log2(place + 2)
    hit = wanted.slates[pair[:, 0]] == pair[:, 1, None]
    gain = np.bincount(pair[:, 0], (hit * discount).sum(axis=1))
    count = np.bincount(pair[:, 0])
    best = np.append(0.0, np.cumsum(discount))[np.minimum(count, len(place))]
    asked = count > 0
    return float((gain[asked] / best[asked]).mean())


def _pick(pages: LoggedPages, rows: np.ndarray) -> LoggedPages:
    return LoggedPages(pages.item[rows], pages.propensity[rows], pages.reward[rows])


def _is_front(shown: pd.DataFrame) -> pd.Series:
    return shown["query"].isna() & shown["anchor"].isna()


def _midnight(log: EventLog) -> pd.Timestamp:
    return pd.Timestamp(log.manifest["scenario"]["calendar"]["start"], tz="UTC")
