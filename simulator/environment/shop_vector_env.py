"""ShopVectorEnv: every shopper of one shop is an environment.

Example::

    envs = ShopVectorEnv(num_envs=500, days=30)
    observations, infos = envs.reset(seed=1)
    actions = np.tile(np.arange(envs.slate), (envs.num_envs, 1))
    observations, rewards, terminations, truncations, infos = envs.step(actions)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from simulator.environment.shop_env import ShopEnv, observed
from simulator.world.policy import Catalogue

Observations = dict[str, np.ndarray]


class ShopVectorEnv(VectorEnv[Observations, np.ndarray, np.ndarray]):
    """The shop of `ShopEnv`, with a front page, an observation and a reward for each shopper.

    A single action is a page (slate,); a single observation is `recent` (10,) and `popularity`
    (items,), which is the same for all and not to be written to. The reward is what the shopper did
    that day; `infos` has what that of `ShopEnv` has.

    All episodes are truncated together, on the last day. The step after that ignores its actions
    and opens a new shop (`AutoresetMode.NEXT_STEP`).

    Args:
        num_envs: number of shoppers.
        **shop: of `ShopEnv`, apart from `users`.
    """

    def __init__(self, num_envs: int = 200, **shop: Any) -> None:
        self.env = ShopEnv(users=num_envs, **shop)
        self.metadata = {**ShopEnv.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.num_envs, self.slate, self.items = num_envs, self.env.slate, self.env.items
        self.single_action_space = spaces.MultiDiscrete(np.full(self.slate, self.items))
        self.single_observation_space = spaces.Dict(observed(self.items))
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._is_over = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Open a shop with new items and new shoppers, and play the days of the warm-up."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._is_over = False
        return self._by_user(observation), info

    def step(
        self, actions: np.ndarray
    ) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Show the pages of `actions` (num_envs, slate) for a day; after the last, open a new shop.

        Raises InputError where the actions are not in the action space.
        """
        n = self.num_envs
        no = np.zeros(n, dtype=bool)
        if self._is_over:
            observations, _ = self.reset()
            return observations, np.zeros(n), no, no, {}
        observation, _, _, self._is_over, info = self.env.step(actions)
        rewards = info[self.env.reward].astype(np.float64)
        infos = {**info, **{f"_{name}": np.ones(n, dtype=bool) for name in info}}
        return self._by_user(observation), rewards, no, no | self._is_over, infos

    @property
    def catalogue(self) -> Catalogue:
        """What the shop knows of its items."""
        return self.env.catalogue

    def _by_user(self, observation: Observations) -> Observations:
        shape = (self.num_envs, self.items)
        return {
            "recent": observation["recent"],
            "popularity": np.broadcast_to(observation["popularity"], shape),
        }
