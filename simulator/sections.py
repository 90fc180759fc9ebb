"""The settings of a simulated shop, one class per section of a scenario file.

Each field has its type, range, meaning and default (see `eventlog._runtime.settings`). The values
here are those of the scenario `shop`.
"""

from __future__ import annotations

from typing import Annotated

from eventlog._runtime.settings import Range, Settings


class Catalogue(Settings, frozen=True):
    """What the shop sells."""

    items: Annotated[int, Range(20, 200_000, "number of items")] = 2_000
    categories: Annotated[
        int,
        Range(2, 400, "number of categories; items of its partner category complement each"),
    ] = 24
    brands: Annotated[
        int, Range(2, 5_000, "number of brands; a brand sells in several categories")
    ] = 48
    styles: Annotated[int, Range(1, 32, "latent style dimensions that tastes and items share")] = 6
    price_sigma: Annotated[float, Range(0.1, 2.0, "sd of log price over the catalogue")] = 0.92
    worth: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "share of a list price's distance to its category's mean that the item is worth to all",
        ),
    ] = 0.7
    stockout: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "probability that an item of average appeal runs out on a day; popular ones more often",
        ),
    ] = 0.004
    restock_days: Annotated[int, Range(1, 60, "mean days until an item is back in stock")] = 4
    launched: Annotated[
        float, Range(0.0, 1.0, "share of items that come into the shop during the log")
    ] = 0.06
    appeal_slope: Annotated[
        float, Range(0.0, 3.0, "Zipf exponent of the items' own appeal; exposure steepens it")
    ] = 1.68

    price_level: Annotated[
        float, Range(0.02, 100_000.0, "median list price; sums are in the currency of the log")
    ] = 34.0
    trend: Annotated[
        float, Range(0.0, 3.0, "sd of how far items are in fashion, part of their appeal")
    ] = 1.3
    trend_days: Annotated[
        float, Range(1.0, 3_650.0, "days after which an item's fashion has nothing of the old one")
    ] = 30.0
    price_endings: Annotated[
        float, Range(0.0, 1.0, "share of items whose prices end in 9, 0, 5 or 7 cents on purpose")
    ] = 0.7


class Pricing(Settings, frozen=True):
    """Prices against the reference prices that shoppers know from elsewhere, and a price test."""

    level: Annotated[
        float, Range(0.1, 10.0, "all prices, as a multiple of the reference prices")
    ] = 1.0
    test_share: Annotated[
        float, Range(0.0, 1.0, "share of items, drawn at random, that are in a price test")
    ] = 0.0
    test_change: Annotated[
        float, Range(-0.9, 5.0, "share by which the prices of the items in the test are raised")
    ] = 0.1


class Incidents(Settings, frozen=True):
    """What goes wrong or viral, and when. Strength 0: never; `_at`: share of the log before it."""

    days: Annotated[int, Range(1, 365, "days that each incident lasts; a price rise stays")] = 4
    checkout_bug: Annotated[
        float, Range(0.0, 20.0, "fall of the log-odds to begin the checkout")
    ] = 0.0
    checkout_bug_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.3
    viral_spike: Annotated[
        float, Range(0.0, 10.0, "utility that the items of one category gain")
    ] = 0.0
    viral_spike_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.45
    price_rise: Annotated[
        float, Range(-0.9, 5.0, "share by which the prices of a third of the categories rise")
    ] = 0.0
    price_rise_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.6
    payment_outage: Annotated[float, Range(0.0, 1.0, "added probability that a payment fails")] = (
        0.0
    )
    payment_outage_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.7
    late_deliveries: Annotated[
        float, Range(0.0, 1.0, "added share of deliveries that come late")
    ] = 0.0
    late_deliveries_at: Annotated[float, Range(0.0, 1.0, "when it happens")] = 0.8


class Calendar(Settings, frozen=True):
    """When shoppers come."""

    burn_in: Annotated[
        int, Range(0, 365, "days that are played before the first day and not written")
    ] = 7
    start: Annotated[str, Range(doc="first day, ISO date; days are UTC")] = "2025-01-06"
    evening: Annotated[
        float,
        Range(
            0.0,
            2.0,
            "strength of the daily cycle, 0 = none, 1 = evening peak of about 1.8 times the mean",
        ),
    ] = 1.0
    weekend: Annotated[
        float, Range(0.3, 3.0, "visits on Saturday and Sunday relative to a weekday")
    ] = 1.25
    hours: Annotated[
        tuple[Annotated[float, Range(0.0, 1e6)], ...],
        Range(doc="visits by hour of the day, 24 weights instead of the built-in profile"),
    ] = ()
    day_weights: Annotated[
        tuple[Annotated[float, Range(0.0, 1e6)], ...],
        Range(doc="visits day by day, instead of weekends and campaigns; repeated; 0 = closed"),
    ] = ()
    campaign_every: Annotated[int, Range(3, 365, "days from one campaign to the next")] = 21
    campaign_days: Annotated[int, Range(1, 30, "days that a campaign lasts")] = 3
    campaign_visits: Annotated[
        float, Range(1.0, 10.0, "visits during a campaign relative to other days")
    ] = 1.9
    campaign_discount: Annotated[
        float, Range(0.0, 0.8, "price cut in the campaign's categories")
    ] = 0.2


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


class Sessions(Settings, frozen=True):
    """How a session goes: intent, examination, clicks."""

    intent_days: Annotated[
        float, Range(0.01, 365.0, "mean life of an unfinished intent in days")
    ] = 20.0
    intent_style: Annotated[
        float, Range(0.0, 5.0, "sd of an intent's style around the user's taste")
    ] = 0.5
    intent_match: Annotated[
        float, Range(0.0, 10.0, "utility of an item in the intended category")
    ] = 1.6
    complement: Annotated[
        float,
        Range(0.0, 1.0, "probability that a purchase turns the intent to the partner category"),
    ] = 0.5
    replenish: Annotated[
        float,
        Range(0.0, 1.0, "probability that a new intent is to buy again what was bought before"),
    ] = 0.35
    habit: Annotated[float, Range(0.0, 5.0, "utility of an item that was bought before")] = 1.0
    slate: Annotated[int, Range(4, 50, "items on a page")] = 12
    front_page: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "share of sessions that open on the front page, of those that do not take up where the "
            "last one ended",
        ),
    ] = 0.14
    examine: Annotated[
        float, Range(0.1, 1.0, "probability to look one rank further down (cascade)")
    ] = 0.86
    outside: Annotated[float, Range(-10.0, 20.0, "utility of clicking on nothing of a page")] = 5.0
    fatigue: Annotated[
        float, Range(0.0, 3.0, "how much that utility rises with each item seen")
    ] = 0.0
    satiation: Annotated[
        float,
        Range(
            0.0,
            20.0,
            "utility that an item loses for having been seen before, unless it is gone back to",
        ),
    ] = 3.0
    reopen: Annotated[
        float, Range(-10.0, 10.0, "utility of going back to an item seen before")
    ] = -4.5
    leave: Annotated[
        float, Range(0.01, 0.99, "probability to leave when nothing on a page is clicked")
    ] = 0.88
    leave_sigma: Annotated[
        float,
        Range(0.0, 3.0, "sd of its log-odds over sessions; large = heavy-tailed session lengths"),
    ] = 1.4
    similar: Annotated[
        float, Range(0.0, 1.0, "probability to go on from an item to what the shop shows beside it")
    ] = 0.08
    dwell: Annotated[float, Range(1.0, 600.0, "median seconds between two events")] = 59.0
    return_visit: Annotated[
        float,
        Range(0.0, 1.0, "probability to come back within about a day to an unfinished intent"),
    ] = 0.38
    login_failure: Annotated[
        float, Range(0.0, 0.9, "probability that an honest attempt to log in fails")
    ] = 0.06
    longest: Annotated[int, Range(5, 1_000, "steps after which every session ends")] = 80


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


class Devices(Settings, frozen=True):
    """Phones and computers.

    In shops' published reports two visits of three come from phones, which buy half as often.
    """

    mobile: Annotated[float, Range(0.0, 1.0, "share of devices that are phones")] = 0.66
    mobile_buys: Annotated[
        float, Range(-5.0, 5.0, "log-odds to buy of a visit from a phone, against a computer")
    ] = -1.0


class Navigation(Settings, frozen=True):
    """What a session consists of besides views: logins, wishlist, quick buying, several orders."""

    at_once: Annotated[
        float,
        Range(
            -20.0,
            20.0,
            "utility of viewing the item once more that was viewed last (a variant, a double "
            "click), on top of going back to it",
        ),
    ] = 1.8
    habituation: Annotated[
        float, Range(0.0, 1.0, "factor on the weight of an item each time it is gone back to")
    ] = 0.5
    done: Annotated[
        float,
        Range(
            -20.0,
            20.0,
            "log-odds to leave right after a click, relative to those after clicking on nothing",
        ),
    ] = -2.8
    detachment: Annotated[
        float,
        Range(0.0, 5.0, "sd over sessions of the utility of clicking on nothing"),
    ] = 1.4
    quick_add: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "probability that an item wanted for the cart is put there from the list, unopened",
        ),
    ] = 0.15
    wishes: Annotated[
        float, Range(0.0, 20.0, "probability of a wishlist row, relative to that of a cart row")
    ] = 0.1
    from_wishlist: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "probability that a wish goes into the cart as a visit begins",
        ),
    ] = 0.06
    remembered: Annotated[
        float, Range(0.0, 1.0, "share of sessions that are still logged in from an earlier one")
    ] = 0.55
    login: Annotated[
        float, Range(0.0, 1.0, "share of the other sessions that begin with a login")
    ] = 0.15
    login_to_buy: Annotated[
        float,
        Range(0.0, 1.0, "probability to log in at the checkout, otherwise the order is a guest's"),
    ] = 0.7
    goes_on: Annotated[
        float, Range(0.0, 1.0, "probability that an order is followed by more browsing at once")
    ] = 0.3
    removes: Annotated[
        float, Range(0.0, 1.0, "probability that a line is removed from the cart before ordering")
    ] = 0.06
    several: Annotated[
        float, Range(0.0, 1.0, "share of cheap lines of which two pieces or more are bought")
    ] = 0.08
    list: Annotated[
        float, Range(0.01, 100.0, "median of the lines that an order gains from a shopping list")
    ] = 0.12
    list_sigma: Annotated[
        float, Range(0.0, 3.0, "sd of the log of these lines; parts of a line do not count")
    ] = 1.0
    plain_queries: Annotated[
        float, Range(0.0, 1.0, "share of searches in plain words; the others have a long tail")
    ] = 0.35
    refund_more: Annotated[
        float, Range(0.0, 1.0, "probability that another line of a refunded order goes back too")
    ] = 0.35


class Pace(Settings, frozen=True):
    """Time between two clicks (see `behaviour.pace`); its median is `sessions.dwell`.

    Fitted to the quantiles of YooChoose: 3, 25, 56, 129, 529, 1721 s at 5 to 99 %.
    """

    shoppers: Annotated[float, Range(0.0, 3.0, "sd over shoppers of the log of their pace")] = 0.4
    sessions: Annotated[float, Range(0.0, 3.0, "sd over sessions of the log of their pace")] = 0.56
    sigma: Annotated[float, Range(0.0, 3.0, "sd of the log of an ordinary gap")] = 0.7
    quick: Annotated[float, Range(0.0, 1.0, "share of gaps of a few seconds")] = 0.078
    interrupted: Annotated[
        float, Range(0.0, 1.0, "share of gaps in which something else is done")
    ] = 0.235
    interruption: Annotated[
        float, Range(0.1, 100.0, "median of these gaps, relative to an ordinary one")
    ] = 3.1
    interruption_sigma: Annotated[float, Range(0.0, 3.0, "sd of their log")] = 1.2
    warming: Annotated[
        float,
        Range(0.0, 2.0, "how gaps shorten: they fall with the number of clicks to this power"),
    ] = 0.18


class Checkout(Settings, frozen=True):
    """Cart, purchase, and what follows it."""

    cart: Annotated[
        float, Range(-12.0, 5.0, "log-odds to put a viewed item of average match into the cart")
    ] = -3.2
    cart_match: Annotated[
        float, Range(0.0, 5.0, "how much the item's match moves these log-odds")
    ] = 0.45
    curiosity: Annotated[
        float,
        Range(
            0.0, 5.0, "how much less an item's appeal counts there: popular ones are also looked at"
        ),
    ] = 1.55
    basket: Annotated[
        float, Range(0.0, 5.0, "rise of these log-odds once the cart holds something")
    ] = 0.5
    substitute: Annotated[
        float,
        Range(
            0.0,
            10.0,
            "fall of these log-odds where the cart holds an item of the same category already",
        ),
    ] = 0.6
    forget: Annotated[
        float,
        Range(0.0, 1.0, "probability that a cart left behind is not wanted any more next time"),
    ] = 0.5
    begin: Annotated[
        float, Range(-10.0, 10.0, "log-odds to begin the checkout when leaving with a filled cart")
    ] = -2.95
    shipping_shock: Annotated[
        float, Range(0.0, 1.0, "probability to give up when shipping costs show, for a small order")
    ] = 0.12
    payment_failure: Annotated[
        float, Range(0.0, 0.9, "probability that an honest payment attempt fails")
    ] = 0.035
    refund: Annotated[float, Range(0.0, 0.9, "share of orders of which something is sent back")] = (
        0.165
    )
    trust: Annotated[
        float,
        Range(
            0.0,
            3.0,
            "rise of a shopper's log-odds to buy what is in the cart with an order that went well",
        ),
    ] = 1.6
    back_for_more: Annotated[
        float,
        Range(
            0.0, 1.0, "probability that an order is followed by a visit for more, some weeks later"
        ),
    ] = 1.0
    review: Annotated[float, Range(0.0, 1.0, "share of order lines that are reviewed")] = 0.14
    change_address: Annotated[
        float, Range(0.0, 1.0, "share of honest checkouts in which the delivery address is changed")
    ] = 0.03
    late: Annotated[float, Range(0.0, 1.0, "share of deliveries that come late")] = 0.09


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


class Coupons(Settings, frozen=True):
    """Campaigns that hand out coupons. Every second one is randomised, the others are targeted."""

    every: Annotated[int, Range(0, 365, "days from one coupon campaign to the next; 0 = none")] = 10
    days: Annotated[int, Range(1, 60, "days during which a campaign reaches those who come")] = 4
    window: Annotated[
        float,
        Range(
            0.5, 90.0, "days after the offer in which its outcome is counted and the coupon is good"
        ),
    ] = 5.0
    reach: Annotated[
        float, Range(0.0, 1.0, "share of those who come that a campaign considers")
    ] = 0.5
    discount: Annotated[float, Range(0.01, 0.9, "share of the price that a coupon takes off")] = (
        0.15
    )
    salience: Annotated[
        float,
        Range(
            0.0,
            20.0,
            "fall of the utility of not clicking, per unit of price sensitivity times log discount",
        ),
    ] = 0.56
    pull: Annotated[
        float,
        Range(
            0.0,
            50.0,
            "rise of the log-odds to cart and buy, per price sensitivity times log discount",
        ),
    ] = 1.4
    cart: Annotated[
        float, Range(0.0, 3.0, "rise of the log response to a coupon with a cart left behind")
    ] = 0.5
    views: Annotated[
        float,
        Range(
            0.0, 3.0, "rise of the log response after many views without an order, fall after none"
        ),
    ] = 0.6
    fatigue: Annotated[
        float, Range(0.0, 3.0, "fall of the log response with each coupon of the last weeks")
    ] = 0.4
    remind: Annotated[
        float,
        Range(0.0, 1.0, "probability that an unused coupon brings the shopper back once more"),
    ] = 0.3
    targeting: Annotated[
        float,
        Range(
            0.0, 5.0, "how strongly a targeted campaign prefers recent buyers: what confounds it"
        ),
    ] = 1.2
    welcome: Annotated[
        float, Range(0.0, 1.0, "share of first orders that come with a welcome coupon")
    ] = 0.25
    welcome_days: Annotated[
        float, Range(0.0, 365.0, "days after the sign-up in which the welcome coupon is good")
    ] = 30.0
    welcome_discount: Annotated[
        float, Range(0.01, 0.9, "share of the price that the welcome coupon takes off")
    ] = 0.1


class Recommender(Settings, frozen=True):
    """Pages and slates."""

    explore: Annotated[float, Range(0.0, 1.0, "share of slates in random order")] = 0.125
    variants: Annotated[int, Range(2, 64, "variants of each page that are live at a time")] = 8
    refresh_days: Annotated[
        int,
        Range(
            1, 365, "nights in which all slates beside items are rebuilt; then the noise changes"
        ),
    ] = 7
    memory_days: Annotated[
        float,
        Range(0.1, 3650.0, "days after which what was learnt from a shopper's row counts half"),
    ] = 30.0
    noise: Annotated[
        float, Range(0.0, 10.0, "sd of the Gumbel noise in a ranking; 0 = always the same order")
    ] = 0.6
    log_lists: Annotated[
        bool,
        Range(doc="log every item of every page as a view_item_list row, from the top of the page"),
    ] = False


class Fraud(Settings, frozen=True):
    """Fraudsters, and what becomes known about them."""

    share: Annotated[float, Range(0.0, 0.5, "share of orders that are payment fraud")] = 0.02
    stolen_card: Annotated[
        float, Range(0.0, 1.0, "weight of stolen-card checkouts within payment fraud")
    ] = 0.5
    account_takeover: Annotated[
        float, Range(0.0, 1.0, "weight of account takeovers within payment fraud")
    ] = 0.3
    card_testing: Annotated[
        float, Range(0.0, 1.0, "weight of card testing within payment fraud")
    ] = 0.2
    failed_logins: Annotated[
        float, Range(0.0, 0.9, "probability that a blatant takeover's attempt to log in fails")
    ] = 0.6
    new_address: Annotated[
        float, Range(0.0, 1.0, "share of blatant takeovers that change the delivery address")
    ] = 0.7
    burst: Annotated[float, Range(1.0, 6.0, "mean sessions of a blatant burst of card testing")] = (
        3.0
    )
    burst_minutes: Annotated[
        float, Range(1.0, 600.0, "median minutes between them; more with mimicry")
    ] = 4.0
    burst_rise: Annotated[
        float,
        Range(0.0, 5.0, "fall of the price sensitivity from one to the next: the amounts rise"),
    ] = 0.8
    refund_abuse: Annotated[
        float, Range(0.0, 0.3, "share of orders made with the intent to claim a refund")
    ] = 0.01
    coupon_abuse: Annotated[
        float,
        Range(
            0.0, 0.3, "share of orders by which a ring's fresh accounts redeem the welcome coupon"
        ),
    ] = 0.01
    fake_review: Annotated[float, Range(0.0, 0.8, "share of reviews that are paid for")] = 0.04
    scraping_bot: Annotated[float, Range(0.0, 0.8, "share of rows that crawlers ask for")] = 0.0
    mimicry: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "0 = fraudsters are blatant, 1 = they copy honest devices, hours, prices and browsing",
        ),
    ] = 0.5
    accounts: Annotated[
        float,
        Range(
            0.0, 0.5, "share of accounts that a ring controls; they shop honestly most of the time"
        ),
    ] = 0.03
    ring_size: Annotated[
        int, Range(1, 1_000, "accounts per ring; a ring shares devices and cards")
    ] = 8
    chargeback_days: Annotated[
        float, Range(0.1, 120.0, "median days until a payment fraud is reported (lognormal)")
    ] = 7.0
    reported: Annotated[float, Range(0.0, 1.0, "share of payment frauds ever reported")] = 0.85
    false_reports: Annotated[
        float, Range(0.0, 0.1, "share of honest orders reported by mistake")
    ] = 0.001


class Dirty(Settings, frozen=True):
    """What goes wrong between the shop and its log. All zero: nothing does."""

    duplicates: Annotated[
        float, Range(0.0, 0.5, "share of rows that arrive twice, equal in all but the event id")
    ] = 0.0
    resent: Annotated[
        float,
        Range(
            0.0, 0.5, "share of rows that are sent again, stamped anew up to half a minute later"
        ),
    ] = 0.0
    clock_skew: Annotated[
        float, Range(0.0, 0.5, "share of devices whose clock is off by a fixed time")
    ] = 0.0
    clock_skew_minutes: Annotated[
        float, Range(0.0, 1440.0, "sd of that time in minutes, either way")
    ] = 15.0
    clock_reset: Annotated[
        float, Range(0.0, 0.5, "share of devices whose clock began again at 2000-01-01")
    ] = 0.0
    late: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "share of rows stamped when they arrive, not when they happened: out of order",
        ),
    ] = 0.0
    late_minutes: Annotated[
        float, Range(0.01, 1440.0, "mean delay of these rows in minutes (exponential)")
    ] = 10.0
    null_session_id: Annotated[
        float, Range(0.0, 1.0, "share of the values of session_id that are lost")
    ] = 0.0
    null_item_id: Annotated[
        float, Range(0.0, 1.0, "share of the values of item_id that are lost")
    ] = 0.0
    null_order_id: Annotated[
        float, Range(0.0, 1.0, "share of the values of order_id that are lost")
    ] = 0.0
    null_coupon_id: Annotated[
        float, Range(0.0, 1.0, "share of the values of coupon_id that are lost")
    ] = 0.0
    null_category: Annotated[
        float, Range(0.0, 1.0, "share of the values of category that are lost")
    ] = 0.0
    null_brand: Annotated[float, Range(0.0, 1.0, "share of the values of brand that are lost")] = (
        0.0
    )
    null_device: Annotated[
        float, Range(0.0, 1.0, "share of the values of device that are lost")
    ] = 0.0
    null_channel: Annotated[
        float, Range(0.0, 1.0, "share of the values of channel that are lost")
    ] = 0.0
    null_payment_method: Annotated[
        float, Range(0.0, 1.0, "share of the values of payment_method that are lost")
    ] = 0.0
    null_country: Annotated[
        float, Range(0.0, 1.0, "share of the values of country that are lost")
    ] = 0.0
    null_query: Annotated[float, Range(0.0, 1.0, "share of the values of query that are lost")] = (
        0.0
    )
    null_price: Annotated[float, Range(0.0, 1.0, "share of the values of price that are lost")] = (
        0.0
    )
    null_quantity: Annotated[
        float, Range(0.0, 1.0, "share of the values of quantity that are lost")
    ] = 0.0
    null_rating: Annotated[
        float, Range(0.0, 1.0, "share of the values of rating that are lost")
    ] = 0.0
    null_discount: Annotated[
        float, Range(0.0, 1.0, "share of the values of discount that are lost")
    ] = 0.0


class Truth(Settings, frozen=True):
    """What the log says about its own making."""

    exposures: Annotated[
        bool, Range(doc="keep every slate that was shown (about twelve rows per page)")
    ] = False
    programme: Annotated[
        bool,
        Range(doc="run the shop without its coupon campaigns too, and keep what each user buys"),
    ] = False
