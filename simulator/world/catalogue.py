"""The shop itself: its items, and their prices, stock and calendar on any day.

Common to all shoppers; `build.build` draws it. Everything random depends on (scenario, days, seed)
only, never on how many shoppers there are or which shard asks, so all shards of a population see
the same shop.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from simulator.counter_rng import normals, uniforms
from simulator.scenario import Scenario
from simulator.world import needs
from simulator.world.prices import rounded

DAY = 86_400.0  # seconds
INCIDENTS = ("checkout_bug", "viral_spike", "price_rise", "payment_outage", "late_deliveries")
TIERS = ("budget", "mid", "premium")
KNOTS_PER_ITEM = 50_021  # of an item's trend
DRAWS_PER_ITEM = 100_003  # of stock: number item * DRAWS_PER_ITEM + day
QUALITY = 0.4  # utility of one sd of quality
# grid of `World.reference_utility`
LEAST_SENSITIVITY, SENSITIVITY_STEP, SENSITIVITIES = -4.0, 0.25, 256
BRAND_FACETS = 3  # brands of a category that one can search for by name


@dataclass(frozen=True)
class ShopDay:
    """The shop on one day, as shoppers see it."""

    prices: np.ndarray  # (n_items,) float32, discounts of sales taken off
    discount: np.ndarray  # (n_categories,) float32 share taken off
    lift: np.ndarray  # (n_items,) float32 utility that items gain today
    stocked: np.ndarray  # (n_items,) bool
    appeal: np.ndarray  # (n_items,) float32, with the trend of the day
    begin: float  # shift of the log-odds to begin the checkout
    payment_failure: float  # probability that an honest payment attempt fails
    late: float  # share of deliveries that come late
    demand: np.ndarray  # (n_categories,) float64, log of the season's factor on new intents
    gifts: float  # share of new intents that are gifts


@dataclass(frozen=True)
class World:
    """The catalogue as flat arrays; an item is its index, a category too."""

    start_ms: int  # ms since 1970 of the first day that is played
    days: int  # that are played
    first_day: int  # of the log; the days before it are played and not written
    category: np.ndarray  # (n_items,) int32
    brand: np.ndarray  # (n_items,) int32
    log_price: np.ndarray  # (n_items,) float32, natural log of the list price
    # (n_items,) float32, log of the reference price, which does not move with the shop's own
    log_reference: np.ndarray
    # (n_items,) float32, log reference price above its category's mean, less what it is worth
    price_z: np.ndarray
    quality: np.ndarray  # (n_items,) float32, sd 1
    appeal: np.ndarray  # (n_items,) float32, utility that every shopper sees in it
    style: np.ndarray  # (n_items, n_styles) float32, rows of length about 1
    tier: np.ndarray  # (n_items,) int32, third of its category by price
    category_weight: np.ndarray  # (n_categories,) float64, sums to 1
    partner: np.ndarray  # (n_categories,) int32, the category that complements each
    # (n_categories,) float64 days after which what was bought is used up, 0 = it lasts
    used_up_days: np.ndarray
    considered: np.ndarray  # (n_categories,) bool, where purchases are thought over
    # (n_pairs, brands per pair) int32, brands sold in categories 2p and 2p + 1, largest first
    home_brands: np.ndarray
    brand_style: np.ndarray  # (n_brands, n_styles) float32
    query_category: np.ndarray  # (n_queries,) int32
    query_pool: np.ndarray  # (n_queries, widest) int32 items that a query finds, -1 = none
    # (2, 24) float64, each with mean 1: the hours of a weekday, of a weekend day
    hour_weight: np.ndarray
    is_weekend: np.ndarray  # (days,) bool
    day_weight: np.ndarray  # (days,) float64, visits relative to a normal weekday
    discount: np.ndarray  # (days, n_categories) float32, share of the price taken off
    launched: np.ndarray  # (n_items,) int32 first day in the shop, 0 = there from the start
    # (n,) float64 mean utility of reference prices in attractive items, by price sensitivity:
    # SENSITIVITY_STEP * k + LEAST_SENSITIVITY
    reference_utility: np.ndarray
    ending: np.ndarray  # (n_items,) int8 digit that prices end in, see `prices`
    stock_key: int  # of the draws of which item runs out when
    trend_key: int  # of the draws of how appeal moves
    scenario: Scenario
    category_names: tuple[str, ...]
    brand_names: tuple[str, ...]
    query_names: tuple[str, ...]

    @property
    def begin(self) -> float:
        """Seconds from the first day that is played to the first day of the log."""
        return self.first_day * DAY

    @property
    def log_days(self) -> int:
        """Days of the log."""
        return self.days - self.first_day

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.category)

    @property
    def n_categories(self) -> int:
        """Number of categories."""
        return len(self.category_weight)

    @property
    def facets(self) -> int:
        """Queries per category: the category itself, its price tiers, its main brands."""
        return 1 + len(TIERS) + min(BRAND_FACETS, self.home_brands.shape[1])

    def on_day(self, day: int) -> ShopDay:
        """Return the shop on `day`: prices, stocks, incidents.

        The same for every shard: nothing in it depends on who buys what.
        """
        day = min(day, self.days - 1)
        checkout = self.scenario.checkout
        level = self._during("price_rise", day, stays=True) * (
            np.arange(self.n_categories) % 3 == 0
        )
        lift = np.where(
            self.category == self.n_categories // 2, self._during("viral_spike", day), 0.0
        )
        price = np.exp(self.log_price) * ((1.0 + level) * (1.0 - self.discount[day]))[self.category]
        return ShopDay(
            prices=rounded(price, self.ending).astype(np.float32),
            discount=self.discount[day],
            lift=lift.astype(np.float32),
            appeal=(self.appeal + self._trend(day)).astype(np.float32),
            stocked=(self.launched <= day) & ~self._out_of_stock(day),
            begin=-self._during("checkout_bug", day),
            payment_failure=min(
                checkout.payment_failure + self._during("payment_outage", day), 1.0
            ),
            late=min(checkout.late + self._during("late_deliveries", day), 1.0),
            demand=needs.demand(self.scenario.needs, self.date(day), self.stock_key, self.partner),
            gifts=needs.gifts(self.scenario.needs, self.date(day)),
        )

    def date(self, day: int) -> date:
        """Return the date of a day that is played."""
        return date(1970, 1, 1) + timedelta(milliseconds=self.start_ms, days=day)

    def incidents(self) -> list[dict[str, Any]]:
        """Return the incidents by date: kind, first, last (ISO dates) and strength of each."""
        found = []
        for kind in INCIDENTS:
            days = range(self.first_day, self.days)
            on = [d for d in days if self._during(kind, d, stays=kind == "price_rise")]
            if on:
                found.append(
                    {
                        "kind": kind,
                        "first": str(self.date(on[0])),
                        "last": str(self.date(on[-1])),
                        "strength": getattr(self.scenario.incidents, kind),
                    }
                )
        return sorted(found, key=lambda incident: str(incident["first"]))

    def _during(self, kind: str, day: int, *, stays: bool = False) -> float:
        """Strength of an incident on `day`, 0 before and after it."""
        setting = self.scenario.incidents
        share = getattr(setting, f"{kind}_at")
        first = self.first_day + int(share * self.log_days)
        on = first <= day < (self.days if stays else first + setting.days)
        return float(getattr(setting, kind)) if on else 0.0

    def _trend(self, day: int) -> np.ndarray:
        """(n_items,) float64 how far each item is in fashion: of sd `trend` and mean 0 on any day.

        A stationary process in time: between independent normals `trend_days` apart, the weights
        turn from the one to the next. The draws are keyed, so any shard may ask for any day.
        """
        setting = self.scenario.catalogue
        knot, share = divmod(day / setting.trend_days, 1.0)
        before = _knot(self.trend_key, self.n_items, int(knot))
        after = _knot(self.trend_key, self.n_items, int(knot) + 1)
        angle = 0.5 * np.pi * share
        moved = np.cos(angle) * before + np.sin(angle) * after
        return setting.trend * moved  # type: ignore[no-any-return]

    def _out_of_stock(self, day: int) -> np.ndarray:
        """(n_items,) bool: ran out on one of the last days and is not back in stock yet.

        The draws are keyed by item and day, so any shard may ask for any day.
        """
        setting, n = self.scenario.catalogue, self.n_items
        out = np.zeros(n, dtype=bool)
        if setting.stockout == 0:
            return out
        chance = np.minimum(setting.stockout * np.exp(0.5 * self.appeal), 0.5)
        for ago in range(min(2 * setting.restock_days, day + 1)):
            u = uniforms(np.uint64(self.stock_key), np.arange(n) * DRAWS_PER_ITEM + (day - ago))
            gone = np.flatnonzero(u < chance)
            # The days until it is back in stock are uniform from 1 to twice the mean, by the lower
            # digits of the same draw.
            longest = 2 * setting.restock_days - 1
            stays = 1 + (u[gone] / chance[gone] * longest).astype(np.int64)
            out[gone[ago < stays]] = True
        return out


@lru_cache(maxsize=4)  # two are in use on each day of a period
def _knot(key: int, n_items: int, knot: int) -> np.ndarray:
    """(n_items,) float64 standard normals: where the items' trends are at a knot."""
    return normals(np.uint64(key), 2 * (np.arange(n_items) * KNOTS_PER_ITEM + knot))
