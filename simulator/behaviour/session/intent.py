"""What a session is about: an unfinished intent, or a new one by a nested logit. Compiled code."""

from __future__ import annotations

import math

from eventlog._runtime.compiled import inner
from simulator.behaviour import draws
from simulator.behaviour.session.utility import CLICK_PRICE
from simulator.behaviour.shoppers import BOUGHT, RECENT
from simulator.counter_rng import normal, uniform
from simulator.world.catalogue import DAY

ENOUGH_LOOKED = 2  # earlier visits after which another one makes a purchase no likelier


@inner
def find_intent(shopper, session, day_state):
    """Set what the session is about: the unfinished intent, the one before it, or a new one.

    A visit for what was used up is about that, and interrupts what was going on.
    """
    life = day_state.rules[0].sessions_intent_days * DAY
    current, previous = 0.0, 0.0  # how fresh each intent is, from 1 to 0
    if shopper.intent[0] >= 0:
        current = math.exp(-(session.time - shopper.intent_time[0]) / life)
    if shopper.intent[1] >= 0:
        previous = math.exp(-(session.time - shopper.intent_time[1]) / life)
    kept = True
    if session.need >= 0 or uniform(session.key, draws.KEEP_INTENT) >= 0.65 * current:
        resumes = uniform(session.key, draws.RESUME_INTENT) < 0.9 * previous
        swap_intents(shopper)
        kept = resumes and session.need < 0
        if not kept:
            new_intent(shopper, session, day_state)
    if kept:
        shopper.looked[0] += 1
    shopper.intent_time[0] = session.time
    category = shopper.intent[0]
    thinks = session.typology < 0 and day_state.considered[category]
    session.project = category if thinks else -1
    compared = min(shopper.looked[0], ENOUGH_LOOKED) - 0.5 * ENOUGH_LOOKED
    session.deliberation = day_state.rules[0].needs_deliberation * compared


@inner
def swap_intents(shopper):
    """Exchange the current intent and the interrupted one."""
    intent, time = shopper.intent, shopper.intent_time
    style, recent, looked = shopper.intent_style, shopper.recent, shopper.looked
    intent[0], intent[1] = intent[1], intent[0]
    time[0], time[1] = time[1], time[0]
    looked[0], looked[1] = looked[1], looked[0]
    for k in range(style.shape[1]):
        style[0, k], style[1, k] = style[1, k], style[0, k]
    for k in range(RECENT):
        recent[0, k], recent[1, k] = recent[1, k], recent[0, k]


@inner
def new_intent(shopper, session, day_state):
    """Draw a new intent: something bought before, or a category; and the style that is wanted."""
    rules, item, own_taste = day_state.rules[0], session.need, 1.0
    spread = rules.sessions_intent_style
    for k in range(RECENT):
        shopper.recent[0, k] = -1
    if item < 0 and uniform(session.key, draws.REPLENISH) < rules.sessions_replenish:
        item = shopper.bought[int(uniform(session.key, draws.REPEAT_ITEM) * BOUGHT)]
    if item >= 0:
        shopper.recent[0, 0] = item  # it comes to mind with its category
        shopper.intent[0] = day_state.items[item].category
    else:
        if uniform(session.key, draws.GIFT) < day_state.gifts:
            own_taste, spread = 0.0, rules.shoppers_taste
        shopper.intent[0] = draw_category(shopper, session, day_state, own_taste)
    shopper.looked[0] = 0
    for k in range(shopper.taste.shape[0]):
        deviate = normal(session.key, draws.INTENT_STYLE + 2 * k)
        shopper.intent_style[0, k] = spread * deviate + (own_taste - 1.0) * shopper.taste[k]


@inner
def draw_category(shopper, session, day_state, own_taste):
    """Draw a category by a nested logit.

    Its inclusive value moves with the season, and with the prices as far as the shopper minds them.
    `own_taste`: 1, or 0 for a gift.
    """
    total, n = 0.0, len(day_state.demand)
    for c in range(n):
        total += category_weight(shopper, day_state, own_taste, c)
    left = uniform(session.key, draws.CATEGORY) * total
    for c in range(n):
        left -= category_weight(shopper, day_state, own_taste, c)
        if left < 0:
            return c
    return n - 1


@inner
def category_weight(shopper, day_state, own_taste, c):
    """Return exp(utility) of category `c` for a new intent."""
    cheaper = CLICK_PRICE * shopper.price_sensitivity * day_state.price_cut[c]
    return math.exp(own_taste * shopper.category_logit[c] + day_state.demand[c] + cheaper)
