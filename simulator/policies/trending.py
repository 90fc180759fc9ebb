"""What everybody looks at: the same most popular items for all."""

from __future__ import annotations

import numpy as np

from simulator.world.policy import Policy, Shop


class Trending(Policy):
    """Fills each front page with the items of the most interest lately."""

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the most popular items, without those that the user viewed last."""
        return shop.best(shop.interest, users)
