"""Sessions: how a shopper walks through the shop, compiled.

A session is intent -> page -> examination -> click, again and again. A page of K items is examined
from the top, one rank further with probability `examine` (the cascade model of Craswell et al.
2008); among what was examined, the items that can be opened again and the outside option, the
choice is a multinomial logit. Summed over depths d,

    P(click k) = w_k * sum_{d >= k} P(depth = d) / (w_0 + sum_{j <= d} w_j),      w = exp(utility),

which is drawn by inversion, so that the probability of every choice is known exactly and kept as
truth. All draws are keyed by (shopper, visit, step, purpose): see `draws`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numba import njit

from simulator import event_codes
from simulator._numba import source
from simulator.behaviour import event_buffer
from simulator.behaviour.shoppers import (
    BOUGHT,
    CART,
    CHANNELS,
    COUNTRIES,
    MEMORY,
    RECENT,
    Population,
)
from simulator.counter_rng import normal, uniform
from simulator.scenario import SECTIONS, Scenario
from simulator.world.catalogue import DAY, TIERS, World
from simulator.world.recommender import ITEM_VARIANTS, PAGES, Slates

# utility of a clicked item that leaves the log-odds to cart where the scenario puts them
MATCH_CENTRE = 4.0
UNKNOWN = 2  # not in the shop yet
GREYED = math.exp(-2.0)  # weight of an item that is out of stock
N_CHANNELS, N_COUNTRIES, N_TIERS = len(CHANNELS), len(COUNTRIES), len(TIERS)
# Purposes of draws: the first 64 belong to the session, then 64 to each step; drift and intent take
# two for each style.
(
    OWN_DEVICE,
    FRESH_DEVICE,
    ABROAD,
    WHERE,
    DIRECT,
    CHANNEL,
    KEEP,
    BACK,
    CATEGORY,
    AGAIN,
    REPLENISH,
    LEAVE,
) = range(12)
DRIFT, INTENT, TILL = 1 << 20, 1 << 21, 1 << 22
STEP = 64
(
    CLICK,
    DWELL,
    VARIANT,
    NEXT,
    TO_CART,
    CART_TIME,
    SOUR,
    STAY,
    THEN,
    QUERY,
    QUERY_TIME,
    QUERY_VARIANT,
) = 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12


@dataclass
class BehaviourOverrides:
    """What each session of fraudsters is after; they are shoppers with other goals. All (n,),
    changed in place.
    """

    price: np.ndarray  # float32, utility lost per unit of log price
    leave: np.ndarray  # float32, log-odds to leave when nothing is clicked
    cart: np.ndarray  # float32, shift of the log-odds to put an item into the cart
    begin: np.ndarray  # float32, shift of the log-odds to go to the checkout
    fail: np.ndarray  # float32, probability that a payment attempt fails
    attempts: np.ndarray  # int32, payment attempts before giving up
    category: np.ndarray  # int32, category that must be the intent, -1 = the shopper's own choice
    own_taste: np.ndarray  # float32, 1 = the account owner's taste, 0 = none
    # float32, probability to order with a welcome coupon where there is one; honest: 0 after the
    # first order
    redeem: np.ndarray


@dataclass
class Visits:
    """Sessions of fraudsters: whose account, with what in hand. All (n,)."""

    user: np.ndarray  # int64
    start: np.ndarray  # float64 seconds
    typology: np.ndarray  # int8, -1 = honest, else the index of the fraud typology
    ring: np.ndarray  # int32, -1 = none
    device: np.ndarray  # int64, -1 = one of the shopper's own
    country: np.ndarray  # int8, -1 = the shopper's own
    card: np.ndarray  # int64, -1 = one of the shopper's own

    def __len__(self) -> int:
        return len(self.user)


OVERRIDES = np.dtype(
    [
        ("price", "f4"),
        ("leave", "f4"),
        ("cart", "f4"),
        ("begin", "f4"),
        ("fail", "f4"),
        ("own_taste", "f4"),
        ("redeem", "f4"),
        ("attempts", "i4"),
        ("category", "i4"),
        ("ring", "i4"),
        ("device", "i8"),
        ("card", "i8"),
        ("country", "i1"),
        ("typology", "i1"),
    ],
    align=True,
)


def override_records(visits: Visits, goals: BehaviourOverrides) -> np.ndarray:
    """(n,) GOAL: what compiled code reads of fraudsters' sessions."""
    table = np.zeros(len(visits), dtype=OVERRIDES)
    for end_session in (goals, visits):
        for f in fields(end_session):
            if f.name in OVERRIDES.names:  # type: ignore[operator]
                table[f.name] = getattr(end_session, f.name)
    return table


def rules(scenario: Scenario) -> np.ndarray:
    """(1,) record of the scenario's numbers, `section_name` each."""
    numbers = {
        f"{section}_{f.name}": getattr(getattr(scenario, section), f.name)
        for section in SECTIONS
        for f in fields(getattr(scenario, section))
        if isinstance(getattr(getattr(scenario, section), f.name), int | float)
    }
    record = np.zeros(1, dtype=np.dtype([(name, "f8") for name in numbers]))
    for name, value in numbers.items():
        record[name] = value
    return record


def shelf_records(world: World) -> np.ndarray:
    """(n_items,) records: what a shopper sees of an item; `price`, `weight_z` and `stocked` are set
    day by day.
    """
    styles = world.style.shape[1]
    table = np.zeros(
        world.n_items,
        dtype=np.dtype(
            [
                ("feature", "f4", (styles + 3,)),
                ("lift", "f4"),
                ("price", "f4"),
                ("off", "f4"),
                ("appeal", "f4"),
                ("quality", "f4"),
                ("category", "i4"),
                ("brand", "i4"),
                ("stocked", "u1"),
            ],
            align=True,
        ),
    )
    table["feature"] = np.column_stack([world.style, world.price_z, world.quality, world.appeal])
    table["appeal"], table["quality"], table["category"], table["brand"] = (
        world.appeal,
        world.quality,
        world.category,
        world.brand,
    )
    table["stocked"] = 1
    return table


def walk_record(scenario: Scenario, world: World) -> np.ndarray:
    """(1,) record: the session that is being played."""
    reach = RECENT + scenario.sessions.slate
    return np.zeros(
        1,
        dtype=np.dtype(
            [
                ("key", "u8"),
                ("time", "f8"),
                ("session", "i8"),
                ("page", "i8"),
                ("query", "i8"),
                ("depth", "i8"),
                ("device", "i8"),
                ("card", "i8"),
                ("order", "i8"),
                ("user", "i8"),
                ("focus", "i4"),
                ("last", "i4"),
                ("views", "i4"),
                ("ring", "i4"),
                ("attempts", "i4"),
                ("category", "i4"),
                ("price", "f4"),
                ("leave", "f4"),
                ("cart", "f4"),
                ("begin", "f4"),
                ("fail", "f4"),
                ("own_taste", "f4"),
                ("redeem", "f4"),
                ("pull", "f4"),
                ("typology", "i1"),
                ("country", "i1"),
                ("channel", "i1"),
                ("bought", "u1"),
                ("vector", "f4", (world.style.shape[1] + 3,)),
                ("items", "i4", (reach,)),
                ("weight", "f8", (reach,)),
                ("chance", "f8", (reach,)),
                ("depths", "f8", (scenario.sessions.slate,)),
                (f"source_{source()}", "u1"),
            ],
            align=True,
        ),
    )


class Browser:
    """What a shard's sessions share: shelves, pages, and the rolls they write to."""

    def __init__(
        self, scenario: Scenario, world: World, population: Population, rng: np.random.Generator
    ) -> None:
        self.scenario, self.world, self.population, self.rng = scenario, world, population, rng
        self.rows = event_buffer.EventBuffer()
        self.sessions = event_buffer.RecordBuffer(event_buffer.SESSION)
        self.orders = event_buffer.RecordBuffer(event_buffer.ORDER)
        slate = scenario.sessions.slate
        self.pages = event_buffer.RecordBuffer(
            np.dtype(
                [
                    ("time", "f8"),
                    ("session", "i4"),
                    ("policy", "i1"),
                    ("items", "i4", (slate,)),
                    ("price", "f4", (slate,)),
                    ("known", "u1", (slate,)),
                    ("clicked", "u1", (slate,)),
                ],
                align=True,
            )
        )
        self.rules, self.shelf, self.walk = (
            rules(scenario),
            shelf_records(world),
            walk_record(scenario, world),
        )
        examine = scenario.sessions.examine
        depth = examine ** np.arange(slate) * (1 - examine)
        depth[-1] = examine ** (slate - 1)
        self.walk["depths"] = depth  # probability to look at exactly the first 1, 2, ... ranks

    def show(self, slates: Slates, day: int) -> None:
        """Put the prices, stocks and pages of `day` in place."""
        self.slates = slates
        today = self.world.shelf(day)
        self.today = today
        self.prices, self.discount = today.prices, today.discount
        self.shelf["price"], self.shelf["lift"] = today.prices, today.lift
        self.shelf["stocked"] = np.where(self.world.launched > day, UNKNOWN, today.stocked)
        self.shelf["off"] = today.discount[self.world.category]
        # A price cut draws more than the same difference between two items: it stands on a sign.
        cut = np.log1p(-today.discount.astype(np.float64))
        self.salient_cut = -self.scenario.shoppers.sale_salience * cut
        signs = (self.scenario.shoppers.sale_salience - 1.0) * cut
        self.shelf["feature"][:, -3] = (
            self.world.price_z
            + np.log(today.prices)
            - self.world.log_price
            + signs[self.world.category]
        )
        self.rules["checkout_payment_failure"], self.rules["checkout_late"] = (
            today.payment_failure,
            today.late,
        )
        self.rules["checkout_begin"] = self.scenario.checkout.begin + today.begin

    def desk_sessions(
        self, user: np.ndarray, *, channel: np.ndarray | None = None, **given: np.ndarray
    ) -> np.ndarray:
        """(n,) int32 numbers of new sessions in which nothing is browsed, from one of the shopper's
        devices.

        `given`: `typology`, `ring`, `device` and `country` (n,) of fraudsters; -1 = honest, none,
            the account's own.
        """
        n, population, first = len(user), self.population, self.sessions.n
        device = population.device[user, np.where(self.rng.random(n) < 0.78, 0, 1)]
        own = {
            "device": device,
            "country": population.country[user],
            "typology": np.full(n, -1),
            "ring": np.full(n, -1),
        }
        for name, values in given.items():
            own[name] = np.where(values >= 0, values, own[name])
        self.sessions.extend(n, user=user, channel=0 if channel is None else channel, **own)
        return np.arange(first, first + n, dtype=np.int32)


# --- compiled -------------------------------------------------------------------------------------


class DayState(NamedTuple):
    """What compiled code knows of the shop on a day."""

    rules: np.ndarray  # (1,) see `rules`
    shelf: np.ndarray  # (n_items,) see `shelf_records`
    slates: np.ndarray  # (n_slates, slate) int32
    policy: np.ndarray  # (n_slates,) int8
    n_queries: int
    variants: int
    home: np.ndarray  # (n_pairs, brands) int32
    partner: np.ndarray  # (n_categories,) int32
    facets: int
    # (n_categories,) float64, fall of each category's log price today, as shoppers feel it
    lift: np.ndarray
    campaigns: np.ndarray  # (n,) campaigns.CAMPAIGN
    goals: np.ndarray  # (n,) GOAL
    n: int  # shoppers; rows from n on are their twins
    end: float  # of the log, seconds


class OutputBuffers(NamedTuple):
    """What it writes into, and in `at` how much of each is written."""

    rows: np.ndarray
    sessions: np.ndarray
    orders: np.ndarray
    pages: np.ndarray
    notes: np.ndarray
    offers: np.ndarray
    at: np.ndarray  # (8,) int64, by the places below


ROWS, SESSIONS, ORDERS, SHOWN, NOTES, STOLEN, OFFERS, HONEST = range(8)


@njit(cache=True)
def write(book, event, s):
    """Start a row of session `s`: returns it with everything blank but event, session and time."""
    row = book.rows[book.at[ROWS]]
    book.at[ROWS] += 1
    row.event, row.session, row.time = event, s.session, s.time
    row.card, row.item, row.order, row.query, row.rank, row.coupon, row.quantity = (
        -1,
        -1,
        -1,
        -1,
        -1,
        -1,
        0,
    )
    row.price, row.rating, row.discount, row.p_choice = np.nan, np.nan, np.nan, np.nan
    return row


@njit(cache=True)
def find_intent(p, s, rules, lift):
    """What the session is about: the unfinished intent, the one before it, or a new one. `lift` is
    each category's mean log price cut.
    """
    life = rules.sessions_intent_days * DAY
    styles = p.taste.shape[0]
    alive_0 = math.exp(-(s.time - p.intent_time[0]) / life) if p.intent[0] >= 0 else 0.0
    alive_1 = math.exp(-(s.time - p.intent_time[1]) / life) if p.intent[1] >= 0 else 0.0
    if uniform(s.key, KEEP) >= 0.65 * alive_0:
        back = uniform(s.key, BACK) < 0.9 * alive_1
        p.intent[0], p.intent[1] = p.intent[1], p.intent[0]
        p.intent_time[0], p.intent_time[1] = p.intent_time[1], p.intent_time[0]
        for k in range(styles):
            p.intent_style[0, k], p.intent_style[1, k] = p.intent_style[1, k], p.intent_style[0, k]
        for k in range(RECENT):
            p.recent[0, k], p.recent[1, k] = p.recent[1, k], p.recent[0, k]
        if not back:
            for k in range(RECENT):
                p.recent[0, k] = -1
            item = p.bought[int(uniform(s.key, AGAIN) * BOUGHT)]
            if item >= 0 and uniform(s.key, REPLENISH) < rules.sessions_replenish:
                p.recent[0, 0] = item  # it comes to mind with its category
                p.intent[0] = -2 - item  # told apart by the caller, who knows the item's category
            else:
                # Nested logit: a category's inclusive value moves with its prices as far as the
                # shopper minds them.
                total, n = 0.0, p.category_logit.shape[0]
                for c in range(n):
                    total += math.exp(p.category_logit[c] + p.price * lift[c])
                left, found = uniform(s.key, CATEGORY) * total, n - 1
                for c in range(n):
                    left -= math.exp(p.category_logit[c] + p.price * lift[c])
                    if left < 0:
                        found = c
                        break
                p.intent[0] = found
            for k in range(styles):
                p.intent_style[0, k] = rules.sessions_intent_style * normal(s.key, INTENT + 2 * k)
    p.intent_time[0] = s.time


@njit(cache=True)
def set_vector(p, s, which):
    """Weights of the item features: style, price, quality, appeal."""
    styles = p.taste.shape[0]
    for k in range(styles):
        s.vector[k] = (p.taste[k] + p.intent_style[which, k]) * s.own_taste
    s.vector[styles], s.vector[styles + 1], s.vector[styles + 2] = -s.price, 0.4, 1.0


@njit(cache=True)
def attraction(p, s, rules, item):
    """exp(utility) of a shelf record."""
    utility = item.lift
    for k in range(s.vector.shape[0]):
        utility += item.feature[k] * s.vector[k]
    if item.brand == p.favourite[s.focus // 2]:
        utility += rules.shoppers_brand_loyalty
    if item.category == s.focus:
        utility += rules.sessions_intent_match
    weight = math.exp(min(utility, 30.0))
    return weight if item.stocked == 1 else 0.0 if item.stocked == UNKNOWN else weight * GREYED


@njit(cache=True)
def load_page(p, s, shop, book):
    """Show page `s.page`. What was opened before is reached by going back, not from the page."""
    rules, shelf, slate = shop.rules[0], shop.shelf, shop.slates.shape[1]
    satiated = math.exp(-rules.sessions_satiation)
    keep = rules.truth_exposures > 0
    if keep:
        shown = book.pages[book.at[SHOWN]]
        book.at[SHOWN] += 1
        shown.time, shown.session, shown.policy = s.time, s.session, shop.policy[s.page]
    for k in range(slate):
        i = shop.slates[s.page, k]
        weight, known = 0.0, False
        if i >= 0:
            for j in range(RECENT):
                known = known or s.items[j] == i
            if not known:
                weight = attraction(p, s, rules, shelf[i])
                if p.seen[i % MEMORY]:
                    weight *= satiated
        s.items[RECENT + k], s.weight[RECENT + k] = i, weight
        if keep:
            shown.items[k], shown.known[k], shown.clicked[k] = i, known, 0
            shown.price[k] = shelf[i].price if i >= 0 else np.nan


@njit(cache=True)
def beside(shop, i, variant):
    """Row of the slate of similar items of `i`; of complements for n_items + i."""
    return (shop.n_queries * PAGES + 1) * shop.variants + i * ITEM_VARIANTS + variant


@njit(cache=True)
def search(p, s, shop, book, slot):
    """Type a query for the focus: the category, a price tier (thrifty shoppers want budget), or the
    favourite brand.
    """
    home, facets, u = shop.home, shop.facets, uniform(s.key, slot + QUERY)
    facet = 0
    if 0.45 <= u < 0.75:
        thrift = s.price / max(shop.rules[0].shoppers_price_sensitivity, 1e-6)
        facet = 1 + (0 if thrift > 1.25 else 1 if thrift > 0.75 else 2)
    elif u >= 0.75:
        for b in range(facets - 1 - N_TIERS - 1, -1, -1):
            if b < home.shape[1] and home[s.focus // 2, b] == p.favourite[s.focus // 2]:
                facet = 1 + N_TIERS + b
    s.query, s.depth = s.focus * facets + facet, 0
    row = write(book, event_codes.SEARCH, s)
    row.query = s.query
    s.time += 4.0 + 8.0 * uniform(s.key, slot + QUERY_TIME)
    s.page = (
        s.query * shop.variants + int(uniform(s.key, slot + QUERY_VARIANT) * shop.variants)
    ) * PAGES


@njit(cache=True)
def browse(p, s, shop, book):
    """Play a session from its first page to its end, writing searches, views and carts."""
    rules, shelf, variants = shop.rules[0], shop.shelf, shop.variants
    reach, slate = s.items.shape[0], shop.slates.shape[1]
    reopen = math.exp(rules.sessions_reopen)
    for k in range(RECENT):
        i = p.recent[0, k]
        s.items[k], s.weight[k] = i, 0.0
        if i >= 0:
            habit = 0.0
            for b in range(BOUGHT):
                if p.bought[b] == i:
                    habit = rules.sessions_habit
            s.weight[k] = attraction(p, s, rules, shelf[i]) * reopen * math.exp(habit)
    s.last, s.query, s.depth, s.views = -1, s.focus * shop.facets, 0, 0
    for step in range(int(rules.sessions_longest)):
        slot = STEP * (step + 1)
        # the first page: a search, a category, the front page, or what goes with the item seen last
        # time
        if step == 0:
            u, variant = uniform(s.key, slot + NEXT), int(uniform(s.key, slot + VARIANT) * variants)
            if u < 0.15 and s.items[0] >= 0 and s.typology < 0:
                s.page = beside(shop, s.items[0], variant % ITEM_VARIANTS)
            elif 0.15 <= u < 0.27:
                s.page = shop.n_queries * variants * PAGES + variant
            elif u < 0.55:
                s.page = (s.query * variants + variant) * PAGES
            else:
                search(p, s, shop, book, slot)
            load_page(p, s, shop, book)
            slot = STEP * (int(rules.sessions_longest) + 1)
        # Probabilities of each item within reach.
        inclusive = math.exp(
            rules.sessions_outside
            + rules.sessions_fatigue * s.views
            - rules.coupons_salience * s.pull
        )
        for k in range(RECENT):
            if s.items[k] != s.last:
                inclusive += s.weight[k]
        for k in range(slate):
            inclusive += s.weight[RECENT + k]
            s.chance[RECENT + k] = s.depths[k] / inclusive
        tail = 0.0
        for k in range(slate - 1, -1, -1):
            tail += s.chance[RECENT + k]
            s.chance[RECENT + k] = s.weight[RECENT + k] * tail
        for k in range(RECENT):
            s.chance[k] = s.weight[k] * tail if s.items[k] != s.last else 0.0
        left, pick = uniform(s.key, slot + CLICK), -1
        for k in range(reach):
            left -= s.chance[k]
            if left < 0:
                pick = k
                break
        s.time += rules.sessions_dwell * math.exp(0.9 * normal(s.key, slot + DWELL)) + 1.0
        s.page = -1
        if pick >= 0:
            click(p, s, shop, book, pick, slot)
        else:
            if uniform(s.key, slot + STAY) < 1.0 / (1.0 + math.exp(-s.leave)):
                break
            then = uniform(s.key, slot + THEN)
            if then < 0.45:
                s.depth += 1
                s.page = (
                    s.query * variants + int(uniform(s.key, slot + VARIANT) * variants)
                ) * PAGES + min(s.depth, PAGES - 1)
            else:
                if then >= 0.85 and p.intent[1] >= 0 and s.category < 0:
                    s.focus = p.intent[1]
                    set_vector(p, s, 1)
                search(p, s, shop, book, slot)
        if s.page >= 0:
            load_page(p, s, shop, book)
    if s.typology < 0:
        for k in range(RECENT):
            p.recent[0, k] = s.items[k]


@njit(cache=True)
def click(p, s, shop, book, pick, slot):
    """Open an item; perhaps put it into the cart; perhaps go on to what stands beside it."""
    rules, shelf, reach = shop.rules[0], shop.shelf, s.items.shape[0]
    again, i, weight, p_click = pick < RECENT, s.items[pick], s.weight[pick], s.chance[pick]
    item = shelf[i]
    rank = -1
    for k in range(reach):
        if s.chance[k] >= p_click:
            rank += 1
    row = write(book, event_codes.VIEW_ITEM, s)
    row.item, row.price, row.p_choice, row.rank = i, item.price, p_click, rank
    s.last = i
    p.seen[i % MEMORY] = 1
    s.views += 1
    # Appeal draws clicks, not purchases: popular items are looked at out of curiosity.
    utility = math.log(weight) - 2.45 * item.appeal - (rules.sessions_reopen if again else 0.0)
    logit = (
        rules.checkout_cart
        + p.propensity
        + s.cart
        + rules.checkout_cart_match * (utility - MATCH_CENTRE)
    )
    logit += (
        (rules.checkout_basket if p.cart_size > 0 else 0.0)
        + (0.6 if again else 0.0)
        + rules.coupons_pull * s.pull
    )
    there = p.cart_size >= CART
    for k in range(BOUGHT):
        if p.bought[k] == i:
            logit += rules.sessions_habit
            break
    for k in range(CART):
        there = there or p.cart[k] == i
    p_cart = 0.0 if there else 1.0 / (1.0 + math.exp(-logit))
    wants = uniform(s.key, slot + TO_CART) < p_cart
    if wants and item.stocked != 1:  # it would have been bought: a stock-out annoys
        wants = False
        if s.typology < 0 and uniform(s.key, slot + SOUR) < 0.3:
            p.hurt = max(p.hurt, 1)
            p.mood *= rules.churn_fading
    if item.stocked != 1:
        p_cart = 0.0
    if wants:
        s.time += 3.0 + 20.0 * uniform(s.key, slot + CART_TIME)
        behind = 0
        for k in range(reach):
            if k != pick and s.chance[k] * (1.0 - p_cart) >= p_cart:
                behind += 1
        row = write(book, event_codes.ADD_TO_CART, s)
        row.item, row.price, row.quantity, row.p_choice, row.rank = i, item.price, 1, p_cart, behind
        p.cart[p.cart_size] = i
        p.cart_size += 1
    # From the page to what can be opened again.
    if again:
        s.weight[pick] *= 0.6  # habituation
    else:
        s.weight[pick] = 0.0
        for k in range(RECENT - 1, 0, -1):
            s.items[k], s.weight[k] = s.items[k - 1], s.weight[k - 1]
        s.items[0], s.weight[0] = i, weight * math.exp(rules.sessions_reopen)
        if rules.truth_exposures > 0:
            book.pages[book.at[SHOWN] - 1].clicked[pick - RECENT] = 1
    u, variant = uniform(s.key, slot + NEXT), int(uniform(s.key, slot + VARIANT) * ITEM_VARIANTS)
    if wants and u < 0.5:
        s.page = beside(shop, len(shelf) + i, variant)
        s.focus = shop.partner[s.focus]
    elif not wants and u < rules.sessions_similar:
        s.page = beside(shop, i, variant)
