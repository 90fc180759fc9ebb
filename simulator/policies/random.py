"""Items by chance: what pages are worth that know nothing."""

from __future__ import annotations

import numpy as np

from simulator.world.policy import Policy, Shop

MULTIPLIERS = 1 << 12  # orders that a result page may have; a user gets one of them a day


class Random(Policy):
    """Fills front pages with random items, and puts result pages in random order."""

    def learn(self, shop: Shop, rng: np.random.Generator) -> None:
        """Draw the numbers of the day that the order of result pages is made of."""
        drawn = rng.integers(1, MULTIPLIERS, (shop.n_users, 1))
        self.of_users = drawn.astype(np.float32)
        self.of_items = rng.random((shop.n_items, 1), dtype=np.float32)

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the items of the highest random numbers."""
        return shop.best(rng.random((len(users), shop.n_items), dtype=np.float32), users)

    def user_features(self, shop: Shop, users: np.ndarray) -> np.ndarray:
        """Return the multiplier of each user's random numbers."""
        return self.of_users[users]

    def item_features(self, shop: Shop) -> np.ndarray:
        """Return a random number of each item."""
        return self.of_items

    @staticmethod
    def score(user: np.ndarray, item: np.ndarray) -> float:
        """Return a random number of the user and the item: the fraction of a product."""
        return float(user[0]) * float(item[0]) % 1.0
