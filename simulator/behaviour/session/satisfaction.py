"""How experiences move a shopper: satisfaction, coming back, and the slow way out.

Compiled code.
"""

from __future__ import annotations

import math

import numpy as np

from eventlog._runtime.compiled import inner
from simulator.behaviour import draws
from simulator.behaviour.shoppers import BAD_EXPERIENCE
from simulator.counter_rng import uniform

KEPT = 0.85  # share of satisfaction that a shopper takes into the next session
RECOVERY = 0.15  # share of what is missing that the visit rate recovers with each session
FORGIVEN = 0.4  # probability that a grievance is forgiven with a session
GONE = 0.2  # engagement below which a shopper is gone


@inner
def disappoint(shopper, rules, weight):
    """Let a bad experience count; a late parcel has weight 1."""
    shopper.grievance = max(shopper.grievance, BAD_EXPERIENCE)
    shopper.visit_factor *= rules.churn_fading**weight
    shopper.satisfaction -= weight


@inner
def look_back(shopper, session, rules):
    """Let a session count: an order pleases, pages without anything worth opening do not."""
    shopper.satisfaction *= KEPT
    if session.bought:
        shopper.satisfaction += rules.service_order_pleases
    elif session.views == 0:
        shopper.satisfaction -= rules.service_nothing_found
    shopper.visit_factor += RECOVERY * (1.0 - shopper.visit_factor)
    if uniform(session.key, draws.FORGIVE) < FORGIVEN:
        shopper.grievance = 0


@inner
def show_up_probability(shopper, rules):
    """Return the probability that a planned visit takes place."""
    dissatisfied = min(shopper.satisfaction, 0.0)
    return shopper.visit_factor * shopper.engagement * math.exp(rules.service_visits * dissatisfied)


@inner
def leave_for_good(shopper, session, rules):
    """Take a step on the way out, or back from it. Return whether the shopper is gone.

    Who begins to leave still comes, ever less and with less interest, and may be won back.
    """
    if shopper.engagement < 1.0:
        won = session.bought or uniform(session.key, draws.WIN_BACK) < rules.churn_win_back
        if won:
            shopper.engagement, shopper.leaving_since = 1.0, np.nan
        else:
            shopper.engagement *= rules.churn_disengagement
    else:
        factor = rules.churn_bad_experience if shopper.grievance > 0 else 1.0
        factor *= math.exp(-rules.service_loyalty * shopper.satisfaction)
        if uniform(session.key, draws.CHURN) < min(shopper.hazard * factor, 0.95):
            shopper.engagement = rules.churn_disengagement
            shopper.leaving_since, shopper.reason = session.time, shopper.grievance
    if shopper.engagement < GONE:
        shopper.alive, shopper.died = 0, session.time
        return True
    return False
