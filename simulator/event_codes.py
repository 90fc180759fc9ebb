"""The events of the simulated shop, as codes; `event_codes.PURCHASE` is a constant to numba."""

from __future__ import annotations

NAMES = (
    "view_item",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "begin_checkout",
    "add_payment_info",
    "payment_failed",
    "purchase",
    "refund",
    "review",
    "login",
    "coupon_offer",
    "coupon_redeem",
    "add_to_wishlist",
    "login_failed",
    "change_address",
    "view_item_list",
)
(
    VIEW_ITEM,
    SEARCH,
    ADD_TO_CART,
    REMOVE_FROM_CART,
    BEGIN_CHECKOUT,
    ADD_PAYMENT_INFO,
    PAYMENT_FAILED,
    PURCHASE,
    REFUND,
    REVIEW,
    LOGIN,
    COUPON_OFFER,
    COUPON_REDEEM,
    ADD_TO_WISHLIST,
    LOGIN_FAILED,
    CHANGE_ADDRESS,
    VIEW_ITEM_LIST,
) = range(len(NAMES))
