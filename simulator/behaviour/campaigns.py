"""Coupon campaigns: whom they reach, who gets the coupon, and what would happen without it.

A campaign makes its offer when a shopper comes while it runs. Half of the shoppers of a randomised
campaign get the coupon; a targeted one prefers recent buyers, which confounds its effect. Shoppers
who get none are logged too, with discount 0: a ghost offer (Johnson, Lewis, Nubbemeyer 2017). From
the offer on, a counterfactual copy of the shopper lives through the window with the other outcome
and the same keyed draws, so both potential outcomes of every offer are known.

The response to a coupon depends on what the log says before the offer: a cart left behind (as in
the field experiment of Luo, Lu and Li 2019), views without an order, and the coupons of late.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np

from eventlog._runtime.compiled import inner
from simulator import event_codes
from simulator.behaviour import draws
from simulator.behaviour.buffers import counter_index
from simulator.behaviour.session.browsing import write
from simulator.counter_rng import child, uniform
from simulator.scenario import Scenario
from simulator.world.catalogue import DAY, World

INTEREST_DAYS, FATIGUE_DAYS = 14.0, 45.0  # after which a view and a coupon count 1 / e
USUAL_VIEWS = 4.0  # since the last order, which move a response neither way
CAMPAIGN = np.dtype(
    [
        ("begin", "f8"),  # seconds
        ("end", "f8"),
        ("discount", "f8"),
        ("randomised", "u1"),
    ],
    align=True,
)
OFFER = np.dtype(
    [
        ("time", "f8"),  # seconds
        ("spend", "f8", (2,)),  # within the window, without and with the coupon
        ("user", "i8"),
        ("propensity", "f4"),
        ("campaign", "i4"),  # number, from 1
        ("treated", "u1"),
        ("y", "u1", (2,)),  # whether an order is placed in the window, without and with the coupon
    ],
    align=True,
)


def plan(scenario: Scenario, days: int, begin: float = 0.0) -> np.ndarray:
    """Return (n,) CAMPAIGN of a log of `days`; number k is row k - 1. Windows never overlap.

    `begin`: seconds from the first day that is played to the first day of the log.

    The campaigns are counted back from a last one that is randomised and whose window ends with
    the log, whatever its length: a split by time then leaves an effect to measure after the cut.
    None starts before half a period has passed.
    """
    setting = scenario.coupons
    if setting.every == 0:
        return np.zeros(0, dtype=CAMPAIGN)
    every = max(setting.every, math.ceil(setting.days + setting.window))
    last = math.floor(days - setting.window - setting.days)
    starts = np.arange(last, math.ceil(every / 2) - 1, -every, dtype=np.int64)[::-1]
    table = np.zeros(len(starts), dtype=CAMPAIGN)
    table["begin"] = begin + starts * DAY
    table["end"] = table["begin"] + setting.days * DAY
    table["discount"] = setting.discount
    table["randomised"] = np.arange(len(starts))[::-1] % 2 == 0
    return table


def missing(scenario: Scenario, days: int) -> str | None:
    """Return why a log of so many days has no campaign although the scenario wants some."""
    setting = scenario.coupons
    if setting.every == 0 or len(plan(scenario, days)):
        return None
    period = max(setting.every, math.ceil(setting.days + setting.window))
    least = math.ceil(period / 2) + math.ceil(setting.days + setting.window)
    return (
        f"The log has no coupon campaign: it is {days} days long, and the first ends on day "
        f"{least}, after half of coupons.every, coupons.days and coupons.window."
    )


def described(scenario: Scenario, world: World) -> list[dict[str, Any]]:
    """Return the campaigns as plain data for the manifest."""
    first = date(1970, 1, 1) + timedelta(milliseconds=world.start_ms)
    return [
        {
            "coupon_id": coupon_name(k + 1),
            "start": str(first + timedelta(seconds=float(c["begin"]))),
            "days": scenario.coupons.days,
            "window_days": scenario.coupons.window,
            "discount": float(c["discount"]),
            "randomised": bool(c["randomised"]),
        }
        for k, c in enumerate(plan(scenario, world.log_days, world.begin))
    ]


def coupon_name(number: int) -> str:
    """Return the id of a coupon; 0 is the welcome coupon."""
    return f"coupon_{number}" if number else "welcome"


@inner
def make_offer(shoppers, session, day_state, buffers):
    """Make the offer of a running campaign that has not considered this shopper yet.

    Logs the offer and copies the shopper into the counterfactual row. Returns whether an offer was
    made.
    """
    campaigns, shopper = day_state.campaigns, shoppers[session.user]
    for c in range(len(campaigns)):
        running = campaigns[c].begin <= session.time < campaigns[c].end
        if not running or shopper.campaign >= c + 1 or session.user >= day_state.n_shoppers:
            continue
        shopper.campaign = c + 1
        key = child(shopper.key, -2 - c)
        if uniform(key, draws.CAMPAIGN_REACHES) >= day_state.rules[0].coupons_reach:
            return False
        settle_response(shopper, session.time, day_state.rules[0])
        propensity = treatment_propensity(shopper, campaigns[c], day_state.rules[0])
        treated = uniform(key, draws.CAMPAIGN_TREATS) < propensity
        record_offer(shopper, session, day_state, buffers, c, propensity, treated)
        discount = campaigns[c].discount
        counterfactual = shoppers[day_state.n_shoppers + session.user]
        shoppers[day_state.n_shoppers + session.user] = shopper
        shopper.treated, shopper.coupon = treated, discount if treated else 0.0
        counterfactual.treated = not treated
        counterfactual.coupon = 0.0 if treated else discount
        shopper.coupons_seen += treated
        counterfactual.coupons_seen += not treated
        return True
    return False


@inner
def interest(shopper, time):
    """Return the views since the last order, the latest count most."""
    return shopper.interest * math.exp(-(time - shopper.last_end) / (INTEREST_DAYS * DAY))


@inner
def settle_response(shopper, time, rules):
    """Set how strongly the shopper responds to a coupon that is offered now, 1 = as usual.

    More with a cart left behind and after many views without an order, less after many coupons. All
    of it is in the log before the offer.
    """
    rest = math.exp(-(time - shopper.coupon_time) / (FATIGUE_DAYS * DAY))
    shopper.coupons_seen, shopper.coupon_time = shopper.coupons_seen * rest, time
    views = interest(shopper, time)
    logit = (
        (rules.coupons_cart if shopper.cart_size > 0 else 0.0)
        + rules.coupons_views * (2.0 * views / (views + USUAL_VIEWS) - 1.0)
        - rules.coupons_fatigue * shopper.coupons_seen
    )
    shopper.response = math.exp(logit)


@inner
def treatment_propensity(shopper, campaign, rules):
    """Return the probability to get the coupon: one half, or more for recent buyers."""
    if campaign.randomised:
        return 0.5
    orders = shopper.orders - 1.0 if shopper.orders < 3 else 2.0
    logit = rules.coupons_targeting * orders - 0.3
    return min(max(1.0 / (1.0 + math.exp(-logit)), 0.05), 0.95)


@inner
def record_offer(shopper, session, day_state, buffers, c, propensity, treated):
    """Write the offer of campaign row `c` down, in the truth and in the log."""
    place = buffers.counters[counter_index.OFFERS]
    buffers.counters[counter_index.OFFERS] += 1
    offer = buffers.offers[place]
    offer.time, offer.user, offer.campaign = session.time, session.user, c + 1
    offer.propensity, offer.treated = propensity, treated
    for arm in range(2):
        offer.y[arm], offer.spend[arm] = 0, 0.0
    shopper.offer = place
    shopper.outcome_until = session.time + day_state.rules[0].coupons_window * DAY
    row = write(buffers, event_codes.COUPON_OFFER, session)
    row.coupon = c + 1
    row.discount = day_state.campaigns[c].discount if treated else 0.0
