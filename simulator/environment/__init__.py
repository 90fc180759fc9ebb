"""The shop as gymnasium environments; needs the extra `environment`.

`gymnasium.make("shoptwin/Shop-v0")` and `gymnasium.make_vec("shoptwin/Shop-v0", num_envs=500,
vectorization_mode="vector_entry_point")` make them too, once this is imported.
"""

from __future__ import annotations

import gymnasium

from simulator.environment.shop_env import REWARDS, ShopEnv
from simulator.environment.shop_vector_env import ShopVectorEnv

__all__ = ["REWARDS", "ShopEnv", "ShopVectorEnv"]

gymnasium.register(
    "shoptwin/Shop-v0",
    entry_point="simulator.environment:ShopEnv",
    vector_entry_point="simulator.environment:ShopVectorEnv",
)
