"""What others viewed next: transitions between items, applied to the items viewed last."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator import event_codes
from simulator.world.policy import Policy, Shop

BACKOFF = 1e-3  # weight of popularity, for those without a past


class Markov(Policy):
    """Adds up the transitions from the items that the user viewed last."""

    def __init__(self) -> None:
        self.counted = 0  # rows of the log that are in the counts
        self.counts: Any = None  # sparse (n_items, n_items) float32
        self.shares: Any = None  # its rows, divided by their sums
        self.before = np.zeros(0, dtype=np.int32)  # item viewed last by each user

    def learn(self, shop: Shop, rng: np.random.Generator) -> None:
        """Count the transitions of the rows that are new."""
        from scipy import sparse

        shape = (shop.n_items, shop.n_items)
        if self.counts is None:
            self.counts = sparse.csr_matrix(shape, dtype=np.float32)
            self.before = np.full(shop.n_users, -1, dtype=np.int32)
        source, target = self._transitions(shop)
        ones = np.ones(len(source), dtype=np.float32)
        self.counts = self.counts + sparse.csr_matrix((ones, (source, target)), shape=shape)
        total = np.asarray(self.counts.sum(axis=1)).ravel()
        self.shares = sparse.diags(1 / np.maximum(total, 1.0)).astype(np.float32) @ self.counts

    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the items that most often followed those viewed last."""
        scores = (shop.history(users) @ self.shares).toarray()
        return shop.best(scores + BACKOFF * shop.popularity(), users)

    def _transitions(self, shop: Shop) -> tuple[np.ndarray, np.ndarray]:
        """(n,) item and (n,) the next item of the same user, over the rows since the last call."""
        new = slice(self.counted, len(shop.rows.user))
        viewed = shop.rows.event[new] == event_codes.VIEW_ITEM
        user, item = shop.rows.user[new][viewed], shop.rows.item[new][viewed]
        order = np.argsort(user, kind="stable")
        user, item = user[order], item[order]
        change = user[1:] != user[:-1]
        first, last = np.append(True, change)[: len(user)], np.append(change, True)[: len(user)]
        earlier = np.where(first, self.before[user], np.append(-1, item[:-1])[: len(item)])
        self.before[user[last]] = item[last]
        self.counted = new.stop
        known = (earlier >= 0) & (earlier != item)
        return earlier[known], item[known]
