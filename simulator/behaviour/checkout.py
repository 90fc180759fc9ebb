"""From the cart to the order, and what follows it: delivery, refund, review, and whether the
shopper comes back. Compiled.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simulator import event_codes
from simulator.behaviour.sessions import NOTES, ORDERS, ROWS, STOLEN, TILL, Browser, write
from simulator.behaviour.shoppers import BOUGHT, CART, RESERVED
from simulator.counter_rng import child, normal, uniform
from simulator.world.catalogue import DAY

BROWSE = -1  # a note's kind: an ordinary visit
# median and log-sd of the days until an order is followed by a visit for more
MORE_DAYS, MORE_SIGMA = 9.0, 0.8
SHIPPING_FREE = 35.0  # an order below this pays shipping, which is where the price shock comes from
(
    BEGINS,
    CLEARS,
    CLEAR_TIME,
    FORGETS,
    BEGIN_TIME,
    SHOCK,
    CARD,
    PAY_TIME,
    PAID_TIME,
    REDEEMS,
    LATE,
    BACK,
    SULK,
    TURNS,
    REVIEWS,
    BACK_TIME,
    REVIEW_TIME,
    MORE,
    MORE_TIME,
    DIES,
    CALMS,
    RETURNS,
    RETURN_TIME,
) = (TILL + 2 * k for k in range(23))
ATTEMPT, LINE = TILL + 64, TILL + 128
# Children of a visit's key: the visits that it leads to.
KEY_RETURN, KEY_MORE, KEY_BACK, KEY_REVIEW, KEY_REMIND = range(1, 6)

NOTE = np.dtype(
    [
        ("time", "f8"),
        ("made", "f8"),
        ("key", "u8"),
        ("user", "i8"),
        ("ref", "i8"),
        ("goal", "i4"),
        ("kind", "i2"),
    ],
    align=True,
)


class OrderIndex:
    """What the orders of a shard held; fraudsters ask."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.order_table: list[dict[str, np.ndarray]] = []
        self._told = 0

    def close(self) -> None:
        """At the end of a day: its orders join the table."""
        orders = self.browser.orders.written[self._told :]
        self._told = self.browser.orders.n
        self.order_table.append(
            {name: orders[name].copy() for name in ("user", "typology", "ring", "time", "views")}
        )

    def line_of(self, order: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(k,) item and price of a random line of each order (k,)."""
        orders = self.browser.orders.written[order]
        row = self.browser.rows.written[
            orders["first"] + (rng.random(len(order)) * orders["lines"]).astype(np.int64)
        ]
        return row["item"], row["price"]


@njit(cache=True)
def remind(book, s, kind, time, user, ref, n):
    """Leave a note: `user` is due at `time`."""
    note = book.notes[book.at[NOTES]]
    book.at[NOTES] += 1
    note.time, note.made, note.key, note.user, note.ref, note.goal, note.kind = (
        time,
        s.time,
        child(s.key, n),
        user,
        ref,
        -1,
        kind,
    )


@njit(cache=True)
def check_out(p, s, shop, book):
    """The cart is taken to the till or not. Returns the amount paid, 0 where nothing was bought;
    `s.order` is the order's number.
    """
    rules, shelf = shop.rules[0], shop.shelf
    s.order = -1
    if p.cart_size == 0:
        return 0.0
    honest = s.typology < 0
    logit = (
        rules.checkout_begin
        + 0.6 * p.propensity
        + p.trust
        + s.begin
        + 0.25 * (p.cart_size - 1)
        + rules.coupons_pull * s.pull
    )
    if uniform(s.key, BEGINS) >= 1.0 / (1.0 + math.exp(-logit)):
        put_back(p, s, shop, book)
        return 0.0
    gone, kept = 0, 0
    for k in range(p.cart_size):  # what is sold out meanwhile cannot be had
        if shelf[p.cart[k]].stocked == 1:
            p.cart[kept] = p.cart[k]
            kept += 1
        else:
            gone += 1
    for k in range(kept, p.cart_size):
        p.cart[k] = -1
    p.cart_size = kept
    if gone > 0 and honest:
        p.hurt = max(p.hurt, 1)
    if kept == 0:
        return 0.0
    s.time += 5.0 + 40.0 * uniform(s.key, BEGIN_TIME)
    write(book, event_codes.BEGIN_CHECKOUT, s)
    total = 0.0
    for k in range(kept):
        total += shelf[p.cart[k]].price
    if honest and total < SHIPPING_FREE and uniform(s.key, SHOCK) < rules.checkout_shipping_shock:
        return 0.0
    # The main card, the second, or one that the shop has not seen.
    u = uniform(s.key, CARD)
    card = p.card[0 if u < 0.78 else 1]
    if s.card >= 0:
        card = s.card
    elif u >= 0.92:
        p.cards += 1
        card = (1 + p.cards) * shop.n + s.user % shop.n
        p.card[1] = card
    s.time += 15.0 + 60.0 * uniform(s.key, PAY_TIME)
    row = write(book, event_codes.ADD_PAYMENT_INFO, s)
    row.card = card
    paid = False
    for attempt in range(s.attempts):
        slot = ATTEMPT + 4 * attempt
        s.time += 8.0 + 30.0 * uniform(s.key, slot)
        if uniform(s.key, slot + 1) >= s.fail:
            paid = True
            break
        row = write(book, event_codes.PAYMENT_FAILED, s)
        row.card = card
        if honest:  # another card of theirs half the time
            card = p.card[1] if uniform(s.key, slot + 2) < 0.5 else card
        else:  # who tests cards always has another one
            card = RESERVED + (RESERVED >> 1) + book.at[STOLEN]
            book.at[STOLEN] += 1
    if not paid:
        return 0.0
    return purchase(p, s, shop, book, card)


@njit(cache=True)
def purchase(p, s, shop, book, card):
    """One row per line of the order, and one for the coupon; the cart is empty afterwards. Returns
    the amount paid.
    """
    rules, shelf, at = shop.rules[0], shop.shelf, book.at
    s.time += 3.0 + 10.0 * uniform(s.key, PAID_TIME)
    off, coupon = 0.0, -1
    if p.coupon > 0 and s.time < p.until and s.typology < 0:
        off, coupon = p.coupon, p.campaign
        p.coupon = 0.0
    elif uniform(s.key, REDEEMS) < s.redeem:
        off, coupon = rules.coupons_welcome_discount, 0
    order = book.orders[at[ORDERS]]
    s.order = at[ORDERS]
    at[ORDERS] += 1
    first = at[ROWS]
    if coupon >= 0:
        row = write(book, event_codes.COUPON_REDEEM, s)
        row.coupon, row.order, row.discount = coupon, s.order, off
        first += 1
    amount = 0.0
    for k in range(p.cart_size):
        i = p.cart[k]
        price = shelf[i].price
        row = write(book, event_codes.PURCHASE, s)
        row.item, row.order, row.card, row.p_choice, row.rank, row.quantity = (
            i,
            s.order,
            card,
            1.0 - s.fail,
            0,
            1,
        )
        if price < 60.0 and uniform(s.key, LINE + 2 * k) < 0.08:
            # Geometric with p = .6, at least 1, beyond the first.
            row.quantity = 2 + int(math.log(1.0 - uniform(s.key, LINE + 2 * k + 1)) / math.log(0.4))
        row.price = np.round(price * (1.0 - off) * 100.0) / 100.0
        row.discount = shelf[i].off  # the coupon's is in its own row
        amount += row.price * row.quantity
    order.time, order.first, order.lines = s.time, first, p.cart_size
    order.user, order.ring, order.views, order.typology = s.user, s.ring, s.views, s.typology
    if s.typology < 0:
        for k in range(BOUGHT - 1, 0, -1):
            p.bought[k] = p.bought[k - 1]
        p.bought[0] = p.cart[0]
    for k in range(CART):
        p.cart[k] = -1
    p.cart_size = 0
    s.bought = 1
    return amount


@njit(cache=True)
def put_back(p, s, shop, book):
    """Some who leave with a filled cart clear an item; some lose interest in all of it; the others
    find it again next time.
    """
    if uniform(s.key, CLEARS) < 0.12:
        p.cart_size -= 1
        i = p.cart[p.cart_size]
        p.cart[p.cart_size] = -1
        s.time += 5.0 + 10.0 * uniform(s.key, CLEAR_TIME)
        row = write(book, event_codes.REMOVE_FROM_CART, s)
        row.item, row.price, row.quantity, row.p_choice, row.rank = (
            i,
            shop.shelf[i].price,
            1,
            0.12,
            0,
        )
    if uniform(s.key, FORGETS) < shop.rules[0].checkout_forget:
        p.cart_size = 0
        for k in range(CART):
            p.cart[k] = -1


@njit(cache=True)
def follow_up(p, s, shop, book):
    """What an honest order leads to: delivery, late or not, refund, review, a visit for more. A
    twin's claims are nobody's business.
    """
    rules, end, twin = shop.rules[0], shop.end, s.user >= shop.n
    p.orders += 1
    late = uniform(s.key, LATE) < rules.checkout_late
    back = uniform(s.key, BACK) < rules.checkout_refund * (2.0 if late else 0.9)
    if late or (back and uniform(s.key, SULK) < 0.5):
        p.hurt = 1
        p.mood *= rules.churn_fading
    elif not back:
        # most of it from the first orders
        p.trust += rules.checkout_trust * math.exp(-0.5 * p.orders)
    # The wish is fulfilled: its partner category comes to mind, or nothing.
    turns = uniform(s.key, TURNS) < rules.sessions_complement and p.intent[0] >= 0
    p.intent[0] = shop.partner[p.intent[0]] if turns else -1
    if uniform(s.key, MORE) < rules.checkout_back_for_more:
        time = s.time + DAY * MORE_DAYS * math.exp(MORE_SIGMA * normal(s.key, MORE_TIME))
        if time < end:
            remind(book, s, BROWSE, time, s.user, -1, KEY_MORE)
    if twin:
        return
    if back:
        time = s.time + DAY * (2.0 + 9.0 * math.exp(0.5 * normal(s.key, BACK_TIME)))
        if time < end:
            remind(book, s, event_codes.REFUND, time, s.user, s.order, KEY_BACK)
    if uniform(s.key, REVIEWS) < rules.checkout_review:
        time = s.time + DAY * (2.0 + 6.0 * math.exp(0.7 * normal(s.key, REVIEW_TIME)))
        if time < end:
            remind(book, s, event_codes.REVIEW, time, s.user, s.order, KEY_REVIEW)


@njit(cache=True)
def end_session(p, s, shop, book):
    """After an honest session: gone for good, back within about a day, or just until next time."""
    rules = shop.rules[0]
    hazard = min(p.hazard * (rules.churn_bad_experience if p.hurt > 0 else 1.0), 0.95)
    if uniform(s.key, DIES) < hazard:
        p.alive, p.died, p.reason = 0, s.time, p.hurt
        return
    if uniform(s.key, CALMS) < 0.4:
        p.hurt = 0
    p.mood += 0.15 * (1.0 - p.mood)
    if s.bought == 0 and s.views > 1 and uniform(s.key, RETURNS) < rules.sessions_return_visit:
        time = s.time + 16.0 * 3_600.0 * math.exp(0.9 * normal(s.key, RETURN_TIME))
        if time < shop.end:
            remind(book, s, BROWSE, time, s.user, -1, KEY_RETURN)
