"""EASE: ridge regression of each item on all others in closed form (Steck, WWW 2019)."""

from __future__ import annotations

import numpy as np

from simulator import event_codes
from simulator.world.policy import Policy, Shop

REFIT_DAYS = 7  # nights from one fit to the next, which inverts a matrix
MAX_ITEMS = 4_000  # the most viewed, which take part
PENALTY = 200.0
BACKOFF = 1e-4  # weight of popularity, for those without a past


class Ease(Policy):
    """Predicts the items of a user from those viewed last, by a linear model of all users."""

    def __init__(self) -> None:
        self.items = np.zeros(0, dtype=np.int64)  # (m,) those that take part
        self.weights = np.zeros((0, 0), dtype=np.float32)  # (m, m)
        self.fitted_on = -REFIT_DAYS

    def learn(self, shop: Shop, rng: np.random.Generator) -> None:
        """Fit the weights I - P / diag(P), where P inverts the Gram matrix plus a ridge."""
        from scipy import sparse

        if shop.day - self.fitted_on < REFIT_DAYS:
            return
        viewed = shop.rows.event == event_codes.VIEW_ITEM
        pair = shop.rows.user[viewed].astype(np.int64) * shop.n_items + shop.rows.item[viewed]
        user, item = np.divmod(np.unique(pair), shop.n_items)
        views = np.bincount(item, minlength=shop.n_items)
        self.items = np.sort(np.argsort(-views, kind="stable")[:MAX_ITEMS])
        ones = np.ones(len(user), dtype=np.float32)
        shape = (shop.n_users, shop.n_items)
        taken = sparse.csr_matrix((ones, (user, item)), shape=shape)[:, self.items]
        gram = (taken.T @ taken).toarray()
        gram[np.diag_indices_from(gram)] += PENALTY
        inverse = np.linalg.inv(gram)
        self.weights = -inverse / np.diag(inverse)
        np.fill_diagonal(self.weights, 0.0)
        self.fitted_on = shop.day

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the items of the highest predictions."""
        scores = np.tile(BACKOFF * shop.popularity(), (len(users), 1))
        scores[:, self.items] += shop.history(users)[:, self.items] @ self.weights
        return shop.best(scores, users)
