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
    "sign_up",
    "delivery",
    "support_contact",
    "out_of_stock",
    "email_sent",
    "email_opened",
    "email_clicked",
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
    SIGN_UP,
    DELIVERY,
    SUPPORT_CONTACT,
    OUT_OF_STOCK,
    EMAIL_SENT,
    EMAIL_OPENED,
    EMAIL_CLICKED,
) = range(len(NAMES))


def names(emails: bool) -> tuple[str, ...]:
    """Return the names of the events that a log may have, with `emails` or without."""
    return NAMES if emails else NAMES[:EMAIL_SENT]
