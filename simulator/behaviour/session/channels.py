"""By which channel and from what device a visit comes, and what that says. Compiled code."""

from __future__ import annotations

from eventlog._runtime.compiled import inner
from simulator.behaviour import draws
from simulator.behaviour.session.devices import CART_PART, is_mobile
from simulator.behaviour.shoppers import CHANNELS
from simulator.counter_rng import uniform

N_CHANNELS = len(CHANNELS)
DIRECT, ORGANIC, EMAIL, SOCIAL, ADS = range(N_CHANNELS)


@inner
def choose_channel(shopper, session, rules):
    """Draw the channel: direct, the one that won the shopper, or any other.

    Who is about to leave leaves e-mails unopened, and comes directly if at all.
    """
    session.channel = DIRECT
    if uniform(session.key, draws.DIRECT) < rules.channels_direct:
        return
    u = uniform(session.key, draws.CHANNEL)
    own = rules.channels_own
    if u < own and shopper.channel != DIRECT:
        session.channel = shopper.channel
    else:
        u = (u - own) / (1.0 - own) if u >= own else u / own
        session.channel = min(1 + int(u * (N_CHANNELS - 1)), N_CHANNELS - 1)
    if session.channel == EMAIL and uniform(session.key, draws.OPENS_MAIL) >= shopper.engagement:
        session.channel = DIRECT


@inner
def set_shifts(shopper, session, rules):
    """Shift the log-odds to cart and to check out.

    Who comes by e-mail is nearer to buying; who looks at a phone, or is about to leave, is not.
    """
    shift = rules.channels_organic
    if session.channel == DIRECT:
        shift = 0.0
    elif session.channel == EMAIL:
        shift = rules.channels_email
    elif session.channel == SOCIAL:
        shift = rules.channels_social
    elif session.channel == ADS:
        shift = rules.channels_ads
    if is_mobile(session.device, rules.devices_mobile):
        shift += rules.devices_mobile_buys
    session.cart_shift = CART_PART * shift - rules.churn_listless * (1.0 - shopper.engagement)
    session.checkout_shift = (1.0 - CART_PART) * shift
