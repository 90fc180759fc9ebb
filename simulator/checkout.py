"""From the cart to the order, and what follows it: delivery, refund, review, and whether the shopper comes back."""

from __future__ import annotations

import numpy as np

from . import tape
from .sessions import Browser, Burst
from .shoppers import CART
from .world import DAY

BROWSE = -1           # a note's kind: an ordinary visit
MORE_DAYS, MORE_SIGMA = 12.0, 1.0  # median and log-sd of the days until an order is followed by a visit for more
SHIPPING_FREE = 35.0  # an order below this pays shipping, which is where the price shock comes from


class Till:
    """Plays the end of each session. `orders` and `follow_ups` grow; the engine reads them."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.n_orders = 0
        self.order_table: list[dict[str, np.ndarray]] = []
        self.lines: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # lines of each order; item and price of each line

    def check_out(self, burst: Burst) -> tuple[np.ndarray, np.ndarray]:
        """Carts that are taken to the till. Returns (sessions that bought (k,), their order numbers (k,))."""
        browser, rng = self.browser, self.browser.rng
        population, setting = browser.population, browser.scenario.checkout
        size = population.cart_size[burst.visits.user]
        who = np.flatnonzero(size > 0)
        user = burst.visits.user[who]
        honest = burst.visits.typology[who] < 0
        logit = setting.begin + 0.6 * population.propensity[user] + population.trust[user]
        logit += burst.goals.begin[who] + 0.25 * (size[who] - 1)
        begins = rng.random(len(who)) < 1 / (1 + np.exp(-logit))
        self._put_back(burst, who[~begins])
        who, user, honest = who[begins], user[begins], honest[begins]
        if len(who) == 0:
            return who, who
        burst.time[who] += 5.0 + 40.0 * rng.random(len(who))
        browser.rows.add(tape.CHECKOUT, session=burst.session[who], time=burst.time[who])
        cart = population.cart[user]
        total = np.where(cart >= 0, browser.prices[cart], 0).sum(1)
        shocked = (rng.random(len(who)) < setting.shipping_shock) & (total < SHIPPING_FREE) & honest
        who, user, honest = who[~shocked], user[~shocked], honest[~shocked]
        card = self._cards(burst, who)
        burst.time[who] += 15.0 + 60.0 * rng.random(len(who))
        browser.rows.add(tape.PAYMENT, session=burst.session[who], time=burst.time[who], card=card)
        paid, card = self._pay(burst, who, card)
        who, card = who[paid], card[paid]
        return who, self._purchase(burst, who, card)

    def _put_back(self, burst: Burst, who: np.ndarray) -> None:
        """Some who leave with a filled cart clear it; the others find it again next time."""
        population, rng = self.browser.population, self.browser.rng
        clears = who[rng.random(len(who)) < 0.12]
        user = burst.visits.user[clears]
        last = population.cart_size[user] - 1
        item = population.cart[user, last]
        burst.time[clears] += 5.0 + 10.0 * rng.random(len(clears))
        self.browser.rows.add(tape.UNCART, session=burst.session[clears], time=burst.time[clears], item=item,
                              price=self.browser.prices[item], quantity=1, p_choice=0.12, rank=0)
        population.cart[user, last] = -1
        population.cart_size[user] = last
        # Others lose interest: the cart is empty when they come again, without a word.
        forgets = burst.visits.user[who[rng.random(len(who)) < self.browser.scenario.checkout.forget]]
        population.cart[forgets] = -1
        population.cart_size[forgets] = 0

    def _cards(self, burst: Burst, who: np.ndarray) -> np.ndarray:
        """(k,) int64 card that each session pays with: the main one, the second, or one that the shop has not seen."""
        population, rng = self.browser.population, self.browser.rng
        user, given = burst.visits.user[who], burst.visits.card[who]
        u = rng.random(len(who))
        card = population.card[user, np.where(u < 0.78, 0, 1)]
        fresh = (u >= 0.92) & (given < 0)
        card[fresh] = population.n_cards + np.arange(int(fresh.sum()))
        population.n_cards += int(fresh.sum())
        population.card[user[fresh], 1] = card[fresh]
        return np.where(given >= 0, given, card)

    def _pay(self, burst: Burst, who: np.ndarray, card: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Payment attempts, each perhaps with another card. (k,) bool paid, (k,) int64 card of the last attempt."""
        browser, rng, population = self.browser, self.browser.rng, self.browser.population
        paid = np.zeros(len(who), dtype=bool)
        left = np.arange(len(who))
        card = card.copy()
        for attempt in range(int(burst.goals.attempts[who].max(initial=0))):
            left = left[attempt < burst.goals.attempts[who[left]]]
            burst.time[who[left]] += 8.0 + 30.0 * rng.random(len(left))
            failed = rng.random(len(left)) < burst.goals.fail[who[left]]
            paid[left[~failed]] = True
            left = left[failed]
            browser.rows.add(tape.FAILED, session=burst.session[who[left]], time=burst.time[who[left]], card=card[left])
            honest = burst.visits.typology[who[left]] < 0
            # Honest shoppers try another card of theirs half the time; who tests cards always has another one.
            other = np.where(rng.random(len(left)) < 0.5, population.card[burst.visits.user[who[left]], 1], card[left])
            next_stolen = population.n_cards + np.arange(len(left))
            population.n_cards += len(left)
            card[left] = np.where(honest, other, next_stolen)
        return paid, card

    def _purchase(self, burst: Burst, who: np.ndarray, card: np.ndarray) -> np.ndarray:
        """One row per line of each order; the cart is empty afterwards. (k,) int32 order numbers."""
        browser, rng, population = self.browser, self.browser.rng, self.browser.population
        user = burst.visits.user[who]
        order = np.arange(self.n_orders, self.n_orders + len(who), dtype=np.int32)
        self.n_orders += len(who)
        burst.time[who] += 3.0 + 10.0 * rng.random(len(who))
        cart, size = population.cart[user], population.cart_size[user]
        line = np.repeat(np.arange(len(who)), size)
        item = cart[np.arange(CART) < size[:, None]]
        price = browser.prices[item]
        many = (rng.random(len(item)) < 0.08) & (price < 60)
        quantity = np.where(many, 1 + rng.geometric(0.6, len(item)), 1)
        browser.rows.add(tape.PURCHASE, session=burst.session[who][line], time=burst.time[who][line], item=item, price=price,
                         quantity=quantity, order=order[line], card=card[line], discount=browser.discount[browser.world.category[item]],
                         p_choice=1 - burst.goals.fail[who][line], rank=0)
        self.order_table.append({"user": user.astype(np.int32), "typology": burst.visits.typology[who], "ring": burst.visits.ring[who],
                                 "time": burst.time[who].copy(), "views": burst.views[who].copy()})
        honest = burst.visits.typology[who] < 0
        population.bought[user[honest], 1:] = population.bought[user[honest], :-1]
        population.bought[user[honest], 0] = cart[honest, 0]
        self.lines.append((np.bincount(line), item, price))
        population.cart[user] = -1
        population.cart_size[user] = 0
        burst.bought[who] = True
        return order

    def line_of(self, order: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(k,) item and price of a random line of each order (k,)."""
        if len(self.lines) > 1:
            self.lines = [(np.concatenate(a), np.concatenate(b), np.concatenate(c)) for a, b, c in [zip(*self.lines, strict=True)]]
        sizes, item, price = self.lines[0]
        first = np.cumsum(sizes) - sizes
        at = first[order] + (rng.random(len(order)) * sizes[order]).astype(np.int64)
        return item[at], price[at]

    def follow_ups(self, burst: Burst, who: np.ndarray, order: np.ndarray, end: float) -> list[tuple[float, int, int, int]]:
        """(time, user, event, order) of refunds and reviews of honest orders, before `end`; marks late deliveries."""
        browser, rng, setting = self.browser, self.browser.rng, self.browser.scenario.checkout
        population = browser.population
        honest = burst.visits.typology[who] < 0
        who, order = who[honest], order[honest]
        user, now = burst.visits.user[who], burst.time[who]
        population.orders[user] += 1
        late = rng.random(len(who)) < setting.late
        back = rng.random(len(who)) < setting.refund * np.where(late, 2.0, 0.9)
        hurt = user[late | (back & (rng.random(len(who)) < 0.5))]
        population.hurt[hurt] = 1
        population.mood[hurt] *= browser.scenario.churn.fading
        pleased = user[~late & ~back]
        population.trust[pleased] += setting.trust * np.exp(-0.5 * population.orders[pleased])  # most of it from the first orders
        # The wish is fulfilled: its partner category comes to mind, or nothing.
        turns = rng.random(len(who)) < browser.scenario.sessions.complement
        population.intent[user, 0] = np.where(turns, browser.world.partner[population.intent[user, 0]], -1)
        reviews = rng.random(len(who)) < setting.review
        at_back = now + DAY * (2 + 9 * rng.lognormal(0, 0.5, len(who)))
        at_review = now + DAY * (2 + 6 * rng.lognormal(0, 0.7, len(who)))
        more = rng.random(len(who)) < setting.back_for_more
        at_more = now + DAY * MORE_DAYS * rng.lognormal(0, MORE_SIGMA, len(who))
        found = [(at_more[i], int(user[i]), BROWSE, -1) for i in np.flatnonzero(more & (at_more < end))]
        found += [(at_back[i], int(user[i]), tape.REFUND, int(order[i])) for i in np.flatnonzero(back & (at_back < end))]
        found += [(at_review[i], int(user[i]), tape.REVIEW, int(order[i])) for i in np.flatnonzero(reviews & (at_review < end))]
        return found
