"""ShopEnv: every step is a day, every action the front pages of all users.

The shoppers are those of every simulated log; what fills their front pages is the action.

Example::

    env = ShopEnv(users=500, days=30)
    observation, info = env.reset(seed=1)
    action = np.tile(np.arange(env.slate), (env.users, 1))
    observation, reward, terminated, truncated, info = env.step(action)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from eventlog._runtime.errors import InputError, UnknownNameError
from simulator import event_codes
from simulator.engine import Engine
from simulator.scenario import load
from simulator.world.build import build
from simulator.world.policy import LAST, Catalogue, Policy, PolicyUse, Shop
from simulator.world.recommender import POLICY, Recommender

REWARDS = ("clicks", "orders", "revenue")


def observed(items: int, *users: int) -> dict[str, spaces.Space[Any]]:
    """Return the parts of an observation, of one shopper or of as many `users`."""
    return {
        "recent": spaces.Box(-1, items - 1, (*users, LAST), np.int32),
        "popularity": spaces.Box(0.0, 1.0, (items,), np.float32),
    }


class _Given(Policy):
    """Shows what it was given."""

    def __init__(self) -> None:
        self.pages = np.zeros((0, 0), dtype=np.int64)  # (n_users, slate)

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the pages of the users; empty places for items that are shown already or not sold.

        An action space cannot say that the items of a page must differ.
        """
        pages = self.pages[users]
        order = np.argsort(pages, axis=1, kind="stable")
        ordered = np.take_along_axis(pages, order, axis=1)
        again = np.zeros(pages.shape, dtype=bool)
        np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        return np.where(again | ~shop.catalogue.sold[pages], -1, pages)


class ShopEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """A shop whose front pages an agent fills, for all users at once.

    Action: (users, slate) items, the top of each page first. An item that stands on a page twice,
    or is not for sale yet, leaves its place empty.

    Observation: `recent` (users, 10) the items that each user viewed last, newest first, -1 = none;
    `popularity` (items,) decayed interest in each item, as a share of the greatest.

    Reward: what honest shoppers did that day, summed: clicks on front pages, orders, or revenue.
    `info` has each by user, (users,); `shown`, how often each user saw the front page, (users,);
    and `clicked` (users, slate), the clicks on each place of it.

    An episode is truncated on its last day; it never terminates. A share `recommender.explore` of
    the front pages stays in random order; it is no part of `shown` and `clicked`.

    Args:
        scenario: a name that `python -m simulator scenarios` lists, or a TOML file.
        users: number of shoppers.
        days: steps of an episode.
        warm_up: days before the first step, on which the shop's own recommender fills the pages.
        reward: one of REWARDS.
        settings: changes of the scenario by dotted key.

    Raises InputError for a wrong scenario, setting or number.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as gymnasium declares it

    def __init__(
        self,
        scenario: str = "small",
        *,
        users: int = 200,
        days: int = 30,
        warm_up: int = 10,
        reward: str = "orders",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if reward not in REWARDS:
            raise UnknownNameError("reward", reward, REWARDS)
        for name, value, least in (("users", users, 1), ("days", days, 1), ("warm_up", warm_up, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(f"{name} is {value!r}; it must be a whole number from {least}.")
        # the warm-up is its burn-in
        fixed = {"truth.exposures": True, "calendar.burn_in": 0}
        self.scenario = load(scenario, {**(settings or {}), **fixed})
        self.users, self.days, self.warm_up, self.reward = users, days, warm_up, reward
        self.slate, self.items = self.scenario.sessions.slate, self.scenario.catalogue.items
        self.action_space = spaces.MultiDiscrete(np.full((users, self.slate), self.items))
        self.observation_space: spaces.Space[Any] = spaces.Dict(observed(self.items, users))
        self._day = warm_up + days  # as after an episode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Open a shop with new items and new shoppers, and play the days of the warm-up."""
        super().reset(seed=seed)
        shop, pages, people = np.random.SeedSequence(int(self.np_random.integers(2**63))).spawn(3)
        self._given = _Given()
        world = build(self.scenario, days=self.warm_up + self.days, seed=shop)
        self.engine = Engine(
            self.scenario,
            world,
            Recommender(self.scenario, world, pages),
            self.users,
            np.random.default_rng(people),
            PolicyUse(self._given, "the action", self.warm_up, self.np_random),
        )
        self.engine.start()
        self._day = self.warm_up
        self.engine.play_until(self._day)
        return self._observation(), {}

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Show the pages of `action` for a day.

        Raises InputError where the action is not in the action space, ResetNeeded where no episode
        has begun and after its last day.
        """
        if self._day >= self.warm_up + self.days:
            raise ResetNeeded("No episode has begun, or the last one is over; call reset first.")
        pages = np.asarray(action)
        fits = pages.shape == (self.users, self.slate) and pages.dtype.kind in "iu"
        if not fits or pages.min() < 0 or pages.max() >= self.items:
            raise InputError(
                f"The action must be {self.users} x {self.slate} integers from 0 to "
                f"{self.items - 1}, one row per user; got {pages.dtype} {pages.shape}."
            )
        self._given.pages = pages
        browser = self.engine.browser
        before = browser.events.n, browser.pages.n
        self._day += 1
        self.engine.play_until(self._day)
        info = self._outcome(*before)
        truncated = self._day >= self.warm_up + self.days
        return self._observation(), float(info[self.reward].sum()), False, truncated, info

    @property
    def catalogue(self) -> Catalogue:
        """What the shop knows of its items."""
        return self.engine.policy.catalogue(min(self._day, self.engine.world.days - 1))

    def _observation(self) -> dict[str, np.ndarray]:
        interest = self.engine.recommender.interest
        popularity = (interest / max(interest.max(), 1.0)).astype(np.float32)
        return {"recent": self.engine.policy.remembered(), "popularity": popularity}

    def _outcome(self, event: int, page: int) -> dict[str, np.ndarray]:
        """What the rows from `event` and the pages from `page` on say, by user."""
        browser = self.engine.browser
        rows, sessions = browser.events.written[event:], browser.sessions.written
        honest = sessions["typology"][rows["session"]] < 0
        bought = rows[honest & (rows["event"] == event_codes.PURCHASE)]
        buyer = sessions["user"][bought["session"]]
        first = np.unique(bought["order"], return_index=True)[1]
        shown = browser.pages.written[page:]
        shown = shown[(shown["policy"] == POLICY) & (sessions["typology"][shown["session"]] < 0)]
        viewer = sessions["user"][shown["session"]]
        clicked = np.zeros((self.users, self.slate), dtype=np.int64)
        np.add.at(clicked, viewer, shown["event"] >= 0)
        return {
            "clicks": clicked.sum(axis=1),
            "orders": np.bincount(buyer[first], minlength=self.users),
            "revenue": np.bincount(
                buyer, weights=bought["price"] * bought["quantity"], minlength=self.users
            ),
            "shown": np.bincount(viewer, minlength=self.users),
            "clicked": clicked,
        }
