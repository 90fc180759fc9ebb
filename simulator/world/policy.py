"""Policy: who sees which items on the front page, and how result pages are ordered.

A policy is a Python file that defines one subclass. Every night `learn` may look at the log, and
`slates` fills the front page of the users who come that day::

    class Mine(Policy):
        def slates(self, shop, users, rng):
            scores = rng.random((len(users), shop.n_items))
            return shop.best(scores, users)

A policy that also gives features and a `score` ranks the result pages of searches and categories
for each user. `score` takes one user's and one item's features and is compiled, because it runs
inside the sessions::

        def user_features(self, shop, users): ...    # (n, k) float32
        def item_features(self, shop): ...           # (n_items, m) float32

        @staticmethod
        def score(user, item):                       # (k,), (m,) -> a number, higher comes first
            return user[0] * item[0]

A policy knows what a shop knows: its catalogue, today's prices and stock, and the rows that its
shoppers left until the night. Each shard of the population is a region with a policy of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

LAST = 10  # items viewed last that `Shop.last_items` keeps for each user
HISTORY_DECAY = np.float32(0.8)


@dataclass(frozen=True)
class Catalogue:
    """The items as a shop knows them; an item is its index. All (n_items,)."""

    category: np.ndarray  # int32
    brand: np.ndarray  # int32
    price: np.ndarray  # float32, today's
    sold: np.ndarray  # bool, whether the item is in the shop yet
    in_stock: np.ndarray  # bool, whether it can be bought today


@dataclass(frozen=True)
class Rows:
    """The log until the night: rows as they were written, those of a session together. All (n,)."""

    user: np.ndarray  # int32
    session: np.ndarray  # int32
    event: np.ndarray  # int8, see `simulator.event_codes`
    item: np.ndarray  # int32, -1 = none
    time: np.ndarray  # float64, seconds since the first day
    price: np.ndarray  # float32, NaN = none
    order: np.ndarray  # int32, -1 = none


@dataclass(frozen=True)
class Truth:
    """What no shop knows of its shoppers and items, for policies that are oracles."""

    taste: np.ndarray  # (n_users, n_styles) float32
    price_sensitivity: np.ndarray  # (n_users,) float32
    # (n_users, n_categories) float32, log liking of each category
    category_logit: np.ndarray
    # (n_users, n_pairs) int32 favourite brand in each pair of categories, -1 = none
    favourite_brand: np.ndarray
    style: np.ndarray  # (n_items, n_styles) float32
    log_price: np.ndarray  # (n_items,) float32, above the mean of the category
    quality: np.ndarray  # (n_items,) float32
    appeal: np.ndarray  # (n_items,) float32
    brand_loyalty: float  # utility of the favourite brand
    # What a unit of each adds to the log-odds that an item on a page is bought, relative to a unit
    # of taste: price sensitivity times log price (it takes away), quality, appeal.
    price_weight: float
    quality_weight: float
    appeal_weight: float


@dataclass(frozen=True)
class Shop:
    """The shop on the eve of a day, as a policy sees it. Arrays are not to be written to."""

    day: int  # the day that begins, from 0
    slate: int  # places on a page
    n_users: int
    catalogue: Catalogue
    rows: Rows
    recent: np.ndarray  # (n_users, LAST) int32, see `last_items`
    # (n_items,) float64: views, carts (each as 2) and purchases (as 3), decayed, with those of the
    # time before the log
    interest: np.ndarray
    truth: Truth | None  # None unless the policy is an oracle

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.catalogue.category)

    def last_items(self, users: np.ndarray) -> np.ndarray:
        """Return (n, LAST) int32 items that each user viewed last, newest first, -1 = none."""
        return self.recent[users]

    def history(self, users: np.ndarray) -> Any:
        """Return the items that each user viewed last as a sparse (n, n_items) float32 matrix.

        The last item counts 1, each one before it HISTORY_DECAY times as much as the next.
        """
        from scipy import sparse

        row, back = np.nonzero(self.recent[users] >= 0)
        item, weight = self.recent[users][row, back], HISTORY_DECAY ** back.astype(np.float32)
        return sparse.csr_matrix((weight, (row, item)), shape=(len(users), self.n_items))

    def popularity(self) -> np.ndarray:
        """Return (n_items,) float32 interest as a share of the greatest."""
        return (self.interest / max(self.interest.max(), 1.0)).astype(np.float32)

    def best(
        self, scores: np.ndarray, users: np.ndarray | None = None, *, repeats: bool = False
    ) -> np.ndarray:
        """Return (n, slate) int32 items by descending score, -1 where no item is left.

        Items that are not for sale yet or out of stock are left out, and unless `repeats` also
        those that a user viewed last. Equal scores are put in the order of the items.

        Args:
            scores: (n, n_items) or, the same for all, (n_items,); -inf = never.
            users: (n,) whose scores they are; needed where repeats are left out.
            repeats: keep items that the user viewed last.

        Raises ValueError where a score is NaN.
        """
        n = len(scores) if users is None else len(users)
        scores = np.broadcast_to(scores, (n, self.n_items)).astype(np.float32)
        if np.isnan(scores).any():
            raise ValueError("the scores given to shop.best hold NaN; -inf = never")
        scores[:, ~(self.catalogue.sold & self.catalogue.in_stock)] = -np.inf
        if users is not None and not repeats:
            viewed = self.last_items(users)
            row, place = np.nonzero(viewed >= 0)
            scores[row, viewed[row, place]] = -np.inf
        return best_items(scores, self.slate)


class Policy(ABC):
    """What fills the front page of each user, and perhaps orders the result pages."""

    # Whether the policy sees `Shop.truth`. Its sales are a ceiling and no result.
    oracle: ClassVar[bool] = False
    # A function of one user's and one item's features, or None: result pages stay the shop's own.
    score: ClassVar[Any] = None

    def learn(self, shop: Shop, rng: np.random.Generator) -> None:  # noqa: B027 - a hook
        """Learn from the shop's log; called once a night, before `slates`."""

    @abstractmethod
    def slates(self, shop: Shop, users: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
        """Return (n, shop.slate) integer items, the top of the page first, -1 = an empty place.

        Called for the users (n,) who come on the day, a batch at a time. None: they get the shop's
        own front page.
        """

    def user_features(self, shop: Shop, users: np.ndarray) -> np.ndarray:
        """Return (n, k) float32: what `score` gets of each user."""
        raise NotImplementedError(f"{type(self).__name__} has a score and no user_features.")

    def item_features(self, shop: Shop) -> np.ndarray:
        """Return (n_items, m) float32: what `score` gets of each item."""
        raise NotImplementedError(f"{type(self).__name__} has a score and no item_features.")


@dataclass(frozen=True)
class PolicyUse:
    """A policy at work in a shard, from day `first_day` on."""

    policy: Policy | None  # None: all pages are those of the shop's own recommender
    name: str  # for messages
    first_day: int
    rng: np.random.Generator  # what the policy draws from


NO_POLICY = PolicyUse(None, "none", 0, np.random.default_rng(0))


def best_items(scores: np.ndarray, k: int) -> np.ndarray:
    """Return (n, k) int32 columns of the highest scores (n, m), -1 for those of -inf.

    Equal scores are put in the order of the columns.
    """
    n, m = scores.shape
    rows, found = np.arange(n)[:, None], np.full((n, k), -1, dtype=np.int32)
    kept = min(k, m)
    # All scores above the k-th, and of those equal to it the first columns.
    border = np.partition(scores, m - kept, axis=1)[:, m - kept, None]
    key = np.where(scores > border, 2, np.where(scores == border, 1, 0)).astype(np.int8)
    chosen = np.sort(np.argsort(-key, axis=1, kind="stable")[:, :kept], axis=1)
    order = np.argsort(-scores[rows, chosen], axis=1, kind="stable")
    chosen = chosen[rows, order]
    found[:, :kept] = np.where(scores[rows, chosen] > -np.inf, chosen, -1)
    return found
