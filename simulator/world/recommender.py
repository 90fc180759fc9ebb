"""Pages and slates: which items the shop shows, in which order, and with which propensity.

The recommender knows what a shop knows: the catalogue, and the rows that its shoppers leave. Every
night it learns the day's views, carts and purchases, and ranks the result pages and the front page
anew; the slates beside the items are rebuilt a part a night. On the first day it knows a history
like that of an older shop. A shard is a region with a recommender of its own, so shards need not
wait for each other.

All slates that are live at a time form one table of shape (n_slates, slate), so showing a page is
one gather. A page exists in several variants that are ranked by the learnt scores plus Gumbel noise
(a Plackett-Luce draw), and in as many in random order. Whether a shopper gets one of these, and
which variant, is drawn whenever a page is shown, so the probability with which an item is shown at
a place is known: see `propensity`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.counter_rng import child
from simulator.scenario import Scenario
from simulator.world.catalogue import World
from simulator.world.propensity import place_probabilities
from simulator.world.ranking import (
    count_interest,
    nearest,
    nearness,
    rank_beside,
    rank_pools,
)

# What filled a page: the shop's own rankings, chance, or a policy of `simulator.policies`.
POLICIES = ("search", "trending", "similar", "complement", "explore", "policy")
SEARCH, TRENDING, SIMILAR, COMPLEMENT, EXPLORE, POLICY = range(len(POLICIES))
PAGES = 3  # pages deep that a result list goes
ITEM_VARIANTS = 4  # variants of the slates beside an item
# items that may be shown beside an item: those nearest in brand and price, and the most popular
NEIGHBOURS = 32
HISTORY = 20.0  # mean interest per item that the shop has on record when the log begins
FEW = 2.0  # interest that every item has from the start
RESULT, TREND = 0.35, 1.3  # weight of popularity on a result page and on the front page
BESIDE_NOISE = 0.7  # sd of the noise in the slates beside an item, of that on other pages


@dataclass(frozen=True)
class Slates:
    """The slates of a day. Rows: result pages, front page, similar items, complements."""

    items: np.ndarray  # (n_slates, slate) int32, -1 = empty place
    policy: np.ndarray  # (n_slates,) int8 index into POLICIES
    # (n_queries + 1,) int32 items that each query finds and that are for sale; all of them
    found: np.ndarray
    variants: int  # of result pages and the front page, those in random order included
    ranked: int  # of them, the first ones, which are ranked by score
    n_queries: int

    def result(self, query: np.ndarray, variant: np.ndarray, page: np.ndarray) -> np.ndarray:
        """Return (n,) rows of result pages; `page` counts from 0 and stays on the last."""
        return (query * self.variants + variant) * PAGES + np.minimum(page, PAGES - 1)

    def lists(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return query, anchor and page of the slates `row` (n,), (n,) each.

        The query of a result page, otherwise -1; the item beside which a slate is shown, otherwise
        -1; the page of the result list, from 0.
        """
        front = self.n_queries * self.variants * PAGES
        beside = front + self.variants
        n_items = (len(self.items) - beside) // (2 * ITEM_VARIANTS)
        query = np.where(row < front, row // (self.variants * PAGES), -1)
        anchor = np.where(row >= beside, (row - beside) // ITEM_VARIANTS % n_items, -1)
        return query, anchor, np.where(row < front, row % PAGES, 0)


class Recommender:
    """Learns from the rows of a shard and draws its slates, day after day."""

    def __init__(self, scenario: Scenario, world: World, seed: np.random.SeedSequence) -> None:
        self.scenario, self.world = scenario, world
        rng = np.random.default_rng(seed)
        self.key = np.uint64(rng.integers(0, 2**64, dtype=np.uint64))
        # draws of the rankings' noise, picked by key
        self.gumbel = rng.gumbel(size=1 << 16).astype(np.float32)
        attractiveness = np.where(
            world.launched == 0, np.exp(world.on_day(0).appeal.astype(np.float64)), 0.0
        )
        # views, decayed
        self.interest = rng.poisson(
            HISTORY * world.n_items * attractiveness / attractiveness.sum()
        ).astype(np.float64)
        self.beside, self.closeness = _neighbours(world, np.log(self.interest + FEW))
        # times that a shopper went from one to the other, decayed
        self.together = np.zeros(self.beside.shape, dtype=np.float32)

        slate, ranked, n = (
            scenario.sessions.slate,
            scenario.recommender.variants,
            len(world.query_pool),
        )
        self.ranked = ranked
        self.explored = np.arange(2 * ranked) >= ranked
        variants = len(self.explored)
        self.places = np.full(
            ((n * PAGES + 1) * variants + len(self.beside) * ITEM_VARIANTS, slate),
            -1,
            dtype=np.int32,
        )
        # `places` are those of the items in the pools that they were ranked from
        self.items = self.places.copy()
        policy = [
            np.tile(np.repeat(np.where(self.explored, EXPLORE, SEARCH), PAGES), n),
            np.where(self.explored, EXPLORE, TRENDING),
            np.repeat([SIMILAR, COMPLEMENT], world.n_items * ITEM_VARIANTS),
        ]
        self.policy = np.concatenate(policy).astype(np.int8)
        self.score = np.zeros(world.n_items, dtype=np.float32)  # as of the last night
        self.ranked_on: int | None = None  # day of the last night
        # (2 n_items, NEIGHBOURS) of the items beside each, as of when they were ranked last
        self.near = np.full(self.beside.shape, -np.inf, dtype=np.float32)

    def learn(self, rows: np.ndarray) -> None:
        """Learn from a day's rows: (n,) event_buffer.EVENT, those of a session together."""
        kept = 0.5 ** (1.0 / self.scenario.recommender.memory_days)
        self.interest *= kept
        self.together *= np.float32(kept)
        count_interest(rows, self.interest, self.together, self.beside)

    def slates(self, day: int) -> Slates:
        """Return the slates live on `day`; those of the day before are overwritten."""
        setting, world = self.scenario.recommender, self.world
        # nobody could view it yet: it starts as an average item
        self.interest[world.launched == day] += self.interest.mean() * (day > 0)
        score = np.where(world.launched <= day, np.log(self.interest + FEW), -np.inf).astype(
            np.float32
        )
        n, variants, slate = (
            len(world.query_pool),
            len(self.explored),
            self.scenario.sessions.slate,
        )
        period = day // setting.refresh_days
        fronts, besides = n * variants * PAGES, (n * PAGES + 1) * variants  # where they begin

        def part(first: int, last: int | None, *shape: int) -> list[np.ndarray]:
            return [whole[first:last].reshape(shape) for whole in (self.items, self.places)]

        everything = np.arange(world.n_items, dtype=np.int32)[None]
        for kind, pools, weight, lists in (
            (0, world.query_pool, RESULT, part(0, fronts, n, variants, PAGES * slate)),
            (1, everything, TREND, part(fronts, besides, 1, variants, slate)),
        ):
            items, places = lists
            key, scores = self._stream(kind, period), weight * score
            rank_pools(
                items,
                places,
                pools,
                scores,
                self.explored,
                self._renewed(pools, day),
                setting.noise,
                key,
                self.gumbel,
            )
        items, places = part(besides, None, len(self.beside), ITEM_VARIANTS, slate)
        rebuilt = np.arange(
            day % setting.refresh_days if day else 0, len(items), setting.refresh_days if day else 1
        )
        noise = BESIDE_NOISE * setting.noise
        near = nearness(rebuilt, self.beside, self.closeness, self.together, score)
        rank_beside(
            items, places, rebuilt, self.beside, near, noise, self._stream(2, 0), self.gumbel
        )
        self.score, self.near[rebuilt], self.ranked_on = score, near, day
        sold = np.append(world.launched <= day, False)  # the last place is for empty ones
        return Slates(
            items=self.items,
            policy=self.policy,
            found=np.append(sold[world.query_pool].sum(axis=1), sold.sum()).astype(np.int32),
            variants=variants,
            ranked=self.ranked,
            n_queries=n,
        )

    def propensities(self, row: np.ndarray) -> np.ndarray:
        """Return (n, slate) float32: the probability with which each item stands at its place.

        `row` (n,): of the slates of the last night, of any variant. NaN at an empty place.
        """
        setting, n = self.scenario.recommender, len(self.world.query_pool)
        variants, slate = len(self.explored), self.items.shape[1]
        front = n * variants * PAGES
        beside = front + variants
        found = np.full((len(row), slate), np.nan, dtype=np.float32)
        # The list that a row is of: a query, the front page, or an item with what is beside it.
        of = np.where(row < front, row // (variants * PAGES), n)
        of = np.where(row < beside, of, n + 1 + (row - beside) // ITEM_VARIANTS)
        begin = np.where(row < front, row % PAGES, 0) * slate
        order = np.argsort(of, kind="stable")
        for mine in np.split(order, np.flatnonzero(np.diff(of[order])) + 1):
            if not len(mine):
                continue
            which, length = int(of[mine[0]]), int(begin[mine].max()) + slate
            if which > n:
                chance = place_probabilities(
                    self.near[which - n - 1], BESIDE_NOISE * setting.noise, length
                )
            else:
                pool = self.world.query_pool[which] if which < n else np.arange(len(self.score))
                weight = RESULT if which < n else TREND
                score = np.where(pool >= 0, weight * self.score[pool], -np.inf)
                chance = place_probabilities(score.astype(np.float32), setting.noise, length)
                by_chance = 1.0 / max(int((score > -np.inf).sum()), 1)
                chance = setting.explore * by_chance + (1.0 - setting.explore) * chance
            place = self.places[row[mine]]
            stated = chance[place, begin[mine, None] + np.arange(slate)]
            found[mine] = np.where(place >= 0, stated, np.nan)
        return found

    def _renewed(self, pools: np.ndarray, day: int) -> np.ndarray:
        """(n,) bool: whether each pool (n, widest) has another random order than the last night.

        It follows from the draws of the period and from what is for sale.
        """
        last, length = self.ranked_on, self.scenario.recommender.refresh_days
        if last is None or day <= last or day // length != last // length:
            return np.ones(len(pools), dtype=bool)
        launched = self.world.launched
        new = np.append((last < launched) & (launched <= day), False)
        return new[pools].any(axis=1)  # type: ignore[no-any-return]

    def _stream(self, kind: int, period: int) -> np.uint64:
        """The key of a ranking's noise."""
        return np.uint64(child(np.uint64(child(self.key, kind)), period))


def _neighbours(world: World, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2 n_items, NEIGHBOURS) int32 items that may be shown beside each item, and their closeness.

    The first n_items rows are of an item's own category, the others of the category that
    complements it. -1 = none. The closeness follows from the catalogue alone.
    """
    order = np.lexsort((world.log_price, world.category)).astype(np.int32)
    position = np.empty(world.n_items, dtype=np.int32)
    position[order] = np.arange(world.n_items)
    first = np.searchsorted(world.category[order], np.arange(world.n_categories + 1))
    by_popularity = np.lexsort((-score, world.category)).astype(np.int32)
    reference = world.log_reference.astype(np.float64)
    mean = np.bincount(world.category, reference) / np.bincount(world.category)
    found = np.full((2 * world.n_items, NEIGHBOURS), -1, dtype=np.int32)
    closeness = np.full(found.shape, -np.inf, dtype=np.float32)
    nearest(
        found,
        closeness,
        order,
        position,
        by_popularity,
        first,
        world.category,
        world.partner,
        world.brand,
        reference - mean[world.category],
        score,
    )
    return found, closeness
