"""Shoppers: what is fixed about each (taste, rate, hazard) and the state that sessions change.

An array of records: row u is shopper u of the shard. Rates and hazards follow the gamma mixtures of
BG/NBD (Fader, Hardie, Lee 2005): visits are Poisson given a gamma rate, and after each session a
shopper may be gone.
"""

from __future__ import annotations

import numpy as np

from simulator.behaviour.history import (
    VISITS,
    account_age,
    past_orders,
    past_purchases,
    recent_orders,
    surviving_hazard,
)
from simulator.scenario import Scenario
from simulator.world.catalogue import DAY, World

MOST_HAZARD = 0.6  # of being gone after a session
BOUGHT = 4  # items bought last, which may be bought again
CATEGORY_PLACES = 32  # the fewest places for categories in a shopper's record
MEMORY = 1_024  # cells of each shopper's memory of items seen; items may share a cell
RECENT = 4  # items that a shopper remembers and may open again
CART = 60  # lines that a cart holds
WISHES = 2  # places on a wishlist; the oldest wish gives way
RESERVED = 2**40  # device and card codes from here on are not made by shoppers
COUNTRIES = ("DE", "FR", "NL", "AT", "PL", "ES", "IT", "BE")
COUNTRY_SHARE = np.array([0.4, 0.14, 0.12, 0.08, 0.08, 0.07, 0.06, 0.05])
CHANNELS = ("direct", "organic", "email", "social", "ads")
CHANNEL_SHARE = np.array([0.34, 0.3, 0.12, 0.12, 0.12])
AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
REASONS = ("lost_interest", "bad_experience", "account_taken_over")
BAD_EXPERIENCE, ACCOUNT_TAKEN_OVER = 1, 2  # indices into REASONS


def shopper_dtype(world: World) -> np.dtype:
    """Return the record of a shopper. Times are seconds since the first day; -1 = no index.

    There are places for more categories than the shop has: functions are compiled for the size of
    the record, and shops of up to `CATEGORY_PLACES` categories share them, then those of up to
    twice as many.
    """
    styles = world.style.shape[1]
    places = CATEGORY_PLACES
    while places < world.n_categories:
        places *= 2
    return np.dtype(
        [
            # what each visit reads, in as few lines of memory as it takes: waiting for them is a
            # fifth of the time of a session
            ("key", "u8"),  # of the shopper's draws
            ("last_end", "f8"),  # end of the last session
            ("offer", "i8"),  # row among the shard's offers of the last coupon offered, -1 = none
            # end of the window in which the last campaign's outcome is counted
            ("outcome_until", "f8"),
            ("coupon_time", "f8"),  # of the last offer
            ("born", "f8"),  # when the account was opened; a new one is by its first visit
            ("alive", "u1"),
            ("signed_up", "u1"),
            ("country", "i1"),
            ("channel", "i1"),  # by which the shopper was acquired
            ("treated", "i1"),  # 1 = holds the coupon in this world
            ("grievance", "i1"),  # why the hazard is raised, index into REASONS; 0 = it is not
            ("reason", "i1"),  # index into REASONS
            ("age", "i1"),
            ("visit_factor", "f4"),  # factor on the visit rate, 1 = normal
            ("satisfaction", "f4"),  # 0 = neutral, -1 = a late parcel just now
            ("engagement", "f4"),  # 1 = as ever; it falls once the shopper begins to leave
            ("leaving_since", "f8"),  # NaN = not on the way out
            ("trust", "f4"),  # shift of the log-odds to buy that good orders have earned
            ("hazard", "f4"),  # probability to be gone after a session
            ("price_sensitivity", "f4"),  # utility lost per unit of log price
            ("propensity", "f4"),  # shift of the log-odds to cart and to buy
            ("pace", "f4"),  # log of the factor on the time between clicks
            ("campaign", "i4"),  # the last campaign that reached the shopper, 0 = none
            ("coupon", "f4"),  # discount of the coupon in hand, 0 = none
            ("coupons_seen", "f4"),  # until `coupon_time`, the latest count most
            ("response", "f4"),  # to the coupon in hand, 1 = as usual
            # views since the last order until `last_end`, the latest count most
            ("interest", "f4"),
            ("orders", "i4"),  # honest orders so far
            ("cart_size", "i4"),
            ("device", "i8", (2,)),
            ("card", "i8", (2,)),  # codes, the main one first
            ("intent", "i4", (2,)),  # category of the current and of the interrupted intent
            ("intent_time", "f8", (2,)),
            ("looked", "i4", (2,)),  # earlier visits with each of them
            ("recent", "i4", (2, RECENT)),  # items seen last with each of them, newest first
            ("bought", "i4", (BOUGHT,)),  # items bought last, newest first
            ("wish", "i4", (WISHES,)),  # items on the wishlist, newest first
            ("taste", "f4", (styles,)),
            ("intent_style", "f4", (2, styles)),  # what this search is about, around the taste
            ("seen", "u1", (MEMORY // 8,)),  # a bit by item modulo MEMORY, see session.memory
            # what few visits read
            ("died", "f8"),  # NaN while alive
            ("rate", "f8"),  # planned visits per day while active
            ("ring", "i4"),  # the ring that controls the account, -1 = its owner does
            ("devices", "i4"),
            ("cards", "i4"),  # codes made so far
            ("orders_before", "i4"),  # those before the log
            ("cart", "i4", (CART,)),
            ("pieces", "i4", (CART,)),  # of each line
            # favourite brand among those of a category pair, -1 = none
            ("favourite_brand", "i4", (places // 2,)),
            ("category_logit", "f4", (places,)),  # log liking of each category
        ],
        align=True,
    )


# An order placed before the first day that is played.
PAST_ORDER = np.dtype([("user", "i8"), ("time", "f8"), ("item", "i4")], align=True)


class Population:
    """The shoppers of one shard.

    Row u of `table` is shopper u; row n + u is the counterfactual copy that lives with the other
    outcome of a coupon campaign. Every field of `shopper_dtype` is an attribute too: a view of
    shape (n, ...) without the copies, so writing into it writes the table.
    """

    def __init__(self, table: np.ndarray) -> None:
        self.table = table
        self.n = len(table) // 2
        self.past_orders = np.zeros(0, dtype=PAST_ORDER)  # the latest, by shopper and time
        # next free code of devices and cards that are no shopper's own
        self.n_devices = self.n_cards = RESERVED

    def __len__(self) -> int:
        return self.n

    def __getattr__(self, name: str) -> np.ndarray:
        if name.startswith("_") or name == "table" or name not in (self.table.dtype.names or ()):
            raise AttributeError(name)
        field = self.table[name][: self.n]
        return field.view(np.bool_) if field.dtype == np.uint8 else field


def draw(scenario: Scenario, world: World, n: int, rng: np.random.Generator) -> Population:
    """Draw `n` shoppers. Each property has draws of its own, so that properties are independent."""
    setting = scenario.shoppers
    styles, pairs = world.style.shape[1], len(world.home_brands)
    taste = rng.normal(0, setting.taste, (n, styles))
    # (n, pairs, brands of a pair)
    liked = np.einsum("us,pbs->upb", taste, world.brand_style[world.home_brands])
    # Larger brands are liked by more shoppers; the taste says by which of them.
    liked += rng.gumbel(size=liked.shape) - 0.25 * np.arange(liked.shape[2])
    favourite = np.take_along_axis(
        np.broadcast_to(world.home_brands, liked.shape), liked.argmax(2)[..., None], 2
    )[..., 0]
    favourite = np.where(rng.random((n, pairs)) < 0.7, favourite, -1)
    by_pair = np.repeat(rng.normal(0, setting.category_taste, (n, pairs)), 2, axis=1)[
        :, : world.n_categories
    ]
    category_logit = (
        np.log(world.category_weight)
        + by_pair
        + rng.normal(0, 0.3 * setting.category_taste, (n, world.n_categories))
    )
    shape, hazard_shape = setting.visits_shape, scenario.churn.hazard_shape
    rate = rng.gamma(shape, setting.visits / shape, n) + 1e-4
    present = rng.random(n) < setting.present
    clock, hours = _clock(world)
    opens = np.interp(world.begin, hours, clock)
    joins = np.interp(opens + rng.random(n) * (clock[-1] - opens), clock, hours)
    born = np.where(present, world.begin - DAY * account_age(scenario, rate, rng), joins)
    code = np.arange(n, dtype=np.int64)
    device = np.stack([2 * code, 2 * code + 1], axis=1)
    household = np.flatnonzero(rng.random(n) < 0.1)  # the second device is somebody else's main one
    device[household, 1] = device[rng.integers(0, n, len(household)), 0]
    table = np.zeros(2 * n, dtype=shopper_dtype(world))
    people = table[:n]
    for name, value in {
        "key": rng.integers(0, 2**64, n, dtype=np.uint64),
        "born": born,
        "rate": rate,
        "taste": taste,
        "price_sensitivity": setting.price_sensitivity * rng.lognormal(-0.08, 0.4, n),  # mean 1
        "propensity": rng.normal(0, setting.propensity_sigma, n),
        "hazard": np.minimum(
            rng.gamma(hazard_shape, scenario.churn.hazard / hazard_shape, n), MOST_HAZARD
        ),
        "country": rng.choice(len(COUNTRIES), n, p=COUNTRY_SHARE),
        "channel": rng.choice(len(CHANNELS), n, p=CHANNEL_SHARE),
        "age": rng.choice(len(AGES), n, p=[0.14, 0.27, 0.24, 0.18, 0.17]),
        "ring": -1,
        "signed_up": born < 0,
        "alive": 1,
        "died": np.nan,
        "engagement": 1.0,
        "leaving_since": np.nan,
        "visit_factor": 1.0,
        "last_end": -np.inf,
        "intent": -1,
        "intent_time": -np.inf,
        "recent": -1,
        "bought": -1,
        "cart": -1,
        "device": device,
        "card": np.stack([2 * code, 2 * code + 1], axis=1),
        "wish": -1,
        "pace": rng.normal(0, scenario.pace.shoppers, n),
        "offer": -1,
        "outcome_until": -np.inf,
        "coupon_time": -np.inf,
        "response": 1.0,
    }.items():
        people[name] = value
    people["category_logit"][:, : world.n_categories] = category_logit
    people["favourite_brand"][:, :pairs] = favourite
    population = Population(table)
    population.past_orders = _draw_past(scenario, world, people, rng)
    return population


def _draw_past(
    scenario: Scenario, world: World, people: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Give those whose account is older than the first day played their past, in place.

    Returns (m,) PAST_ORDER.
    """
    old = np.flatnonzero(people["born"] < 0)
    visits = rng.poisson(VISITS * people["rate"][old] * -people["born"][old] / DAY)
    hazard = surviving_hazard(scenario, visits, rng)
    people["hazard"][old] = np.minimum(hazard, MOST_HAZARD)
    orders, trust, chance = past_orders(scenario, people["propensity"][old], visits, rng)
    people["orders"][old], people["trust"][old] = orders, trust
    for k in range(BOUGHT):
        buyers = old[orders > k]
        people["bought"][buyers, k] = past_purchases(
            world,
            people["category_logit"][buyers, : world.n_categories],
            people["taste"][buyers],
            people["price_sensitivity"][buyers],
            rng,
        )
    age = -people["born"][old] / DAY
    who, ago = recent_orders(orders, people["rate"][old], age, chance, rng)
    recent = np.zeros(len(who), dtype=PAST_ORDER)
    recent["user"], recent["time"] = old[who], -ago * DAY
    recent["item"] = people["bought"][old[who], rng.integers(0, BOUGHT, len(who))]
    recent["item"] = np.where(recent["item"] < 0, people["bought"][old[who], 0], recent["item"])
    people["orders"][old] -= np.bincount(who, minlength=len(old))  # counted once they are played
    return recent


def _clock(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Operational time in days at each full hour, and these hours in seconds."""
    by_hour = world.hour_weight[world.is_weekend.astype(np.int64)]  # (days, 24)
    weight = (world.day_weight[:, None] * by_hour).ravel()
    clock = np.append(0.0, np.cumsum(weight)) / 24
    return clock, np.arange(len(clock)) * 3600.0


def order_within(group: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return (n,) int64 that sorts by `group` (n,), then by `time` (n,), as np.lexsort does.

    One sort of a combined key, which is several times as fast, tells unless two keys are equal.
    """
    span = float(time.max(initial=0.0)) + 1.0
    key = group * span + time
    order = np.argsort(key)
    if (np.diff(key[order]) > 0.0).all():
        return order
    return np.lexsort((time, group))


def planned_visits(
    population: Population, world: World, rng: np.random.Generator, *, since: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw when each shopper plans to visit, from `since` (seconds) on.

    A Poisson process of the shopper's rate times the calendar's weight of the hour, by inversion.

    Returns:
        (n + 1,) int64 offsets, and (total,) float64 seconds, ascending per shopper.
    """
    clock, hours = _clock(world)
    begin = np.interp(np.maximum(population.born, since), hours, clock)
    count = rng.poisson(population.rate * (clock[-1] - begin))
    joins = population.born >= max(world.begin, since)
    count += joins  # who joins does so by a visit
    owner = np.repeat(np.arange(len(population)), count)
    share = rng.random(len(owner))
    share[(np.cumsum(count) - count)[joins]] = 0.0
    at = begin[owner] + share * (clock[-1] - begin[owner])
    order = order_within(owner, at)
    return np.append(0, np.cumsum(count)), np.interp(at[order], clock, hours)
