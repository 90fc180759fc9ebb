"""A burst: all sessions of a window of time browsed side by side, each step of all of them one numpy batch.

A session is intent -> page -> examination -> click, again and again. A page of K items is examined from the top, one
rank further with probability `examine` (the cascade model of Craswell et al. 2008); among what was examined, the items
that can be opened again and the outside option, the choice is a multinomial logit. Summed over depths d,

    P(click k) = w_k * sum_{d >= k} P(depth = d) / (w_0 + sum_{j <= d} w_j),      w = exp(utility),

which is drawn by inversion, so that the probability of every choice is known exactly and kept as truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from . import tape
from .recommender import Slates
from .scenario import Scenario
from .shoppers import BOUGHT, CART, CHANNELS, MEMORY, RECENT, Population
from .world import DAY, TIERS, World

MATCH_CENTRE = 4.0  # utility of a clicked item that leaves the log-odds to cart where the scenario puts them


@dataclass
class Goals:
    """What each session of a burst is after; fraudsters are shoppers with other goals. All (n,), changed in place."""

    price: np.ndarray      # float32, utility lost per unit of log price
    leave: np.ndarray      # float32, log-odds to leave when nothing is clicked
    cart: np.ndarray       # float32, shift of the log-odds to put an item into the cart
    begin: np.ndarray      # float32, shift of the log-odds to go to the checkout
    fail: np.ndarray       # float32, probability that a payment attempt fails
    attempts: np.ndarray   # int32, payment attempts before giving up
    category: np.ndarray   # int32, category that must be the intent, -1 = the shopper's own choice
    own_taste: np.ndarray  # float32, 1 = the account owner's taste, 0 = none
    redeem: np.ndarray     # float32, probability to order with a welcome coupon where there is one; honest: 0 after the first order


@dataclass
class Visits:
    """Sessions to be played: at most one per shopper. All (n,)."""

    user: np.ndarray      # int64
    start: np.ndarray     # float64 seconds
    typology: np.ndarray  # int8, -1 = honest, else the index of the fraud typology
    ring: np.ndarray      # int32, -1 = none
    device: np.ndarray    # int64, -1 = one of the shopper's own
    country: np.ndarray   # int8, -1 = the shopper's own
    card: np.ndarray      # int64, -1 = one of the shopper's own

    def __len__(self) -> int:
        return len(self.user)


@dataclass
class Burst:
    """Sessions while they are played. Row s of every array is session s of the burst."""

    visits: Visits
    goals: Goals
    session: np.ndarray    # (n,) int32 number of the session in the shard
    time: np.ndarray       # (n,) float64 seconds, now
    vector: np.ndarray     # (n, n_styles + 3) float32, weights of the item features
    focus: np.ndarray      # (n,) int32 category that the session is about
    views: np.ndarray      # (n,) int32
    bought: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))  # (n,) set by the checkout


class Browser:
    """Plays bursts for one shard. `show` sets what is on the shelves before each burst."""

    def __init__(self, scenario: Scenario, world: World, population: Population, rows: tape.Tape, rng: np.random.Generator) -> None:
        self.scenario, self.world, self.population, self.rows, self.rng = scenario, world, population, rows, rng
        self.n_sessions = 0
        self.session_table: list[dict[str, np.ndarray]] = []
        self.exposures: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # (exposure, slate row, slate items) per page load
        self.exposure_session: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.clicks: list[tuple[np.ndarray, np.ndarray]] = []
        self.n_exposures = 0
        slate, examine = scenario.sessions.slate, scenario.sessions.examine
        depth = examine ** np.arange(slate) * (1 - examine)
        depth[-1] = examine ** (slate - 1)
        self.depth = depth.astype(np.float32)  # (slate,) probability to look at exactly the first 1, 2, ... ranks
        self.satiated = np.float32(np.exp(-scenario.sessions.satiation))
        self.features = np.column_stack([world.style, world.price_z, world.quality, world.appeal]).astype(np.float32)
        self.pair = (world.category // 2).astype(np.int32)

    def show(self, slates: Slates, day: int) -> None:
        """Put the prices and pages of `day` in place."""
        self.slates = slates
        self.prices = self.world.prices(day)
        self.discount = self.world.discount[min(day, self.world.days - 1)]
        self.features[:, -3] = self.world.price_z + np.log1p(-self.discount)[self.world.category]
        # Inclusive value: a category that is cheap today is worth a look (logsum of a nested logit, to first order).
        self.category_lift = (-1.5 * np.log1p(-self.discount)).astype(np.float32)

    # --- opening -------------------------------------------------------------------------------------------------

    def open(self, visits: Visits, goals: Goals) -> Burst:
        """Start the sessions: device, channel, intent, first page's weights."""
        population, rng, n = self.population, self.rng, len(visits)
        user, attacked = visits.user, visits.typology >= 0
        own = np.where(rng.random(n) < 0.78, 0, 1)
        fresh = (rng.random(n) < 0.035) & ~attacked
        codes = population.n_devices + np.cumsum(fresh) - 1
        population.device[user[fresh], 1] = codes[fresh]
        population.n_devices += int(fresh.sum())
        device = np.where(fresh, codes, population.device[user, own])
        device = np.where(visits.device >= 0, visits.device, device)
        abroad = (rng.random(n) < 0.02) & ~attacked
        country = np.where(abroad, rng.integers(0, 8, n), population.country[user])
        country = np.where(visits.country >= 0, visits.country, country).astype(np.int8)
        channel = np.where(rng.random(n) < 0.5, 0, rng.integers(1, len(CHANNELS), n)).astype(np.int8)
        session = np.arange(self.n_sessions, self.n_sessions + n, dtype=np.int32)
        self.n_sessions += n
        self.session_table.append({
            "user": user.astype(np.int32), "device": device, "country": country, "channel": channel,
            "typology": visits.typology, "ring": visits.ring,
        })
        focus = self._intents(visits, goals)
        setting = self.scenario.shoppers
        drift = rng.normal(0, setting.drift, (n, population.taste.shape[1])).astype(np.float32)
        population.taste[user] += np.where(attacked[:, None], 0, drift)
        style = (population.taste[user] + population.intent_style[user, 0]) * goals.own_taste[:, None]
        vector = np.column_stack([style, -goals.price, np.full(n, 0.4), np.ones(n)]).astype(np.float32)
        return Burst(visits=visits, goals=goals, session=session, time=visits.start.copy(), vector=vector, focus=focus,
                     views=np.zeros(n, dtype=np.int32), bought=np.zeros(n, dtype=bool))

    def desk_sessions(self, user: np.ndarray, *, channel: np.ndarray | None = None, **given: np.ndarray) -> np.ndarray:
        """(n,) int32 numbers of new sessions in which nothing is browsed, from one of the shopper's devices.

        `given`: `typology`, `ring`, `device` and `country` (n,) of fraudsters; -1 = honest, none, the account's own.
        """
        n, population = len(user), self.population
        session = np.arange(self.n_sessions, self.n_sessions + n, dtype=np.int32)
        self.n_sessions += n
        device = population.device[user, np.where(self.rng.random(n) < 0.78, 0, 1)]
        own = {"device": device, "country": population.country[user], "typology": np.full(n, -1, dtype=np.int8),
               "ring": np.full(n, -1, dtype=np.int32)}
        for name, values in given.items():
            own[name] = np.where(values >= 0, values, own[name]).astype(own[name].dtype)
        channel = np.zeros(n, dtype=np.int8) if channel is None else channel
        self.session_table.append({"user": user.astype(np.int32), "channel": channel, **own})
        return session

    def _intents(self, visits: Visits, goals: Goals) -> np.ndarray:
        """(n,) int32 category of each session: the unfinished intent, the one before it, or a new one."""
        population, rng, setting = self.population, self.rng, self.scenario.sessions
        user, now, n = visits.user, visits.start, len(visits)
        alive = np.exp(-(now[:, None] - population.intent_time[user]) / (setting.intent_days * DAY)) * (population.intent[user] >= 0)
        u = rng.random((n, 2))
        keep = u[:, 0] < 0.9 * alive[:, 0]
        back = ~keep & (u[:, 1] < 0.7 * alive[:, 1])
        new = ~keep & ~back
        swap = user[back | new]
        population.intent[swap] = population.intent[swap, ::-1]
        population.intent_style[swap] = population.intent_style[swap, ::-1]
        population.intent_time[swap] = population.intent_time[swap, ::-1]
        who = user[new]
        logit = population.category_logit[who] + self.category_lift
        share = np.exp(logit - logit.max(1, keepdims=True)).cumsum(1)
        category = (share < rng.random(len(who))[:, None] * share[:, -1:]).sum(1)
        category = np.minimum(category, self.world.n_categories - 1)
        again = population.bought[who, rng.integers(0, BOUGHT, len(who))]
        again = np.where(rng.random(len(who)) < setting.replenish, again, -1)
        buys = who[again >= 0]  # the item comes to mind with its category
        population.recent[buys, 1:] = population.recent[buys, :-1]
        population.recent[buys, 0] = again[again >= 0]
        population.intent[who, 0] = np.where(again >= 0, self.world.category[again], category)
        population.intent_style[who, 0] = rng.normal(0, setting.intent_style, (len(who), population.taste.shape[1]))
        population.intent_time[user, 0] = now
        return np.where(goals.category >= 0, goals.category, population.intent[user, 0]).astype(np.int32)

    # --- browsing ------------------------------------------------------------------------------------------------

    def browse(self, burst: Burst) -> None:
        """Play all sessions of the burst to their end, writing searches, views and carts to the tape."""
        rng, setting, population = self.rng, self.scenario.sessions, self.population
        n, user = len(burst.visits), burst.visits.user
        # What is within reach, (n, RECENT + slate): the items that can be opened again, then the page.
        self.items = np.full((n, RECENT + setting.slate), -1, dtype=np.int32)
        self.weight = np.zeros(self.items.shape, dtype=np.float32)  # exp(utility)
        known = population.recent[user]
        habit = (known[:, :, None] == population.bought[user][:, None, :]).any(2) & (known >= 0)
        self.items[:, :RECENT] = known
        self.weight[:, :RECENT] = self._weights(burst, np.arange(n), known) * np.exp(
            np.float32(setting.reopen) + np.float32(setting.habit) * habit)
        self.last = np.full(n, -1, dtype=np.int32)
        self.query = burst.focus.astype(np.int64) * self.world.facets
        self.depth_of_list = np.zeros(n, dtype=np.int64)
        self.next_page = np.full(n, -1, dtype=np.int64)   # row of the slate to be shown next, -1 = stay on the page
        self.shown = np.full(n, -1, dtype=np.int64)       # exposure on the screen
        self._enter(burst)
        act = np.arange(n)
        for _ in range(setting.longest):
            if len(act) == 0:
                break
            chance = self.weight[act]
            chance[:, :RECENT] *= self.items[act, :RECENT] != self.last[act][:, None]
            outside = np.exp(np.float32(setting.outside) + np.float32(setting.fatigue) * burst.views[act])
            inclusive = (outside + chance[:, :RECENT].sum(1))[:, None] + chance[:, RECENT:].cumsum(1)  # of the first d ranks
            tail = (self.depth / inclusive)[:, ::-1].cumsum(1)[:, ::-1]                                # (m, slate)
            chance[:, :RECENT] *= tail[:, :1]
            chance[:, RECENT:] *= tail
            pick = (chance.cumsum(1) <= rng.random(len(act), dtype=np.float32)[:, None]).sum(1)
            clicks = pick < chance.shape[1]
            burst.time[act] += setting.dwell * np.exp(0.9 * rng.standard_normal(len(act), dtype=np.float32)) + 1.0
            stay = clicks.copy()
            self._click(burst, act[clicks], pick[clicks], chance[clicks])
            stay[~clicks] = self._look_elsewhere(burst, act[~clicks])
            act = act[stay]
            self._load(burst, act[self.next_page[act] >= 0])
        population.recent[user] = np.where(burst.visits.typology[:, None] >= 0, population.recent[user], self.items[:, :RECENT])
        population.last_end[user] = burst.time

    def _weights(self, burst: Burst, who: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(m, k) float32: exp(utility) of `items` (m, k) for sessions `who` (m,); 0 where there is no item."""
        shoppers, world = self.scenario.shoppers, self.world
        utility = np.einsum("mkf,mf->mk", self.features[items], burst.vector[who])
        focus = burst.focus[who]
        favourite = self.population.favourite[burst.visits.user[who], focus // 2]
        utility += np.float32(shoppers.brand_loyalty) * (world.brand[items] == favourite[:, None])
        utility += np.float32(self.scenario.sessions.intent_match) * (world.category[items] == focus[:, None])
        return np.exp(np.minimum(utility, 30)) * (items >= 0)

    def _load(self, burst: Burst, who: np.ndarray) -> None:
        """Show their next page to sessions `who` (m,). What was opened before is reached by going back, not from the page."""
        rows = self.next_page[who]
        self.next_page[who] = -1
        items = self.slates.items[rows]
        within_reach = (items[:, :, None] == self.items[who, None, :RECENT]).any(2)
        weight = self._weights(burst, who, items)
        weight[within_reach] = 0
        weight[self.population.seen[burst.visits.user[who][:, None], items % MEMORY]] *= self.satiated
        self.items[who, RECENT:] = items
        self.weight[who, RECENT:] = weight
        if self.scenario.truth.exposures:
            self.shown[who] = np.arange(self.n_exposures, self.n_exposures + len(who))
            self.exposure_session.append((burst.session[who], burst.time[who].copy(), self.slates.policy[rows]))
            self.exposures.append((items, np.round(self.prices[items], 2), within_reach))
            self.n_exposures += len(who)

    def _variant(self, n: int) -> np.ndarray:
        return self.rng.integers(0, self.slates.variants, n)

    def _enter(self, burst: Burst) -> None:
        """The first page: a search, a category, the front page, or what goes with the item seen last time."""
        n = len(burst.visits)
        u, variant = self.rng.random(n), self._variant(n)
        last = self.items[:, 0]
        beside = (u < 0.15) & (last >= 0) & (burst.visits.typology < 0)
        front = (u >= 0.15) & (u < 0.27)
        listing = self.slates.result(self.query, variant, self.depth_of_list)
        self.next_page[:] = np.where(beside, self.slates.similar(last, variant), np.where(front, self.slates.trending(variant), listing))
        self._search(burst, np.flatnonzero(u >= 0.55))
        self._load(burst, np.arange(n))

    def _search(self, burst: Burst, who: np.ndarray) -> None:
        """Type a query for the focus: the category, a price tier (thrifty shoppers want budget), or the favourite brand."""
        m = len(who)
        u, user, focus = self.rng.random(m), burst.visits.user[who], burst.focus[who]
        thrift = burst.goals.price[who] / max(self.scenario.shoppers.price_sensitivity, 1e-6)
        tier = np.where(thrift > 1.25, 0, np.where(thrift > 0.75, 1, 2))
        facet = np.where(u < 0.45, 0, np.where(u < 0.75, 1 + tier, 0))
        favourite = self.population.favourite[user, focus // 2]
        place = (self.world.home_brands[focus // 2, : self.world.facets - 1 - len(TIERS)] == favourite[:, None])
        facet = np.where((u >= 0.75) & place.any(1), 1 + len(TIERS) + place.argmax(1), facet)
        self.query[who] = focus * self.world.facets + facet
        self.depth_of_list[who] = 0
        self.rows.add(tape.SEARCH, session=burst.session[who], time=burst.time[who], query=self.query[who])
        burst.time[who] += 4.0 + 8.0 * self.rng.random(m)
        self.next_page[who] = self.slates.result(self.query[who], self._variant(m), self.depth_of_list[who])

    def _click(self, burst: Burst, who: np.ndarray, pick: np.ndarray, chance: np.ndarray) -> None:
        """Open an item; perhaps put it into the cart; perhaps go on to what stands beside it."""
        rng, setting, population = self.rng, self.scenario.sessions, self.population
        again = pick < RECENT
        item, weight, p = self.items[who, pick], self.weight[who, pick], chance[np.arange(len(who)), pick]
        rank = (chance >= p[:, None]).sum(1) - 1
        self.rows.add(tape.VIEW, session=burst.session[who], time=burst.time[who], item=item, price=self.prices[item],
                      p_choice=p, rank=rank)
        self.last[who] = item
        population.seen[burst.visits.user[who], item % MEMORY] = True
        burst.views[who] += 1
        old, fresh, place = who[again], who[~again], pick[~again]
        self.weight[old, pick[again]] *= np.float32(0.6)  # habituation
        self.weight[fresh, place] = 0                     # from the page to what can be opened again
        for within, newest in ((self.items, item[~again]), (self.weight, weight[~again] * np.float32(np.exp(setting.reopen)))):
            within[fresh, 1:RECENT] = within[fresh, :RECENT - 1]
            within[fresh, 0] = newest
        if self.scenario.truth.exposures:
            self.clicks.append((self.shown[fresh], place - RECENT))

        checkout, user = self.scenario.checkout, burst.visits.user[who]
        # Appeal draws clicks, not purchases: popular items are looked at out of curiosity.
        utility = np.log(weight) - again * setting.reopen - 1.8 * self.world.appeal[item]
        owned = (population.bought[user] == item[:, None]).any(1)
        size = population.cart_size[user]
        logit = (checkout.cart + population.propensity[user] + burst.goals.cart[who]
                 + checkout.cart_match * (utility - MATCH_CENTRE) + checkout.basket * (size > 0) + 0.6 * again + setting.habit * owned)
        logit = np.where((size >= CART) | (population.cart[user] == item[:, None]).any(1), -np.inf, logit)
        p_cart = 1 / (1 + np.exp(-logit))
        cart = rng.random(len(who)) < p_cart
        put = who[cart]
        if len(put):
            burst.time[put] += 3.0 + 20.0 * rng.random(len(put))
            others = np.where(np.arange(chance.shape[1]) == pick[cart][:, None], 0, chance[cart]) * (1 - p_cart[cart])[:, None]
            self.rows.add(tape.CART, session=burst.session[put], time=burst.time[put], item=item[cart], price=self.prices[item[cart]],
                          quantity=1, p_choice=p_cart[cart], rank=(others >= p_cart[cart][:, None]).sum(1))
            population.cart[user[cart], size[cart]] = item[cart]
            population.cart_size[user[cart]] += 1
        u, variant = rng.random(len(who)), self._variant(len(who))
        self.next_page[who] = np.where(cart & (u < 0.5), self.slates.complement(item, variant),
                                       np.where(~cart & (u < setting.similar), self.slates.similar(item, variant), -1))
        turn = who[cart & (u < 0.5)]
        burst.focus[turn] = self.world.partner[burst.focus[turn]]

    def _look_elsewhere(self, burst: Burst, who: np.ndarray) -> np.ndarray:
        """Nothing on the page: leave, turn the page, search anew, or turn to the other intent. (m,) bool: who stays."""
        leave = 1 / (1 + np.exp(-burst.goals.leave[who]))
        u = self.rng.random((len(who), 2))
        stay = u[:, 0] >= leave
        then = u[:, 1]
        turn = who[stay & (then < 0.45)]
        self.depth_of_list[turn] += 1
        self.next_page[turn] = self.slates.result(self.query[turn], self._variant(len(turn)), self.depth_of_list[turn])
        other = stay & (then >= 0.85)
        switch = who[other]
        if len(switch):
            category = self.population.intent[burst.visits.user[switch], 1]
            possible = (category >= 0) & (burst.goals.category[switch] < 0)
            burst.focus[switch] = np.where(possible, category, burst.focus[switch])
            styles = self.population.taste.shape[1]
            style = self.population.taste[burst.visits.user[switch]] + self.population.intent_style[burst.visits.user[switch], 1]
            burst.vector[switch, :styles] = np.where(possible[:, None], style, burst.vector[switch, :styles])
        self._search(burst, who[stay & (then >= 0.45)])
        return stay

