"""Array records that compiled code reads and writes: settings, items, the current session."""

from __future__ import annotations

import numpy as np

from simulator._numba import source
from simulator.behaviour.shoppers import RECENT
from simulator.scenario import SECTIONS, Scenario, section_settings
from simulator.world.catalogue import World

OUT_OF_STOCK, IN_STOCK, NOT_LAUNCHED = 0, 1, 2  # `stock` of an item
LATE_REFUNDS = 2.2  # refunds of late deliveries for one of a punctual delivery
# in `feature`: style dimensions, then price, quality, appeal
PRICE_FEATURE, APPEAL_FEATURE = -3, -1


def rules(scenario: Scenario) -> np.ndarray:
    """Return (1,) record of the scenario's numbers, each called `section_name`."""
    numbers = {
        f"{section}_{name}": value
        for section in SECTIONS
        for name, value in section_settings(scenario, section).items()
        if isinstance(value, int | float)
    }
    checkout = scenario.checkout
    numbers["refund_late"], numbers["refund_on_time"] = refund_rates(checkout.refund, checkout.late)
    record = np.zeros(1, dtype=np.dtype([(name, "f8") for name in numbers]))
    for name, value in numbers.items():
        record[name] = value
    return record


def refund_rates(refund: float, late: float) -> tuple[float, float]:
    """Return the probabilities that an order leads to a refund, if it came late and otherwise.

    A late one is LATE_REFUNDS times as probable, or certain; their mean is `refund`, where `late`
    is the share of late deliveries.
    """
    otherwise = refund / (1.0 + late * (LATE_REFUNDS - 1.0))
    if LATE_REFUNDS * otherwise <= 1.0:
        return LATE_REFUNDS * otherwise, otherwise
    # Every late order is refunded; of the others as many as are missing.
    return 1.0, (refund - late) / (1.0 - late)


def item_records(world: World) -> np.ndarray:
    """Return (n_items,) records of what a shopper sees of an item.

    `feature[PRICE_FEATURE]`, `feature[APPEAL_FEATURE]`, `appeal`, `lift`, `price`, `discount` and
    `stock` are set day by day.
    """
    styles = world.style.shape[1]
    table = np.zeros(
        world.n_items,
        dtype=np.dtype(
            [
                ("feature", "f4", (styles + 3,)),
                ("lift", "f4"),  # utility that the item gains today
                ("price", "f4"),
                ("discount", "f4"),  # share taken off by a campaign of its category
                ("appeal", "f4"),
                ("quality", "f4"),
                ("category", "i4"),
                ("brand", "i4"),
                ("stock", "u1"),  # see IN_STOCK
            ],
            align=True,
        ),
    )
    table["feature"] = np.column_stack([world.style, world.price_z, world.quality, world.appeal])
    table["appeal"], table["quality"] = world.appeal, world.quality
    table["category"], table["brand"] = world.category, world.brand
    table["stock"] = 1
    return table


def session_record(scenario: Scenario, world: World) -> np.ndarray:
    """Return (1,) record of the session that is being played.

    Within reach are RECENT items that can be opened again, then the items of the page.
    """
    reach = RECENT + scenario.sessions.slate
    return np.zeros(
        1,
        dtype=np.dtype(
            [
                ("key", "u8"),  # of the visit's draws
                ("time", "f8"),  # seconds; moves as the session goes on
                ("number", "i8"),
                ("page", "i8"),  # row of the slates
                ("query", "i8"),
                ("depth", "i8"),  # page of the result list, from 0
                ("device", "i8"),
                ("card", "i8"),  # -1 = one of the shopper's own
                ("order", "i8"),  # number of the order placed, -1 = none
                ("user", "i8"),  # row of the shoppers' table
                ("focus", "i4"),  # category that is looked at
                ("last", "i4"),  # item viewed last
                ("need", "i4"),  # item that was used up, for which the visit is made; -1 = none
                ("project", "i4"),  # category in which purchases are thought over, -1 = none
                ("deliberation", "f4"),  # rise of the log-odds to cart in it
                ("views", "i4"),
                ("ring", "i4"),
                ("payment_attempts", "i4"),
                ("category", "i4"),  # that must be the intent, -1 = the shopper's own choice
                ("price_sensitivity", "f4"),
                # utility of reference prices, taken off that of every item
                ("reference_utility", "f4"),
                ("cart_reference", "f4"),  # the same for the log-odds to cart
                ("leave_logit", "f4"),
                ("detachment", "f4"),  # rise of the utility of clicking on nothing
                ("pace", "f4"),  # log of the factor on the time between clicks
                ("cart_shift", "f4"),
                ("checkout_shift", "f4"),
                ("payment_failure", "f4"),
                ("own_taste", "f4"),
                ("redeem_welcome", "f4"),
                ("change_address", "f4"),  # probability that an order goes to another address
                ("coupon_pull", "f4"),  # price sensitivity times the coupon's log discount
                ("typology", "i1"),  # -1 = honest
                ("country", "i1"),
                ("channel", "i1"),
                ("bought", "u1"),
                ("logged_in", "u1"),
                ("accepted", "u1"),  # whether a payment can succeed
                # of an attack: the sessions in which it can, a bit each; as in the world that came
                # true, so that a counterfactual lives through the same attacks
                ("accepted_in", "i4"),
                ("came_to_buy", "u1"),  # does not leave before something is in the cart
                ("hurry", "u1"),  # the checkout follows the first item in the cart
                ("feature_weight", "f4", (world.style.shape[1] + 3,)),
                ("items", "i4", (reach,)),  # within reach, -1 = none
                ("weight", "f8", (reach,)),  # exp(utility) of each
                ("chance", "f8", (reach,)),  # probability to click on each
                # probability to look at exactly the first 1, 2, ... ranks
                ("depth_probability", "f8", (scenario.sessions.slate,)),
                # a changed source changes the record's type, so that no stale cache is used
                (f"source_{source()}", "u1"),
            ],
            align=True,
        ),
    )


def page_dtype(slate: int) -> np.dtype:
    """Return the record of a page that was shown, with `slate` places."""
    return np.dtype(
        [
            ("time", "f8"),
            ("session", "i4"),
            ("policy", "i1"),  # index into recommender.POLICIES
            ("slate", "i4"),  # row of recommender.Slates: which list, page and variant
            ("items", "i4", (slate,)),
            ("price", "f4", (slate,)),
            ("propensity", "f4", (slate,)),  # probability to show the item at this place
            ("known", "u1", (slate,)),  # viewed before, so not clickable from the page
            ("event", "i8", (slate,)),  # row of the view that a click led to, -1 = no click
        ],
        align=True,
    )
