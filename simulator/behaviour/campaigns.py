"""Coupon campaigns: whom they reach, who gets the coupon, and what would have been without it.

A campaign's offer is made when a shopper comes while it runs. Half of a randomised campaign's
shoppers get the coupon; a targeted one prefers those who bought lately, which confounds its effect.
Who gets none is logged too, with discount 0: a ghost offer (Johnson, Lewis, Nubbemeyer 2017). From
the offer on, a twin of the shopper lives through the window in the other world with the same keyed
draws, so both potential outcomes of every offer are known.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
from numba import njit

from simulator import event_codes
from simulator.behaviour.sessions import OFFERS, write
from simulator.counter_rng import child, uniform
from simulator.scenario import Scenario
from simulator.world.catalogue import DAY, World

CAMPAIGN = np.dtype(
    [("begin", "f8"), ("end", "f8"), ("discount", "f8"), ("randomised", "u1")], align=True
)
OFFER = np.dtype(
    [
        ("time", "f8"),
        ("spend", "f8", (2,)),
        ("user", "i8"),
        ("propensity", "f4"),
        ("campaign", "i4"),
        ("treated", "u1"),
        ("y", "u1", (2,)),
    ],
    align=True,
)
REACHED, TREATED = 1, 2  # draws


def plan(scenario: Scenario, days: int) -> np.ndarray:
    """(n,) CAMPAIGN; number k is row k - 1; windows never overlap.

    Counted back from a last campaign that is randomised and whose last window ends with the log,
    whatever its length: who splits the log by time finds an effect to measure after the cut. None
    starts before half a period has passed.
    """
    setting = scenario.coupons
    if setting.every == 0:
        return np.zeros(0, dtype=CAMPAIGN)
    every = max(setting.every, math.ceil(setting.days + setting.window))
    last = math.floor(days - setting.window - setting.days)
    starts = np.arange(last, math.ceil(every / 2) - 1, -every, dtype=np.int64)[::-1]
    table = np.zeros(len(starts), dtype=CAMPAIGN)
    table["begin"], table["end"], table["discount"] = (
        starts * DAY,
        (starts + setting.days) * DAY,
        setting.discount,
    )
    table["randomised"] = np.arange(len(starts))[::-1] % 2 == 0
    return table


def described(scenario: Scenario, world: World) -> list[dict[str, Any]]:
    """The campaigns for the manifest."""
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
        for k, c in enumerate(plan(scenario, world.days))
    ]


def coupon_name(number: int) -> str:
    """Id of a coupon; 0 is the welcome coupon."""
    return f"coupon_{number}" if number else "welcome"


@njit(cache=True)
def offer(people, s, shop, book):
    """Where a campaign runs that has not reached the shopper of session `s` yet: draw, log, and set
    the twin off. True if it did.
    """
    p, n, rules, campaigns, at = people[s.user], shop.n, shop.rules[0], shop.campaigns, book.at
    for c in range(len(campaigns)):
        running = campaigns[c].begin <= s.time < campaigns[c].end
        if not running or p.campaign >= c + 1 or s.user >= n:
            continue
        p.campaign = c + 1
        key = child(p.key, -2 - c)
        if uniform(key, REACHED) >= rules.coupons_reach:
            return False
        propensity = 0.5
        if not campaigns[c].randomised:
            logit = rules.coupons_targeting * (p.orders - 1.0 if p.orders < 3 else 2.0) - 0.3
            propensity = min(max(1.0 / (1.0 + math.exp(-logit)), 0.05), 0.95)
        treated = uniform(key, TREATED) < propensity
        made = book.offers[at[OFFERS]]
        made.time, made.user, made.campaign, made.propensity, made.treated = (
            s.time,
            s.user,
            c + 1,
            propensity,
            treated,
        )
        for arm in range(2):
            made.y[arm], made.spend[arm] = 0, 0.0
        p.offer, p.until = at[OFFERS], s.time + rules.coupons_window * DAY
        at[OFFERS] += 1
        row = write(book, event_codes.COUPON_OFFER, s)
        row.coupon, row.discount = c + 1, campaigns[c].discount if treated else 0.0
        people[n + s.user] = p
        p.treated, p.coupon = treated, campaigns[c].discount if treated else 0.0
        twin = people[n + s.user]
        twin.treated, twin.coupon = not treated, 0.0 if treated else campaigns[c].discount
        return True
    return False
