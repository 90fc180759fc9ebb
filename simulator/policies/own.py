"""The shop's own recommender: the pages of a shop without a policy, to compare others with."""

from __future__ import annotations

import numpy as np

from simulator.world.policy import Policy, Shop


class Own(Policy):
    """Leaves all pages to the shop."""

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> None:
        """Return no slates."""
