"""The shop as a gymnasium environment; needs the extra `environment`."""

from __future__ import annotations

from simulator.environment.shop_env import REWARDS, ShopEnv

__all__ = ["REWARDS", "ShopEnv"]
