"""How much an item attracts: its utility in a session, prices included. Compiled code."""

from __future__ import annotations

import math

from eventlog._runtime.compiled import inner
from simulator.behaviour.buffers.records import IN_STOCK, NOT_LAUNCHED
from simulator.world.catalogue import LEAST_SENSITIVITY, QUALITY, SENSITIVITY_STEP

OUT_OF_STOCK_WEIGHT = math.exp(-2.0)  # factor on the weight of an item that is out of stock
# Share of the price sensitivity, which is an elasticity of sales, that works at each of the two
# choices. They add up to more than 1 because a logit of probability p damps its share by 1 - p.
CLICK_PRICE, CART_PRICE = 0.85, 1.2


@inner
def set_feature_weights(shopper, session, which):
    """Set the weights of the item features: style, price, quality, appeal.

    `which`: 0 = the current intent, 1 = the interrupted one.
    """
    styles = shopper.taste.shape[0]
    weight = session.feature_weight
    for k in range(styles):
        weight[k] = (shopper.taste[k] + shopper.intent_style[which, k]) * session.own_taste
    weight[styles], weight[styles + 1], weight[styles + 2] = (
        -CLICK_PRICE * session.price_sensitivity,
        QUALITY,
        1.0,
    )


@inner
def reference_utility(grid, sensitivity):
    """Return the utility of reference prices at a price sensitivity (see World), interpolated."""
    place = (sensitivity - LEAST_SENSITIVITY) / SENSITIVITY_STEP
    k = min(max(int(place), 0), len(grid) - 2)
    return grid[k] + (place - k) * (grid[k + 1] - grid[k])


@inner
def attraction(shopper, session, rules, item):
    """Return exp(utility) of an item record."""
    utility = item.lift - session.reference_utility
    for k in range(session.feature_weight.shape[0]):
        utility += item.feature[k] * session.feature_weight[k]
    if item.brand == shopper.favourite_brand[session.focus // 2]:
        utility += rules.shoppers_brand_loyalty
    if item.category == session.focus:
        utility += rules.sessions_intent_match
    weight = math.exp(min(utility, 30.0))
    if item.stock == IN_STOCK:
        return weight
    return 0.0 if item.stock == NOT_LAUNCHED else weight * OUT_OF_STOCK_WEIGHT
