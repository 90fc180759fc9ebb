"""No two decisions share a draw."""

from simulator.behaviour import draws

NORMAL = {"LEAVE_LOGIT", "DWELL", "RATING", "REFUND_TIME", "REVIEW_TIME", "BACK_FOR_MORE_TIME"}
NORMAL |= {"RETURN_TIME", "DETACHMENT", "SESSION_PACE", "LIST_LENGTH", "USED_UP_TIME"}
OF_A_STEP = ("CLICK", "DWELL", "VARIANT", "NEXT_PAGE", "ADD_TO_CART", "CART_TIME")
OF_A_STEP += ("STOCK_OUT_ANNOYS", "LEAVE", "NEXT_ACTION", "QUERY", "QUERY_TIME", "QUERY_VARIANT")
OF_A_STEP += ("GAP_KIND", "QUICK_ADD", "SEVERAL_PIECES", "PIECES", "WISH", "WISH_TIME")
OF_A_STEP += ("QUERY_WORDS",)
STRIDES = ("STEP", "PAYMENT_STRIDE", "CART_LINE_STRIDE", "WISHLIST_STRIDE", "LIST_STRIDE")
WITHIN = (
    "ATTEMPT_",
    "REMOVES_LINE",
    "FROM_WISHLIST",
    "FROM_LIST",
    "CAMPAIGN_",
    "CHILD_",
    "MAIL_",
    "FROM_MAIL_",
)  # counted from another number


def taken(names):
    """The numbers that the draws take, a normal deviate two of them."""
    return [getattr(draws, n) + k for n in names for k in range(2 if n in NORMAL else 1)]


def test_no_two_decisions_share_a_draw():
    names = [n for n in vars(draws) if n.isupper()]
    visit = [
        n for n in names if n not in (*OF_A_STEP, *STRIDES, "CHECKOUT") and not n.startswith(WITHIN)
    ]
    assert len(visit) > 40
    for group in (visit, OF_A_STEP):
        assert len(set(taken(group))) == len(taken(group))
    for prefix in WITHIN:
        group = [n for n in names if n.startswith(prefix) and n not in STRIDES]
        assert len({getattr(draws, n) for n in group}) == len(group)


def test_the_draws_of_a_step_fit_into_it():
    assert max(taken(OF_A_STEP)) < draws.STEP
    assert draws.RATING + 1 < draws.COUPON_REMINDER < draws.STEP
    assert draws.ATTEMPT_CHANGES_CARD < draws.PAYMENT_STRIDE
    # the longest session stays below the draws of tastes
    assert draws.STEP * (1_000 + 2) < draws.TASTE_DRIFT
