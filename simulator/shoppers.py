"""Who the shoppers are: what is fixed about each (taste, rate, hazard) and the state that sessions change.

Structure of arrays: row u of every array is shopper u of the shard. Rates and hazards follow the gamma mixtures of
BG/NBD (Fader, Hardie, Lee 2005): visits are Poisson given a gamma rate, and after each session a shopper may be gone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scenario import Scenario
from .world import DAY, World

BOUGHT = 4   # items bought last, which may be bought again
MEMORY = 1_024  # cells of each shopper's memory of what was seen; items share a cell now and then, as memories do
RECENT = 4   # items that a shopper remembers and may open again
CART = 6     # places in a cart
COUNTRIES = ("DE", "FR", "NL", "AT", "PL", "ES", "IT", "BE")
COUNTRY_SHARE = np.array([0.4, 0.14, 0.12, 0.08, 0.08, 0.07, 0.06, 0.05])
CHANNELS = ("direct", "organic", "email", "social", "ads")
CHANNEL_SHARE = np.array([0.34, 0.3, 0.12, 0.12, 0.12])
AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
REASONS = ("lost_interest", "bad_experience", "account_taken_over")


@dataclass
class Population:
    """The shoppers of one shard. Times are seconds since the first day; -1 in an index means none."""

    # fixed
    born: np.ndarray          # (n,) float64, first day as a customer; negative = before the log
    rate: np.ndarray          # (n,) float64, planned visits per day while active
    taste: np.ndarray         # (n, n_styles) float32
    category_logit: np.ndarray  # (n, n_categories) float32, log liking of each category
    price: np.ndarray         # (n,) float32, utility lost per unit of log price
    favourite: np.ndarray     # (n, n_pairs) int32, favourite brand among those of a category pair, -1 = none
    propensity: np.ndarray    # (n,) float32, shift of the log-odds to cart and to buy
    hazard: np.ndarray        # (n,) float32, probability to be gone after a session
    country: np.ndarray       # (n,) int8
    channel: np.ndarray       # (n,) int8, how the shopper was won
    age: np.ndarray           # (n,) int8
    ring: np.ndarray          # (n,) int32, the ring that controls the account, -1 = nobody but its owner
    # state
    alive: np.ndarray         # (n,) bool
    died: np.ndarray          # (n,) float64, NaN while alive
    reason: np.ndarray        # (n,) int8 index into REASONS
    mood: np.ndarray          # (n,) float32, factor on the visit rate, 1 = normal
    trust: np.ndarray         # (n,) float32, shift of the log-odds to buy that good orders have earned
    hurt: np.ndarray          # (n,) int8, why the hazard is raised: 0 not, else index into REASONS
    last_end: np.ndarray      # (n,) float64, end of the last session
    intent: np.ndarray        # (n, 2) int32, category of the current and of the interrupted intent
    intent_time: np.ndarray   # (n, 2) float64
    intent_style: np.ndarray  # (n, 2, n_styles) float32, what this search is about, around the taste
    recent: np.ndarray        # (n, RECENT) int32 items seen last, newest first
    seen: np.ndarray          # (n, MEMORY) bool, by item modulo MEMORY
    bought: np.ndarray        # (n, BOUGHT) int32 items bought last, newest first
    cart: np.ndarray          # (n, CART) int32 items
    cart_size: np.ndarray     # (n,) int32
    device: np.ndarray        # (n, 2) int64 device codes, the main one first
    card: np.ndarray          # (n, 2) int64 card codes
    orders: np.ndarray        # (n,) int32 honest orders so far
    n_devices: int            # next free device code
    n_cards: int              # next free card code

    def __len__(self) -> int:
        return len(self.born)


def draw(scenario: Scenario, world: World, n: int, rng: np.random.Generator) -> Population:
    """Draw `n` shoppers. Each property has its own draw: what is meant to be independent is."""
    setting = scenario.shoppers
    styles, pairs = world.style.shape[1], len(world.home_brands)
    taste = rng.normal(0, setting.taste, (n, styles))
    liked = np.einsum("us,pbs->upb", taste, world.brand_style[world.home_brands])  # (n, pairs, brands of a pair)
    # Larger brands have more friends; the taste says which of them.
    liked += rng.gumbel(size=liked.shape) - 0.25 * np.arange(liked.shape[2])
    favourite = np.take_along_axis(np.broadcast_to(world.home_brands, liked.shape), liked.argmax(2)[..., None], 2)[..., 0]
    favourite = np.where(rng.random((n, pairs)) < 0.7, favourite, -1)
    by_pair = np.repeat(rng.normal(0, setting.category_taste, (n, pairs)), 2, axis=1)[:, : world.n_categories]
    category_logit = np.log(world.category_weight) + by_pair + rng.normal(0, 0.3 * setting.category_taste, (n, world.n_categories))
    shape, hazard_shape = setting.visits_shape, scenario.churn.hazard_shape
    horizon = world.days * DAY
    born = np.where(rng.random(n) < setting.present, -rng.exponential(300 * DAY, n), rng.random(n) * horizon)
    code = np.arange(n, dtype=np.int64)
    device = np.stack([2 * code, 2 * code + 1], axis=1)
    household = np.flatnonzero(rng.random(n) < 0.1)  # the second device is somebody else's main one
    device[household, 1] = device[rng.integers(0, n, len(household)), 0]
    return Population(
        born=born, rate=rng.gamma(shape, setting.visits / shape, n) + 1e-4, taste=taste.astype(np.float32),
        category_logit=category_logit.astype(np.float32),
        price=(setting.price_sensitivity * rng.lognormal(0, 0.4, n)).astype(np.float32),
        favourite=favourite.astype(np.int32), propensity=rng.normal(0, setting.propensity_sigma, n).astype(np.float32),
        hazard=np.minimum(rng.gamma(hazard_shape, scenario.churn.hazard / hazard_shape, n), 0.6).astype(np.float32),
        country=rng.choice(len(COUNTRIES), n, p=COUNTRY_SHARE).astype(np.int8),
        channel=rng.choice(len(CHANNELS), n, p=CHANNEL_SHARE).astype(np.int8),
        age=rng.choice(len(AGES), n, p=[0.14, 0.27, 0.24, 0.18, 0.17]).astype(np.int8), ring=np.full(n, -1, dtype=np.int32),
        alive=np.ones(n, dtype=bool), died=np.full(n, np.nan), reason=np.zeros(n, dtype=np.int8), mood=np.ones(n, dtype=np.float32),
        trust=np.zeros(n, dtype=np.float32),
        hurt=np.zeros(n, dtype=np.int8), last_end=np.full(n, -np.inf), intent=np.full((n, 2), -1, dtype=np.int32),
        intent_time=np.full((n, 2), -np.inf), intent_style=np.zeros((n, 2, styles), dtype=np.float32),
        recent=np.full((n, RECENT), -1, dtype=np.int32), bought=np.full((n, BOUGHT), -1, dtype=np.int32),
        seen=np.zeros((n, MEMORY), dtype=bool),
        cart=np.full((n, CART), -1, dtype=np.int32), cart_size=np.zeros(n, dtype=np.int32),
        device=device, card=np.stack([2 * code, 2 * code + 1], axis=1),
        orders=np.zeros(n, dtype=np.int32), n_devices=2 * n, n_cards=2 * n,
    )


def planned_visits(population: Population, world: World, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(offsets (n + 1,) int64, seconds (total,) float64): when each shopper plans to visit, ascending per shopper.

    A Poisson process of the shopper's rate times the calendar's weight of the hour, drawn in one go by inversion.
    """
    weight = (world.day_weight[:, None] * world.hour_weight).ravel()  # (days * 24,)
    clock = np.append(0.0, np.cumsum(weight)) / 24  # operational time in days at each full hour
    hours = np.arange(len(clock)) * 3600.0
    begin = np.interp(np.maximum(population.born, 0), hours, clock)
    count = rng.poisson(population.rate * (clock[-1] - begin))
    # A shopper who joins during the log does so because of a visit.
    count = np.where((population.born > 0) & (count == 0), 1, count)
    owner = np.repeat(np.arange(len(population)), count)
    at = begin[owner] + rng.random(len(owner)) * (clock[-1] - begin[owner])
    order = np.lexsort((at, owner))
    return np.append(0, np.cumsum(count)), np.interp(at[order], clock, hours)
