"""What the customers of the first simulated day did before it: drawn, not played.

The shop has opened accounts at an even pace for OPEN_DAYS days. Those that are alive today are the
ones drawn here, with the age, the death hazard, the orders and the trust that survivors have. A
burn-in of some days (`calendar.burn_in`) then adds what lasts days: carts, intents, parcels.
"""

from __future__ import annotations

import numpy as np

from simulator.behaviour.session.devices import CART_PART
from simulator.scenario import Scenario
from simulator.world.catalogue import QUALITY, World

OPEN_DAYS = 1_095.0
VISITS = 1.7  # visits for each one planned: with those that a visit or an order leads to
LOOKS = 1.0  # looks per visit that may end in an order, at the rate of the default shop
MATCH_SPREAD = 1.2  # sd over looks of the log-odds to cart
RECENT_DAYS = 45  # days before the first one played whose orders may still lead to something
CANDIDATES = 6  # items that are compared where a past purchase is drawn
FIRST_ORDERS = 8  # later ones earn hardly any trust
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)


def account_age(scenario: Scenario, rate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (n,) float64 age in days of accounts that are alive, by their visit rate (n,).

    With a gamma hazard, a share (1 + x) ** -shape survives, x = visits * mean hazard / shape; ages
    are drawn from that survival by inversion.
    """
    churn, u = scenario.churn, rng.random(len(rate))
    if churn.hazard == 0:
        return OPEN_DAYS * u
    pace = VISITS * rate * churn.hazard / churn.hazard_shape
    power = 1.0 - churn.hazard_shape
    if abs(power) < 1e-3:
        return np.expm1(u * np.log1p(pace * OPEN_DAYS)) / pace  # type: ignore[no-any-return]
    top = (1.0 + pace * OPEN_DAYS) ** power
    return ((1.0 + u * (top - 1.0)) ** (1.0 / power) - 1.0) / pace  # type: ignore[no-any-return]


def surviving_hazard(
    scenario: Scenario, visits: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return (n,) float64 hazards, given that the shopper stayed after each of `visits` (n,).

    The gamma is conjugate: every visit survived adds 1 to its rate.
    """
    churn = scenario.churn
    if churn.hazard == 0:
        return np.zeros(len(visits))
    shape = churn.hazard_shape
    return rng.gamma(shape, 1.0 / (shape / churn.hazard + visits))


def past_orders(
    scenario: Scenario, propensity: np.ndarray, visits: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (n,) orders placed within `visits` (n,), trust earned, and orders per visit now.

    From order to order the wait is geometric; the trust that the first orders earn
    makes the next come sooner.
    """
    checkout = scenario.checkout
    fills = _fills_cart(scenario, propensity)
    good = (1.0 - checkout.late) * (1.0 - checkout.refund)
    left, orders = visits.astype(np.float64), np.zeros(len(visits), dtype=np.int64)
    trust = np.zeros(len(visits))
    for k in range(1, FIRST_ORDERS + 1):
        left -= rng.geometric(_orders_per_visit(scenario, fills, propensity, trust))
        ordered = left >= 0
        orders += ordered
        earns = ordered & (rng.random(len(visits)) < good)
        trust += earns * checkout.trust * np.exp(-0.5 * k)
    chance = _orders_per_visit(scenario, fills, propensity, trust)
    orders += rng.binomial(np.maximum(left, 0).astype(np.int64), chance)
    return orders, trust, chance


def _fills_cart(scenario: Scenario, propensity: np.ndarray) -> np.ndarray:
    """(n,) float64 probability that a visit ends with something in the cart."""
    mobile = CART_PART * scenario.devices.mobile * scenario.devices.mobile_buys
    logit = scenario.checkout.cart + mobile + propensity[:, None] + MATCH_SPREAD * _NODES
    chance = (1.0 / (1.0 + np.exp(-logit))) @ (_WEIGHTS / _WEIGHTS.sum())
    return 1.0 - (1.0 - chance) ** LOOKS  # type: ignore[no-any-return]


def _orders_per_visit(
    scenario: Scenario, fills: np.ndarray, propensity: np.ndarray, trust: np.ndarray
) -> np.ndarray:
    """(n,) float64 probability that a visit ends in an order."""
    mobile = (1.0 - CART_PART) * scenario.devices.mobile * scenario.devices.mobile_buys
    logit = scenario.checkout.begin + mobile + 0.6 * propensity + trust
    return np.maximum(fills / (1.0 + np.exp(-logit)), 1e-9)  # type: ignore[no-any-return]


def recent_orders(
    orders: np.ndarray,
    rate: np.ndarray,
    age: np.ndarray,
    chance: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (m,) int64 shoppers, ascending, and (m,) float64 days ago of their latest orders.

    Args:
        orders: (n,) placed so far, at least as many as come out for each.
        rate: (n,) planned visits a day.
        age: (n,) days since the account was opened.
        chance: (n,) orders per visit.
        rng: where they are drawn from.
    """
    days = np.minimum(age, RECENT_DAYS)
    count = np.minimum(rng.poisson(VISITS * rate * chance * days), orders)
    who = np.repeat(np.arange(len(count)), count)
    ago = rng.random(len(who)) * days[who]
    order = np.lexsort((-ago, who))
    return who, ago[order]


def past_purchases(
    world: World,
    category_logit: np.ndarray,
    taste: np.ndarray,
    sensitivity: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return (n,) int32: an item that each shopper bought, the best of a few of a liked category.

    `category_logit` (n, n_categories), `taste` (n, n_styles), `sensitivity` (n,) to prices.
    """
    n = len(taste)
    category = (category_logit + rng.gumbel(size=category_logit.shape)).argmax(1)
    # items are in the order of their categories
    first = np.searchsorted(world.category, np.arange(world.n_categories + 1))
    size = first[category + 1] - first[category]
    item = first[category][:, None] + (rng.random((n, CANDIDATES)) * size[:, None]).astype(np.int64)
    utility = np.einsum("nks,ns->nk", world.style[item], taste)
    checkout = world.scenario.checkout
    bought_for_appeal = 1.0 - checkout.cart_match * (checkout.curiosity - 1.0)
    utility += bought_for_appeal * world.appeal[item] + QUALITY * world.quality[item]
    utility -= sensitivity[:, None] * world.price_z[item]
    best = (utility + rng.gumbel(size=utility.shape)).argmax(1)
    return item[np.arange(n), best].astype(np.int32)
