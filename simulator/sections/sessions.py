"""How a session goes, from the first click to the order."""

from __future__ import annotations

from typing import Annotated

from eventlog._runtime.settings import Range, Settings


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
    """Time between two clicks (see `behaviour.session.pace`); its median is `sessions.dwell`.

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
