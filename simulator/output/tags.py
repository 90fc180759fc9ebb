"""Where visits come from, as the shop's server sees it: referrer and campaign tags.

They follow from the channel of a visit and, of one by e-mail, from the mail that led to it. What a
link is tagged with is up to whoever placed it, so only the shop's own links have tags: those in its
mails, posts and advertisements. A direct visit has neither tags nor a referrer.
"""

from __future__ import annotations

import numpy as np

from simulator.behaviour.emails import KINDS, NEWSLETTER, Emails
from simulator.behaviour.session.channels import ADS, EMAIL, ORGANIC, SOCIAL
from simulator.counter_rng import units
from simulator.sections import Tags

COLUMNS = ("referrer", "utm_source", "utm_medium", "utm_campaign")
ENGINES = {"google": "https://www.google.com/", "bing": "https://www.bing.com/"}
NETWORKS = {
    "facebook": "https://www.facebook.com/",
    "pinterest": "https://www.pinterest.com/",
    "twitter": "https://t.co/",
    "youtube": "https://www.youtube.com/",
}
NETWORK_SHARE = (0.782, 0.097, 0.072, 0.049)  # StatCounter, June 2013, scaled to one
WEBMAIL = "https://mail.google.com/"
# By whom a new shopper came who was won by an e-mail: the shop had no address to write to.
PARTNER = "partner"
# Campaigns of advertisements: on the pages of a search engine, the last one on the first network.
ADVERTISED, ADVERTISED_SHARE = ("brand", "shopping", "retargeting"), (0.4, 0.4, 0.2)
POSTS = "posts"
# Places among the names of a column; engines, then networks, are the first sources and referrers.
SOURCES = (*ENGINES, *NETWORKS, *KINDS, PARTNER)
FIRST_NETWORK, FIRST_KIND, LAST_SOURCE = 2, 6, len(SOURCES) - 1
CPC, PAID_SOCIAL, SOCIAL_POST, BY_EMAIL = range(4)
MEDIA = ("cpc", "paid_social", "social", "email")
# numbers of the draws of a session
PLACE, HIDDEN, ENGINE, OWN = range(4)


def origins(
    setting: Tags,
    channel: np.ndarray,
    key: np.ndarray,
    emails: Emails,
    newsletters: tuple[str, ...],
    coupons: tuple[str, ...],
) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """Return referrer and tags of sessions, by name of COLUMNS.

    Each is (n_sessions,) int64 codes, -1 = nothing, and the names that they are places in.

    Args:
        setting: the scenario's section.
        channel: (n_sessions,) int8, -1 = no visit.
        key: (n_sessions,) uint64 keys of their draws.
        emails: the mails that led to them.
        newsletters: what the campaigns of the newsletters are called, by their number from 1.
        coupons: the same of the coupons, by their number.
    """
    place, hidden, engine, own = (units(key, number) for number in (PLACE, HIDDEN, ENGINE, OWN))
    searched = np.where(engine < setting.google, 0, 1)
    network = FIRST_NETWORK + _drawn(place, NETWORK_SHARE)
    advertised = _drawn(place, ADVERTISED_SHARE)
    paid_social = advertised == len(ADVERTISED) - 1
    organic, social, ads, mailed = (channel == c for c in (ORGANIC, SOCIAL, ADS, EMAIL))
    posted = social & (own < setting.own_posts)
    paid = np.where(paid_social, FIRST_NETWORK, searched)

    campaigns = (*ADVERTISED, POSTS, PARTNER, *newsletters, *coupons)
    posts, partner = len(ADVERTISED), len(ADVERTISED) + 1
    first_coupon = partner + 1 + len(newsletters)
    source, campaign = _of_mails(emails, partner + 1, first_coupon)
    source[mailed & (source < 0)], campaign[mailed & (campaign < 0)] = LAST_SOURCE, partner
    webmail = FIRST_KIND  # behind engines and networks
    by_mail = np.where(own < setting.webmail, webmail, -1)

    def chosen(*values: np.ndarray | int) -> np.ndarray:
        """(n_sessions,) int64 codes: those of organic, social, paid and e-mail visits."""
        return np.select([organic, social, ads, mailed], values, -1)

    came_from = chosen(searched, network, paid, by_mail)
    came_from[(hidden < setting.no_referrer) & ~mailed] = -1
    codes = (
        came_from,
        chosen(-1, np.where(posted, network, -1), paid, source),
        chosen(
            -1,
            np.where(posted, SOCIAL_POST, -1),
            np.where(paid_social, PAID_SOCIAL, CPC),
            BY_EMAIL,
        ),
        chosen(-1, np.where(posted, posts, -1), advertised, campaign),
    )
    names = ((*ENGINES.values(), *NETWORKS.values(), WEBMAIL), SOURCES, MEDIA, campaigns)
    return {c: (k, n) for c, k, n in zip(COLUMNS, codes, names, strict=True)}


def _of_mails(
    emails: Emails, first_newsletter: int, first_coupon: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n_sessions,) int64 source and campaign of the mail that led to each, -1 = none did.

    A welcome has the name of the coupon with number 0, the welcome coupon.
    """
    source, campaign = (np.full(len(emails.of_session), -1, dtype=np.int64) for _ in range(2))
    led = np.flatnonzero(emails.of_session >= 0)
    mail = emails.mails[emails.of_session[led]]
    source[led] = FIRST_KIND + mail["kind"]
    is_newsletter = mail["kind"] == NEWSLETTER
    campaign[led] = np.where(is_newsletter, first_newsletter - 1, first_coupon) + mail["number"]
    return source, campaign


def _drawn(u: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """(n,) int64 places drawn with their shares by `u` (n,) in [0, 1)."""
    return np.searchsorted(np.cumsum(shares)[:-1], u, side="right")
