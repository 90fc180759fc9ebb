"""Draw the shop of a scenario: categories, brands, prices, appeal, queries, calendar."""

from __future__ import annotations

from datetime import date, timedelta
from statistics import NormalDist

import numpy as np

from eventlog._runtime.errors import InputError
from simulator.counter_rng import child, uniforms
from simulator.scenario import Scenario
from simulator.sections import Calendar, Catalogue, Pricing
from simulator.world import needs
from simulator.world.catalogue import (
    BRAND_FACETS,
    DAY,
    LEAST_SENSITIVITY,
    QUALITY,
    SENSITIVITIES,
    SENSITIVITY_STEP,
    TIERS,
    World,
)
from simulator.world.prices import draw_endings, rounded

CATEGORY_NAMES = (
    "shoes",
    "socks",
    "jackets",
    "scarves",
    "phones",
    "phone_cases",
    "laptops",
    "laptop_bags",
    "coffee_machines",
    "coffee",
    "cookware",
    "knives",
    "bedding",
    "towels",
    "lamps",
    "bulbs",
    "toys",
    "puzzles",
    "skincare",
    "makeup",
    "headphones",
    "speakers",
    "tents",
    "sleeping_bags",
    "bicycles",
    "helmets",
    "garden_tools",
    "plants",
    "dog_food",
    "leashes",
    "books",
    "stationery",
)
# Visits by hour of the day: quiet nights, a plateau from ten to five, a peak at eight in the
# evening.
HOURS = (
    0.45,
    0.28,
    0.18,
    0.13,
    0.12,
    0.16,
    0.32,
    0.55,
    0.78,
    0.95,
    1.05,
    1.08,
    1.12,
    1.1,
    1.08,
    1.08,
    1.12,
    1.2,
    1.38,
    1.6,
    1.75,
    1.7,
    1.35,
    0.85,
)
# On Saturday and Sunday: longer nights, later mornings, more of the day, a lower evening peak.
WEEKEND_HOURS = (
    0.66,
    0.44,
    0.28,
    0.18,
    0.13,
    0.13,
    0.2,
    0.32,
    0.58,
    0.92,
    1.2,
    1.32,
    1.32,
    1.3,
    1.28,
    1.28,
    1.28,
    1.3,
    1.35,
    1.45,
    1.52,
    1.48,
    1.22,
    0.9,
)
PRICE_TEST = 1  # child of the key of the stock's draws: which items are in a price test


def build(scenario: Scenario, *, days: int, seed: np.random.SeedSequence) -> World:
    """Draw the shop of `scenario` for `days` days."""
    catalogue, calendar = scenario.catalogue, scenario.calendar
    rng = np.random.default_rng(seed)
    n, n_categories = catalogue.items, catalogue.categories
    partner = np.arange(n_categories, dtype=np.int32) ^ 1
    partner[partner >= n_categories] = 0  # without a partner: complements the first
    category = _categories(rng, n, n_categories)
    # A brand has a style and a price level wherever it sells; partner categories share their
    # brands.
    brand_style = rng.normal(0, 1 / np.sqrt(catalogue.styles), (catalogue.brands, catalogue.styles))
    brand_price = _spread(rng, catalogue.brands, 0.45)
    per_category = max(2, min(catalogue.brands, 8))
    home_brands = np.stack(
        [rng.permutation(catalogue.brands)[:per_category] for _ in range((n_categories + 1) // 2)]
    )
    brand_rank = np.minimum(rng.geometric(0.25, n) - 1, per_category - 1)
    brand = home_brands[category // 2, brand_rank].astype(np.int32)
    own_style = rng.normal(0, 1 / np.sqrt(catalogue.styles), (n, catalogue.styles))
    style = (0.8 * brand_style[brand] + 0.6 * own_style).astype(np.float32)
    reference = _log_prices(rng, category, brand_price[brand], catalogue, n_categories)
    ending = draw_endings(rng, n, catalogue.price_endings)
    reference = np.log(rounded(np.exp(reference), ending))
    mean = np.bincount(category, reference) / np.bincount(category)
    above = reference - mean[category]
    price_z = (1.0 - catalogue.worth) * above
    quality = 0.45 * above / above.std() + 0.9 * rng.normal(0, 1, n)
    appeal = _appeal(rng, category, catalogue.appeal_slope)
    tier = _tiers(category, reference, n_categories)
    query_category, query_pool, query_names = _queries(
        category, brand, tier, home_brands, n_categories
    )
    first_day = date.fromisoformat(calendar.start) - timedelta(days=calendar.burn_in)
    days += calendar.burn_in
    day_weight, discount = _sales(rng, calendar, first_day, days, n_categories)
    category_weight = np.exp(rng.normal(0, 0.35, n_categories))
    stock_key = int(rng.integers(0, 2**63))
    trend_key = int(rng.integers(0, 2**63))
    is_launched = rng.random(n) < catalogue.launched
    # no category is ever empty
    is_launched[np.searchsorted(category, np.arange(n_categories))] = False
    launch = rng.integers(calendar.burn_in + 1, max(days, calendar.burn_in + 2), n)
    launched = np.where(is_launched, launch, 0).astype(np.int32)
    hour = _hours(calendar)
    weekday = (np.arange(days) + first_day.weekday()) % 7
    used_up_days, considered = needs.kinds(scenario.needs, mean, stock_key)
    return World(
        start_ms=int((first_day - date(1970, 1, 1)).days * DAY * 1000),
        days=days,
        first_day=calendar.burn_in,
        category=category,
        brand=brand,
        log_price=_list_prices(scenario.pricing, reference, ending, stock_key).astype(np.float32),
        log_reference=reference.astype(np.float32),
        price_z=price_z.astype(np.float32),
        quality=quality.astype(np.float32),
        appeal=appeal.astype(np.float32),
        style=style,
        tier=tier,
        category_weight=category_weight / category_weight.sum(),
        partner=partner,
        used_up_days=used_up_days,
        considered=considered,
        home_brands=home_brands,
        brand_style=brand_style.astype(np.float32),
        query_category=query_category,
        query_pool=query_pool,
        hour_weight=hour / hour.mean(1, keepdims=True),
        is_weekend=weekday >= 5,
        day_weight=day_weight,
        discount=discount,
        launched=launched,
        reference_utility=_reference_utility(price_z, appeal + QUALITY * quality),
        ending=ending,
        stock_key=stock_key,
        trend_key=trend_key,
        scenario=scenario,
        category_names=tuple(_category_name(c) for c in range(n_categories)),
        brand_names=tuple(f"brand_{b}" for b in rng.permutation(catalogue.brands)),
        query_names=query_names,
    )


def _category_name(c: int) -> str:
    return CATEGORY_NAMES[c] if c < len(CATEGORY_NAMES) else f"category_{c}"


def _categories(rng: np.random.Generator, n: int, n_categories: int) -> np.ndarray:
    """(n,) int32 category of each item, ascending; at least four items in each."""
    share = np.exp(rng.normal(0, 0.35, n_categories))
    others = rng.choice(n_categories, n - 4 * n_categories, p=share / share.sum())
    four_each = np.repeat(np.arange(n_categories), 4)
    return np.sort(np.concatenate([four_each, others])).astype(np.int32)


def _log_prices(
    rng: np.random.Generator,
    category: np.ndarray,
    brand_price: np.ndarray,
    setting: Catalogue,
    n_categories: int,
) -> np.ndarray:
    """(n_items,) float64 log list prices of sd about `price_sigma`.

    Of their variance two fifths are between categories, a fifth from brands, the rest within both.
    """
    sigma, median = setting.price_sigma, np.log(setting.price_level)
    by_pair = np.repeat(_spread(rng, (n_categories + 1) // 2, 0.61 * sigma), 2)
    category_price = by_pair[:n_categories] + rng.normal(0, 0.1, n_categories)
    within = brand_price * sigma + rng.normal(0, sigma * 0.65, len(category))
    level = np.maximum(median + category_price[category] + within, median - np.log(68.0))
    return np.log(np.maximum(np.round(np.exp(level), 2), 0.01))  # type: ignore[no-any-return]


def _list_prices(
    pricing: Pricing, reference: np.ndarray, ending: np.ndarray, key: int
) -> np.ndarray:
    """(n_items,) float64 log list prices: the reference prices, moved as the scenario says.

    The draws of a price test are keyed, so that shops with other prices are the same otherwise.
    """
    stream = np.uint64(child(np.uint64(key), PRICE_TEST))
    tested = uniforms(stream, np.arange(len(reference))) < pricing.test_share
    factor = pricing.level * np.where(tested, 1.0 + pricing.test_change, 1.0)
    return np.log(rounded(np.exp(reference) * factor, ending))  # type: ignore[no-any-return]


def _reference_utility(price_z: np.ndarray, utility: np.ndarray) -> np.ndarray:
    """Log mean over items, weighted by exp(utility), of what each price sensitivity makes of them.

    Taken off the utility of every item, it leaves the demand at reference prices where it is,
    however sensitive shoppers are; what prices above or below the reference do to it stays.
    """
    sensitivity = LEAST_SENSITIVITY + SENSITIVITY_STEP * np.arange(SENSITIVITIES)
    level = utility - np.outer(sensitivity, price_z)
    top = level.max(1, keepdims=True)
    total = np.log(np.exp(level - top).sum(1)) + top[:, 0]
    return total - np.log(np.exp(utility).sum())  # type: ignore[no-any-return]


def _appeal(rng: np.random.Generator, category: np.ndarray, slope: float) -> np.ndarray:
    """(n_items,) float64 utility that every shopper sees in an item, mean 0.

    Zipf-Mandelbrot: no item is far above all others. Every category has its share of popular and
    of unpopular items.
    """
    n = len(category)
    by_chance = np.lexsort((rng.random(n), category))
    within_category = np.empty(n)
    within_category[by_chance] = (
        np.arange(n) - np.searchsorted(category, category) + rng.random(n)
    ) / np.bincount(category)[category]
    appeal = -slope * np.log(20.0 + np.argsort(np.argsort(within_category)))
    appeal -= appeal.mean()
    return appeal  # type: ignore[no-any-return]


def _tiers(category: np.ndarray, log_price: np.ndarray, n_categories: int) -> np.ndarray:
    """(n_items,) int32 third of its category by price, by rank within it."""
    n = len(category)
    order = np.lexsort((log_price, category))
    first = np.searchsorted(category, np.arange(n_categories))
    size = np.bincount(category, minlength=n_categories)
    tier = np.empty(n, dtype=np.int32)
    tier[order] = 3 * (np.arange(n) - first[category[order]]) // size[category[order]]
    return tier


def _sales(
    rng: np.random.Generator, calendar: Calendar, first_day: date, days: int, n_categories: int
) -> tuple[np.ndarray, np.ndarray]:
    """(days,) visits relative to a weekday, and (days, n_categories) float32 share taken off."""
    weekday = (np.arange(days) + first_day.weekday()) % 7
    day_weight = np.where(weekday >= 5, calendar.weekend, 1.0)
    discount = np.zeros((days, n_categories), dtype=np.float32)
    pair = np.arange(n_categories) // 2
    first = int(rng.integers(3, max(4, calendar.campaign_every)))
    for begin in range(first, days, calendar.campaign_every):
        on = slice(begin, begin + calendar.campaign_days)
        chosen = rng.permutation((n_categories + 1) // 2)[: max(1, n_categories // 6)]
        day_weight[on] *= calendar.campaign_visits
        discount[on] = np.where(np.isin(pair, chosen), calendar.campaign_discount, 0.0)
    if calendar.day_weights:  # campaigns are in them already
        given = np.array(calendar.day_weights)
        day_weight = weights_by_day(given / max(given.mean(), 1e-9), days, calendar.burn_in)
    return day_weight, discount


def weights_by_day(given: np.ndarray, days: int, ahead: int = 0) -> np.ndarray:
    """Return (days,) weights, beginning `ahead` days before the first that is given.

    Beyond the given ones whole weeks of them are repeated, so that weekdays stay what they are.
    """
    n = len(given)
    weeks = n // 7 * 7 or n
    day = np.arange(days) - ahead
    later = n - weeks + (day - n) % weeks
    place = np.where(day < 0, day % weeks, np.where(day < n, day, later))
    return given[place]  # type: ignore[no-any-return]


def _hours(calendar: Calendar) -> np.ndarray:
    """(2, 24) visits by hour of a weekday and of a weekend day. Raises InputError."""
    if not calendar.hours:
        return np.array([HOURS, WEEKEND_HOURS]) ** calendar.evening  # type: ignore[no-any-return]
    if len(calendar.hours) != 24 or not any(calendar.hours):
        raise InputError(
            f"calendar.hours has {len(calendar.hours)} weights; give 24, one for each hour of the "
            "day, not all 0."
        )
    return np.array([calendar.hours, calendar.hours])


def _spread(rng: np.random.Generator, n: int, sd: float) -> np.ndarray:
    """(n,) float64 normal values, one from each n-th of the distribution.

    Even a few of them have about the same spread with every seed.
    """
    share = (rng.permutation(n) + rng.random(n)) / n
    return sd * np.array([NormalDist().inv_cdf(u) for u in np.maximum(share, 1e-9).tolist()])


def _queries(
    category: np.ndarray,
    brand: np.ndarray,
    tier: np.ndarray,
    home_brands: np.ndarray,
    n_categories: int,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """What shoppers can search for, and the items that each query finds.

    The queries of a category are its name, its price tiers and its main brands.

    Returns:
        (n_queries,) int32 category of each query; (n_queries, widest) int32 items that it finds,
        -1 = none; the queries' texts.
    """
    pools, owner, words = [], [], []
    for c in range(n_categories):
        mine = np.flatnonzero(category == c)
        name, home = _category_name(c), home_brands[c // 2]
        facets = [(name, mine)]
        facets += [(f"{word} {name}", mine[tier[mine] == t]) for t, word in enumerate(TIERS)]
        facets += [(f"{name} brand {b}", mine[brand[mine] == b]) for b in home[:BRAND_FACETS]]
        for words_of_query, found in facets:
            # a query that finds hardly anything shows its whole category
            pools.append(found if len(found) >= 3 else mine)
            owner.append(c)
            words.append(words_of_query.replace("_", " "))
    table = np.full((len(pools), max(map(len, pools))), -1, dtype=np.int32)
    for row, pool in zip(table, pools, strict=True):
        row[: len(pool)] = pool
    return np.array(owner, dtype=np.int32), table, tuple(words)
