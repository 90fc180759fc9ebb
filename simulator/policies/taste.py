"""An oracle: it knows every shopper's taste, which no shop does. A ceiling, not a competitor."""

from __future__ import annotations

import numpy as np

from simulator.world.policy import Policy, Shop, Truth


class Taste(Policy):
    """Ranks items by how likely each shopper is to click on them and to buy them, on all pages.

    The liking of categories and of the favourite brand counts on the front page; on a result page
    all items are of the category that was asked for. What the shopper is looking for today is not
    known.
    """

    oracle = True

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the items that are most likely to be bought."""
        truth = _truth(shop)
        category = shop.catalogue.category
        utility = self.user_features(shop, users) @ self.item_features(shop).T
        utility += truth.category_logit[users][:, category]
        favourite = truth.favourite_brand[users][:, category // 2] == shop.catalogue.brand
        return shop.best(utility + truth.brand_loyalty * favourite, users)

    def user_features(self, shop: Shop, users: np.ndarray) -> np.ndarray:
        """Return taste, weighted price sensitivity and the weights of quality and appeal."""
        truth = _truth(shop)
        price = -truth.price_weight * truth.price_sensitivity[users, None]
        weights = np.array([truth.quality_weight, truth.appeal_weight], dtype=np.float32)
        common = np.broadcast_to(weights, (len(users), 2))
        return np.concatenate([truth.taste[users], price, common], axis=1)

    def item_features(self, shop: Shop) -> np.ndarray:
        """Return style, log price above the category's mean, quality and appeal."""
        truth = _truth(shop)
        return np.column_stack([truth.style, truth.log_price, truth.quality, truth.appeal])

    @staticmethod
    def score(user: np.ndarray, item: np.ndarray) -> float:
        """Return the log-odds of an item within its category."""
        utility = 0.0
        for k in range(len(user)):
            utility += user[k] * item[k]
        return utility


def _truth(shop: Shop) -> Truth:
    assert shop.truth is not None  # the shop shows it to oracles
    return shop.truth
