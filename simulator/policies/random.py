"""Items by chance: what a front page is worth that knows nothing."""

from __future__ import annotations

import numpy as np

from simulator.world.policy import Policy, Shop


class Random(Policy):
    """Fills each front page with random items."""

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the items of the highest random numbers."""
        return shop.best(rng.random((len(users), shop.n_items), dtype=np.float32), users)
