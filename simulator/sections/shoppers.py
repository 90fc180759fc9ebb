"""Who comes, with what needs, by which channel, and how long they stay."""

from __future__ import annotations

from typing import Annotated

from eventlog._runtime.settings import Range, Settings


class Shoppers(Settings, frozen=True):
    """Who comes, how often and with what taste: parameters of the population."""

    visits: Annotated[
        float, Range(0.001, 20.0, "mean planned visits per user and day while active")
    ] = 0.4
    visits_shape: Annotated[
        float, Range(0.1, 20.0, "gamma shape of the visit rate over users; small = skewed")
    ] = 0.56
    present: Annotated[
        float, Range(0.0, 1.0, "share of users who are customers already on the first day")
    ] = 0.8
    taste: Annotated[float, Range(0.0, 5.0, "sd of the taste for each style dimension")] = 1.5
    category_taste: Annotated[
        float, Range(0.0, 5.0, "sd of log liking of a category over users")
    ] = 2.0
    price_sensitivity: Annotated[
        float,
        Range(
            0.0,
            10.0,
            "own-price elasticity of an item's sales: per cent that they fall by when its price "
            "rises by one",
        ),
    ] = 2.0
    sale_salience: Annotated[
        float,
        Range(
            0.0, 5.0, "factor on that sensitivity for a campaign's price cut, which is advertised"
        ),
    ] = 1.4
    brand_loyalty: Annotated[float, Range(0.0, 5.0, "utility of a favourite brand")] = 2.5
    propensity_sigma: Annotated[
        float, Range(0.0, 3.0, "sd over users of the log-odds to put into the cart and to buy")
    ] = 0.95
    new_device: Annotated[
        float,
        Range(
            0.0, 1.0, "share of sessions on a device that the shop has not seen, or has forgotten"
        ),
    ] = 0.1
    drift: Annotated[float, Range(0.0, 1.0, "sd of the taste's change per session")] = 0.02


class Needs(Settings, frozen=True):
    """Needs that return: goods that are used up, purchases that are thought over, gifts, seasons.

    The cheapest categories hold what is used up, the dearest what is compared over several visits.
    """

    used_up: Annotated[float, Range(0.0, 1.0, "share of categories whose goods are used up")] = 0.4
    used_up_days: Annotated[
        float, Range(0.5, 365.0, "days that such a good lasts, median over these categories")
    ] = 16.0
    used_up_sigma: Annotated[
        float, Range(0.0, 2.0, "sd over these categories of the log of these days")
    ] = 0.45
    regularity: Annotated[
        float, Range(0.0, 2.0, "sd of the log of these days from one purchase to the next")
    ] = 0.2
    again: Annotated[
        float, Range(0.0, 1.0, "probability that who has used a good up comes back for it")
    ] = 0.6
    urgency: Annotated[
        float,
        Range(0.0, 10.0, "utility of what was used up, and rise of the log-odds to buy it"),
    ] = 2.0
    considered: Annotated[
        float, Range(0.0, 1.0, "share of categories in which purchases are thought over")
    ] = 0.4
    deliberation: Annotated[
        float,
        Range(0.0, 5.0, "rise of the log-odds to cart there with each visit that compares, to two"),
    ] = 0.9
    gifts: Annotated[
        float,
        Range(0.0, 1.0, "share of new intents that are gifts, for a taste that is not one's own"),
    ] = 0.04
    gift_season: Annotated[
        float, Range(1.0, 20.0, "factor on it in the two weeks before 14 February and 24 December")
    ] = 3.0
    season: Annotated[
        float, Range(0.0, 3.0, "amplitude over the year of the log demand for a category")
    ] = 0.4


class Channels(Settings, frozen=True):
    """How visits come, and how near to buying they are.

    In shops' published reports an e-mail visit buys about four times as often as one from a social
    network, with search and direct visits between them.
    """

    direct: Annotated[float, Range(0.0, 1.0, "share of visits whose address was typed")] = 0.5
    own: Annotated[
        float,
        Range(0.0, 0.99, "share of the others that come by the channel that won the shopper"),
    ] = 0.5
    organic: Annotated[
        float, Range(-5.0, 5.0, "log-odds to buy of a visit from a search engine, against direct")
    ] = 0.0
    email: Annotated[
        float, Range(-5.0, 5.0, "log-odds to buy of a visit from an e-mail, against direct")
    ] = 1.2
    social: Annotated[
        float, Range(-5.0, 5.0, "log-odds to buy of a visit from a social network, against direct")
    ] = -1.6
    ads: Annotated[
        float, Range(-5.0, 5.0, "log-odds to buy of a visit from an advertisement, against direct")
    ] = -0.6


class Tags(Settings, frozen=True):
    """Referrers and campaign tags of visits (`output.tags`).

    Google had 92 % of searches (StatCounter 2020). Of links in public posts 12 % to 14 % arrive
    without a referrer (Pinterest and LinkedIn, SparkToro 2023). How many visits by e-mail come from
    a webmail page, and how many social ones follow a post of the shop, are assumptions.
    """

    google: Annotated[
        float, Range(0.0, 1.0, "share of Google among search engines, organic and paid")
    ] = 0.92
    no_referrer: Annotated[
        float,
        Range(0.0, 1.0, "share of visits by search, network or advertisement without a referrer"),
    ] = 0.12
    webmail: Annotated[
        float, Range(0.0, 1.0, "share of visits by e-mail whose referrer is a webmail page")
    ] = 0.3
    own_posts: Annotated[
        float, Range(0.0, 1.0, "share of social visits by a post of the shop, which is tagged")
    ] = 0.35


class Devices(Settings, frozen=True):
    """Phones and computers.

    In shops' published reports two visits of three come from phones, which buy half as often.
    """

    mobile: Annotated[float, Range(0.0, 1.0, "share of devices that are phones")] = 0.66
    mobile_buys: Annotated[
        float, Range(-5.0, 5.0, "log-odds to buy of a visit from a phone, against a computer")
    ] = -1.0


class Service(Settings, frozen=True):
    """What the shop does well and badly, and what that does to its shoppers."""

    promised_days: Annotated[
        float, Range(0.1, 60.0, "days within which the shop promises to deliver")
    ] = 4.0
    late_days: Annotated[
        float, Range(0.01, 60.0, "mean days by which a late delivery exceeds them (exponential)")
    ] = 3.0
    contact: Annotated[
        float, Range(0.0, 1.0, "share of late deliveries after which support is contacted")
    ] = 0.3
    payment: Annotated[
        float, Range(0.0, 5.0, "weight of a payment that failed, relative to a late delivery")
    ] = 0.5
    nothing_found: Annotated[
        float, Range(0.0, 5.0, "weight of a session in which nothing was worth opening")
    ] = 0.5
    order_pleases: Annotated[
        float, Range(0.0, 5.0, "satisfaction that an order gives; a late delivery takes 1")
    ] = 0.5
    loyalty: Annotated[
        float, Range(0.0, 5.0, "fall of the log hazard to leave per unit of satisfaction")
    ] = 0.5
    visits: Annotated[
        float, Range(0.0, 5.0, "fall of the log visit rate per unit of dissatisfaction")
    ] = 0.3


class Churn(Settings, frozen=True):
    """Latent death after a session (as in BG/NBD), with a hazard that experiences move."""

    hazard: Annotated[float, Range(0.0, 1.0, "mean probability to be gone after a session")] = 0.01
    hazard_shape: Annotated[float, Range(0.05, 20.0, "gamma shape of the hazard over users")] = 0.8
    bad_experience: Annotated[
        float,
        Range(
            1.0,
            50.0,
            "factor on the hazard after a late delivery, a refund or an account taken over",
        ),
    ] = 4.0
    fading: Annotated[
        float,
        Range(
            0.01,
            1.0,
            "factor on the visit rate after a bad experience; it recovers with each session",
        ),
    ] = 0.55
    disengagement: Annotated[
        float,
        Range(
            0.0,
            0.99,
            "factor on the engagement of who begins to leave, with each session; gone below 0.2",
        ),
    ] = 0.55
    win_back: Annotated[
        float, Range(0.0, 1.0, "probability with each session that they stay after all")
    ] = 0.1
    listless: Annotated[
        float,
        Range(0.0, 10.0, "their log-odds to leave a page rise and to fill the cart fall by this"),
    ] = 2.0
