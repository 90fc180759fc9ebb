"""A day of sessions, compiled: each note is a shopper who is due, and is played from the door to
what follows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simulator import event_codes
from simulator.behaviour.campaigns import offer
from simulator.behaviour.checkout import (
    BROWSE,
    KEY_REMIND,
    check_out,
    end_session,
    follow_up,
    remind,
)
from simulator.behaviour.sessions import (
    ABROAD,
    CHANNEL,
    DIRECT,
    DRIFT,
    FRESH_DEVICE,
    HONEST,
    LEAVE,
    N_CHANNELS,
    N_COUNTRIES,
    NOTES,
    OFFERS,
    ORDERS,
    OWN_DEVICE,
    ROWS,
    SESSIONS,
    SHOWN,
    STOLEN,
    WHERE,
    browse,
    find_intent,
    set_vector,
    write,
)
from simulator.counter_rng import normal, uniform
from simulator.world.catalogue import DAY

PAUSE = 1_800.0  # seconds that lie at least between two sessions of a shopper
# share of honest reviews that are about something looked at here and bought elsewhere
UNBOUGHT = 0.15
TURN_UP, DESK_DEVICE, DESK_TIME, DESK_VIEW, LINE_OF, ELSEWHERE, SCORE, REMIND, REMIND_TIME = (
    40,
    41,
    42,
    43,
    44,
    45,
    46,
    48,
    49,
)


@njit(cache=True)
def play(notes, first, people, walk, shop, book, room):
    """Play `notes[first:]` until all are played or less than `room` is left in a roll; returns the
    first that is not played.
    """
    s, at, n = walk[0], book.at, shop.n
    keeps = shop.rules[0].truth_exposures > 0
    for i in range(first, len(notes)):
        if (
            len(book.rows) - at[ROWS] < room
            or len(book.sessions) - at[SESSIONS] < 2
            or len(book.orders) - at[ORDERS] < 2
            or len(book.notes) - at[NOTES] < 16
            or len(book.offers) - at[OFFERS] < 1
            or (keeps and len(book.pages) - at[SHOWN] < room)
        ):
            return i
        note = notes[i]
        if note.user >= n and note.made < offer_time(people[note.user], book.offers):
            continue  # left by the twin of an earlier campaign
        kept = (at[ROWS], at[SESSIONS], at[ORDERS], at[SHOWN], at[STOLEN], at[HONEST])
        offered = begin_session(note, note.user, people, s, shop, book)
        if note.user < n:
            # What was due before the offer is due in both worlds.
            p = people[note.user]
            kept = (at[ROWS], at[SESSIONS], at[ORDERS], at[SHOWN], at[STOLEN], at[HONEST])
            both = not offered and note.made < offer_time(p, book.offers) and note.time < p.until
            if both and note.kind != event_codes.REFUND and note.kind != event_codes.REVIEW:
                begin_session(note, n + note.user, people, s, shop, book)
        # What a twin wrote is wound back: only his outcome stays.
        at[ROWS], at[SESSIONS], at[ORDERS], at[SHOWN], at[STOLEN], at[HONEST] = kept
    return len(notes)


@njit(cache=True)
def offer_time(p, offers):
    """When the shopper's last offer was made; before all times where there was none."""
    return offers[p.offer].time if p.offer >= 0 else -np.inf


@njit(cache=True)
def begin_session(note, user, people, s, shop, book):
    """One note of one shopper (or twin): does he come, and if so, all that happens. True if he was
    made an offer.
    """
    p, rules, at, n = people[user], shop.rules[0], book.at, shop.n
    s.key, s.user = note.key, user
    s.time = max(note.time, p.last_end + PAUSE)
    attacked = note.goal >= 0
    # A shopper in a bad mood plans as before and comes less often; a thief does not ask.
    if (
        not p.alive
        or s.time >= shop.end
        or (note.kind == BROWSE and not attacked and uniform(s.key, TURN_UP) >= p.mood)
    ):
        return False
    if user >= n and s.time >= p.until:  # a twin's world ends with the window
        return False
    s.typology, s.ring, s.device, s.country, s.card = -1, -1, -1, p.country, -1
    s.price, s.cart, s.begin, s.fail, s.attempts, s.category, s.own_taste = (
        p.price,
        0.0,
        0.0,
        rules.checkout_payment_failure,
        2,
        -1,
        1.0,
    )
    base = math.log(rules.sessions_leave / (1.0 - rules.sessions_leave))
    s.leave = base + rules.sessions_leave_sigma * normal(s.key, LEAVE)
    s.redeem = rules.coupons_welcome if p.orders == 0 else 0.0
    s.session, s.bought, s.views, s.order = at[SESSIONS], 0, 0, -1
    if note.kind == event_codes.REFUND or note.kind == event_codes.REVIEW:
        desk(note, p, s, shop, book)
        return False
    if attacked:
        g = shop.goals[note.goal]
        s.typology, s.ring, s.device, s.card = g.typology, g.ring, g.device, g.card
        s.country = g.country if g.country >= 0 else p.country
        s.price, s.leave, s.cart, s.begin, s.fail, s.attempts = (
            g.price,
            g.leave,
            g.cart,
            g.begin,
            g.fail,
            g.attempts,
        )
        s.category, s.own_taste, s.redeem = g.category, g.own_taste, g.redeem
    else:
        at[HONEST] += 1
        if uniform(s.key, ABROAD) < 0.02:
            s.country = int(uniform(s.key, WHERE) * N_COUNTRIES)
    if s.device < 0:
        if not attacked and uniform(s.key, FRESH_DEVICE) < 0.035:
            p.devices += 1
            p.device[1] = (1 + p.devices) * n + user % n
            s.device = p.device[1]
        else:
            s.device = p.device[0 if uniform(s.key, OWN_DEVICE) < 0.78 else 1]
    s.channel = (
        0 if uniform(s.key, DIRECT) < 0.5 else 1 + int(uniform(s.key, CHANNEL) * (N_CHANNELS - 1))
    )
    note_session(s, shop, book)
    offered = not attacked and offer(people, s, shop, book)
    walk_in(p, s, shop, book, offered)
    if offered:  # the twin's first session in the other world
        kept = (at[ROWS], at[ORDERS], at[SHOWN], at[STOLEN])
        s.user, s.time, s.order, s.bought, s.views = n + user, book.offers[p.offer].time, -1, 0, 0
        s.cart, s.begin, s.price = 0.0, 0.0, p.price
        walk_in(people[n + user], s, shop, book, offered)
        at[ROWS], at[ORDERS], at[SHOWN], at[STOLEN] = kept
    return offered


@njit(cache=True)
def walk_in(p, s, shop, book, offered):
    """Intent, browsing, checkout, aftermath."""
    rules, offers, honest = shop.rules[0], book.offers, s.typology < 0
    find_intent(p, s, rules, shop.lift)
    if p.intent[0] < -1:  # an item came to mind, with its category
        p.intent[0] = shop.shelf[-2 - p.intent[0]].category
    s.focus = s.category if s.category >= 0 else p.intent[0]
    if honest:
        for k in range(p.taste.shape[0]):
            p.taste[k] += rules.shoppers_drift * normal(s.key, DRIFT + 2 * k)
    set_vector(p, s, 0)
    holds = honest and p.coupon > 0 and s.time < p.until
    s.pull = -s.price * math.log(1.0 - p.coupon) if holds else 0.0
    browse(p, s, shop, book)
    paid = check_out(p, s, shop, book)
    p.last_end = s.time
    if not honest:
        if s.ring >= 0 and p.ring != s.ring:  # it runs on somebody else's account
            p.hurt = 2
        return
    if paid > 0:
        if p.offer >= 0 and s.time < p.until:
            offers[p.offer].y[p.treated] = 1
            offers[p.offer].spend[p.treated] += paid
        follow_up(p, s, shop, book)
    elif offered and p.coupon > 0 and uniform(s.key, REMIND) < rules.coupons_remind:
        time = s.time + rules.coupons_window * DAY * (0.2 + 0.7 * uniform(s.key, REMIND_TIME))
        if time < shop.end:
            remind(book, s, BROWSE, time, s.user, -1, KEY_REMIND)
    end_session(p, s, shop, book)


@njit(cache=True)
def note_session(s, shop, book):
    """Write the session down."""
    row = book.sessions[book.at[SESSIONS]]
    book.at[SESSIONS] += 1
    row.user, row.device, row.ring = s.user % shop.n, s.device, s.ring
    row.country, row.channel, row.typology = s.country, s.channel, s.typology


@njit(cache=True)
def desk(note, p, s, shop, book):
    """A short session in which something is sent back or reviewed. Reviews name no order: the shop
    must look up what was bought.
    """
    s.device, s.channel = p.device[0 if uniform(s.key, DESK_DEVICE) < 0.78 else 1], 0
    rules, shelf, rows = shop.rules[0], shop.shelf, book.rows
    note_session(s, shop, book)
    order = book.orders[note.ref]
    line = order.first + int(uniform(s.key, LINE_OF) * order.lines)
    i, price = rows[line].item, rows[line].price
    write(book, event_codes.LOGIN, s)
    start = s.time
    if note.kind == event_codes.REFUND:
        s.time = start + 20.0 + 100.0 * uniform(s.key, DESK_TIME)
        row = write(book, event_codes.REFUND, s)
        row.item, row.price, row.order, row.quantity = i, price, note.ref, 1
        row.p_choice, row.rank = rules.checkout_refund, 0
    else:
        if p.recent[0, 0] >= 0 and uniform(s.key, ELSEWHERE) < UNBOUGHT:
            i = p.recent[0, 0]
            price = shelf[i].price
        s.time = start + 4.0 + 16.0 * uniform(s.key, DESK_VIEW)
        row = write(book, event_codes.VIEW_ITEM, s)
        row.item, row.price, row.p_choice, row.rank = i, price, 1.0, 0
        s.time = start + 20.0 + 100.0 * uniform(s.key, DESK_TIME)
        row = write(book, event_codes.REVIEW, s)
        score = np.round(3.9 + 0.6 * shelf[i].quality + 0.9 * normal(s.key, SCORE))
        row.item, row.price, row.p_choice, row.rank, row.rating = (
            i,
            price,
            rules.checkout_review,
            0,
            min(max(score, 1.0), 5.0),
        )
    p.last_end = s.time
