"""Run the shop under a policy, and ask what its log had predicted before the policy took over.

The shop's own recommender is at work for the first days, from which the policy learns. On the days
of the trial it only says what it would show: what is predicted from them is `logged_pages`. Then it
fills the pages. Draws are keyed by shopper, visit and decision, so worlds of one seed are the same
until the policies take over, and differ by what these cause from there on: common random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmark.adapters.baseline_policy import ShopModel
from benchmark.adapters.logged_pages import Codes, Slates, is_front, midnight, predicted
from eventlog import EventLog
from eventlog._runtime import plugins
from simulator import simulate
from simulator.output.task import POLICIES
from simulator.scenario import load
from simulator.world.policy import Policy, Shop

RETENTION_DAYS = 7


class Trial(Policy):
    """Asks another policy, keeps its slates to itself, and shows them from a day on."""

    def __init__(self, policy: Policy, live: int) -> None:
        self.policy, self.live = policy, live
        self.oracle = policy.oracle  # type: ignore[misc]
        self.asked = False
        self.slates_by_day: list[tuple[int, np.ndarray, np.ndarray]] = []  # day, users, slates

    def learn(self, shop: Shop, rng: np.random.Generator) -> None:
        """Let the other policy learn."""
        self.asked = True
        self.score = self.policy.score if shop.day >= self.live else None  # type: ignore[misc]
        self.policy.learn(shop, rng)

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """Return the slates, before `live` None: the pages are the shop's own."""
        slates = self.policy.slates(shop, users, rng)
        if shop.day >= self.live:
            return slates
        if slates is not None:
            self.slates_by_day.append((shop.day, users, np.asarray(slates)))
        return None

    def user_features(self, shop: Shop, users: np.ndarray) -> np.ndarray:
        """Return those of the other policy."""
        return self.policy.user_features(shop, users)

    def item_features(self, shop: Shop) -> np.ndarray:
        """Return those of the other policy."""
        return self.policy.item_features(shop)


@dataclass(frozen=True)
class World:
    """The shop of a closed-loop cell."""

    scenario: str
    users: int
    learn_days: int  # from which models learn
    trial_days: int  # of which the predictions are
    run_days: int  # under the policy
    seed: int
    settings: Mapping[str, Any]

    @property
    def live(self) -> int:
        """First day under the policy."""
        return self.learn_days + self.trial_days

    @property
    def days(self) -> int:
        """Days of the log."""
        return self.live + self.run_days


def play(
    world: World, name: str, *, built_in: bool, model_settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return what a policy earned, and what the days before it had predicted.

    Args:
        world: the shop.
        name: of a policy in `simulator.policies` or, unless `built_in`, of a next-item model.
        built_in: see `name`.
        model_settings: of the model.
    """
    make: Callable[[], Policy] = (
        plugins.load(POLICIES, name, Policy, kind="policy")
        if built_in
        else ShopModel(name, model_settings, seed=world.seed).policy
    )
    trials: list[Trial] = []

    def trial() -> Trial:
        trials.append(Trial(make(), world.live))
        return trials[-1]

    log = simulate(
        world.scenario,
        users=world.users,
        days=world.days,
        seed=world.seed,
        settings={**world.settings, "truth.exposures": True, "truth.programme": False},
        policy=trial,
        policy_from=world.learn_days,
    )
    scenario = load(world.scenario, world.settings)
    codes = Codes(scenario, users=world.users, days=world.days, seed=world.seed)
    # one is made only to be checked
    slates = Slates([trial.slates_by_day for trial in trials if trial.asked], codes)
    return {**outcome(log, world.live), **predicted(log, slates, codes, world.learn_days)}


def outcome(log: EventLog, first_day: int) -> dict[str, float]:
    """Return what honest shoppers did from `first_day` on.

    orders, revenue; retention, the share of the customers of that day who came in the last
    RETENTION_DAYS of the log; clicks, the share of front pages that were clicked, without those in
    random order.
    """
    events, users, shown = log.events, log.truth["users"], log.truth["exposures"]
    start = midnight(log) + pd.Timedelta(days=first_day)
    end = midnight(log) + pd.Timedelta(days=log.manifest["days"])
    honest = log.truth["events"]["fraud"].isna().to_numpy()
    bought = events[
        (events["event"] == "purchase").to_numpy() & honest & (events["timestamp"] >= start)
    ]
    late = events["timestamp"] >= end - pd.Timedelta(days=RETENTION_DAYS)
    came = events.loc[late & honest, "user_id"].astype(str).unique()
    customers = users.loc[(users["born"] < start) & ~(users["died"] < start), "user_id"]
    front = shown[is_front(shown) & (shown["timestamp"] >= start) & (shown["policy"] != "explore")]
    return {
        "orders": float(bought["order_id"].nunique()),
        "revenue": float((bought["price"] * bought["quantity"]).sum()),
        "retention": float(customers.astype(str).isin(came).mean()),
        "clicks": float(front.groupby("exposure_id")["clicked"].any().mean()),
    }
