"""Pages and slates: which items the shop shows, in which order, under which policy and with which propensity.

All slates that are live at a time form one table of shape (n_slates, slate), so that showing a page is one gather.
A page exists in several variants, most ranked by the shop's scores plus Gumbel noise (a Plackett-Luce draw), a
known share in random order; a shopper gets a variant at random, which makes each slate's propensity known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scenario import Scenario
from .world import World

POLICIES = ("search", "listing", "trending", "similar", "complement", "explore")
SEARCH, LISTING, TRENDING, SIMILAR, COMPLEMENT, EXPLORE = range(len(POLICIES))
PAGES = 3        # pages deep that a result list goes
ITEM_VARIANTS = 4  # variants of the slates beside an item


@dataclass(frozen=True)
class Slates:
    """The slates of one refresh period. Rows: result pages, then trending, then similar, then complements."""

    items: np.ndarray      # (n_slates, slate) int32, -1 = empty place
    policy: np.ndarray     # (n_slates,) int8 index into POLICIES
    variants: int
    n_queries: int
    n_items: int

    def result(self, query: np.ndarray, variant: np.ndarray, page: np.ndarray) -> np.ndarray:
        """(n,) rows of result pages; `page` counts from 0 and stays on the last."""
        return (query * self.variants + variant) * PAGES + np.minimum(page, PAGES - 1)

    def trending(self, variant: np.ndarray) -> np.ndarray:
        """(n,) rows of what the front page shows."""
        return self.n_queries * self.variants * PAGES + variant

    def similar(self, item: np.ndarray, variant: np.ndarray) -> np.ndarray:
        """(n,) rows of what stands beside an item."""
        return (self.n_queries * PAGES + 1) * self.variants + item * ITEM_VARIANTS + variant % ITEM_VARIANTS

    def complement(self, item: np.ndarray, variant: np.ndarray) -> np.ndarray:
        """(n,) rows of what goes with an item."""
        return self.similar(item, variant) + self.n_items * ITEM_VARIANTS


class Recommender:
    """Draws the slates; the same for every shard, period after period."""

    def __init__(self, scenario: Scenario, world: World, seed: np.random.SeedSequence) -> None:
        self.scenario, self.world, self.seed = scenario, world, seed
        slate = scenario.sessions.slate
        rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 0)))
        self.beside, self.beside_policy = self._item_slates(rng, slate)

    def slates(self, day: int) -> Slates:
        """The slates live on `day`."""
        setting, world = self.scenario.recommender, self.world
        period = day // setting.refresh_days
        rng = np.random.default_rng(np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, 1, period)))
        slate, variants = self.scenario.sessions.slate, setting.variants
        explored = np.arange(variants) < round(setting.explore * variants)

        pool = world.query_pool
        score = np.where(pool >= 0, (world.appeal + 0.3 * world.quality)[pool], -np.inf)
        results = _ranked(pool, score, variants, explored, setting.noise, slate * PAGES, rng)      # (queries, variants, slate * PAGES)
        everything = np.arange(world.n_items, dtype=np.int32)[None]
        trending = _ranked(everything, (1.6 * world.appeal)[None], variants, explored, setting.noise, slate, rng)  # (1, variants, slate)
        items = np.concatenate([results.reshape(-1, slate), trending.reshape(-1, slate), self.beside])
        searched = np.broadcast_to(np.where(explored, EXPLORE, SEARCH)[None, :, None], (len(pool), variants, PAGES)).ravel()
        policy = np.concatenate([searched, np.where(explored, EXPLORE, TRENDING), self.beside_policy]).astype(np.int8)
        return Slates(items=items, policy=policy, variants=variants, n_queries=len(pool), n_items=world.n_items)

    def _item_slates(self, rng: np.random.Generator, slate: int) -> tuple[np.ndarray, np.ndarray]:
        """(2 * n_items * ITEM_VARIANTS, slate): similar items of each item, then complements from the partner category."""
        world, noise = self.world, self.scenario.recommender.noise
        similar = np.full((world.n_items, ITEM_VARIANTS, slate), -1, dtype=np.int32)
        complement = np.full((world.n_items, ITEM_VARIANTS, slate), -1, dtype=np.int32)
        none = np.zeros(ITEM_VARIANTS, dtype=bool)
        members = [np.flatnonzero(world.category == c).astype(np.int32) for c in range(world.n_categories)]
        for c, mine in enumerate(members):
            for found, table in ((mine, similar), (members[world.partner[c]], complement)):
                closeness = (
                    2.0 * world.style[mine] @ world.style[found].T
                    - 1.5 * np.abs(world.price_z[mine][:, None] - world.price_z[found][None])
                    + 1.0 * (world.brand[mine][:, None] == world.brand[found][None]) + 0.6 * world.appeal[found][None]
                )
                closeness[mine[:, None] == found[None]] = -np.inf
                pool = np.broadcast_to(found, closeness.shape)
                table[mine] = _ranked(pool, closeness, ITEM_VARIANTS, none, 0.7 * noise, slate, rng)
        policy = np.repeat(np.array([SIMILAR, COMPLEMENT], dtype=np.int8), world.n_items * ITEM_VARIANTS)
        return np.concatenate([similar.reshape(-1, slate), complement.reshape(-1, slate)]), policy


def _ranked(pool: np.ndarray, score: np.ndarray, variants: int, explored: np.ndarray, noise: float, length: int,
            rng: np.random.Generator) -> np.ndarray:
    """(n, variants, length) items of each row of `pool` by noisy score (or in random order where `explored`), padded with -1."""
    gumbel = rng.gumbel(size=(len(pool), variants, pool.shape[1])).astype(np.float32)
    base = np.where(explored[None, :, None] & np.isfinite(score)[:, None], 0.0, score[:, None])
    noisy = base + np.where(explored, 1.0, noise)[None, :, None] * gumbel
    take = min(length, pool.shape[1])
    order = np.argsort(-noisy, axis=2, kind="stable")[:, :, :take]
    found = np.take_along_axis(np.broadcast_to(pool[:, None], noisy.shape), order, axis=2)
    found = np.where(np.isfinite(np.take_along_axis(noisy, order, axis=2)), found, -1)
    out = np.full((len(pool), variants, length), -1, dtype=np.int32)
    out[:, :, :take] = found
    return out
