"""The pace of a session: how much time passes between two clicks. Compiled code.

The log of a gap is the sum of a shopper's pace, a session's pace, a fall with the number of clicks
so far, and a deviation of its own; so gaps of a session resemble each other, and consecutive gaps
are correlated. A gap is one of three kinds: an ordinary one; an interruption, longer and far more
variable; or a quick one of a few seconds (a double click, a page that is left at once). Fitted to
the quantiles of the gaps between clicks of YooChoose (RecSys Challenge 2015).
"""

from __future__ import annotations

import math

from eventlog._runtime.compiled import inner
from simulator.behaviour import draws
from simulator.counter_rng import normal, uniform

LONGEST_GAP = 3_300.0  # seconds; a shop ends a session after an hour without a request
QUICKEST, QUICK = 0.4, 3.6  # seconds of a quick gap: the least, and the range above it


@inner
def set_pace(shopper, session, rules):
    """Draw the session's pace, the log of the factor on its gaps."""
    session.pace = shopper.pace + rules.pace_sessions * normal(session.key, draws.SESSION_PACE)


@inner
def wait(session, rules, slot):
    """Let the time until the next click pass. `slot`: first number of the step's draws."""
    u = uniform(session.key, slot + draws.GAP_KIND)
    if u < rules.pace_quick:
        share = (u / rules.pace_quick) if rules.pace_quick > 0 else 0.0
        session.time += QUICKEST + QUICK * share
        return
    deviate = normal(session.key, slot + draws.DWELL)
    level = math.log(rules.sessions_dwell) + session.pace
    level -= rules.pace_warming * math.log(1.0 + session.views)
    if u < rules.pace_quick + rules.pace_interrupted:
        level += math.log(rules.pace_interruption) + rules.pace_interruption_sigma * deviate
    else:
        level += rules.pace_sigma * deviate
    session.time += min(math.exp(level) + QUICKEST, LONGEST_GAP)
