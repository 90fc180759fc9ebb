"""Numbers of the keyed draws: which draw of a visit's stream decides what.

Every decision has a number of its own, so that no decision changes the draws of another
(see `counter_rng`)::

    uniform(session.key, draws.REFUND) < probability

A normal deviate takes two numbers, its own and the next. The numbers key the random streams of
every simulated log: changing one changes all logs of the same seed.
"""

from __future__ import annotations

# --- one draw a visit -----------------------------------------------------------------------------

OWN_DEVICE = 0  # the main device or the second
NEW_DEVICE = 1
ABROAD = 2
COUNTRY = 3  # abroad: which country
DIRECT = 4  # the address was typed
CHANNEL = 5  # otherwise: which channel
KEEP_INTENT = 6
RESUME_INTENT = 7  # otherwise: back to the intent before
CATEGORY = 8  # of a new intent
REPEAT_ITEM = 9  # which of the items bought last
REPLENISH = 10  # whether the new intent is to buy it again
LEAVE_LOGIT = 11  # of the session; normal
DETACHMENT = 13  # of the session; normal
SESSION_PACE = 15  # normal
REMEMBERED = 17  # the device is still logged in
LOGIN_AT_START = 18  # and the time it takes
LOGIN_TO_BUY = 20  # and the time it takes
GOES_ON = 22  # after an order
SIGN_UP_TIME = 23
GIFT = 24  # whether a new intent is one
OPENS_MAIL = 25  # who is about to leave does so less often

SHOW_UP = 40
SERVICE_DEVICE = 41
SERVICE_TIME = 42
SERVICE_VIEW_TIME = 43
SERVICE_LINE = 44  # which line of the order
REVIEW_UNBOUGHT = 45
RATING = 46  # normal
COUPON_REMINDER = 48
COUPON_REMINDER_TIME = 49
LOGIN_FAILS = 50  # + attempt, of five
LOGIN_TIME = 55  # + attempt

# --- draws of a step: STEP * (step + 1) + one of these --------------------------------------------

STEP = 64
CLICK = 0
DWELL = 1  # normal
VARIANT = 3
NEXT_PAGE = 4
ADD_TO_CART = 5
CART_TIME = 6
STOCK_OUT_ANNOYS = 7
LEAVE = 8
NEXT_ACTION = 9  # nothing clicked, not leaving: the next page or a new search
QUERY = 10
QUERY_TIME = 11
QUERY_VARIANT = 12
GAP_KIND = 13
QUICK_ADD = 14
SEVERAL_PIECES = 15
PIECES = 16
WISH = 17
WISH_TIME = 18
QUERY_WORDS = 19

# --- draws of a visit, one normal for each style dimension: + 2 * dimension -----------------------

TASTE_DRIFT = 1 << 20
INTENT_STYLE = 1 << 21

# --- checkout and what follows it -----------------------------------------------------------------

CHECKOUT = 1 << 22
BEGIN_CHECKOUT = CHECKOUT + 0
REMOVE_ITEM = CHECKOUT + 2
REMOVE_TIME = CHECKOUT + 4
FORGET_CART = CHECKOUT + 6
BEGIN_TIME = CHECKOUT + 8
SHIPPING_SHOCK = CHECKOUT + 10
CARD = CHECKOUT + 12
PAYMENT_TIME = CHECKOUT + 14
ORDER_TIME = CHECKOUT + 16
REDEEM_WELCOME = CHECKOUT + 18
LATE_DELIVERY = CHECKOUT + 20
REFUND = CHECKOUT + 22
REFUND_ANNOYS = CHECKOUT + 24
COMPLEMENT = CHECKOUT + 26
REVIEW = CHECKOUT + 28
REFUND_TIME = CHECKOUT + 30  # normal
REVIEW_TIME = CHECKOUT + 32  # normal
BACK_FOR_MORE = CHECKOUT + 34
BACK_FOR_MORE_TIME = CHECKOUT + 36  # normal
CHURN = CHECKOUT + 38
FORGIVE = CHECKOUT + 40
RETURN_VISIT = CHECKOUT + 42
RETURN_TIME = CHECKOUT + 44  # normal
DELIVERY_TIME = CHECKOUT + 50
SUPPORT_CONTACT = CHECKOUT + 52
SUPPORT_CONTACT_TIME = CHECKOUT + 54
WIN_BACK = CHECKOUT + 56
USED_UP = CHECKOUT + 58  # whether the shopper comes back for what will be used up
USED_UP_TIME = CHECKOUT + 60  # normal
CHANGE_ADDRESS = CHECKOUT + 46
CHANGE_ADDRESS_TIME = CHECKOUT + 48

# Draws of a payment attempt: PAYMENT_ATTEMPT + PAYMENT_STRIDE * attempt + one of these.
PAYMENT_ATTEMPT = CHECKOUT + 64
PAYMENT_STRIDE = 4
ATTEMPT_TIME = 0
ATTEMPT_SUCCEEDS = 1
ATTEMPT_CHANGES_CARD = 2

# Draws of a line of the cart before the checkout: CART_LINE + CART_LINE_STRIDE * line + one of
# these.
CART_LINE = CHECKOUT + 128
CART_LINE_STRIDE = 2
REMOVES_LINE = 0
REMOVES_LINE_TIME = 1

# Draws of a line that may be sent back: REFUND_LINE + line.
REFUND_LINE = CHECKOUT + 512

# --- the wishlist: WISHLIST + WISHLIST_STRIDE * place + one of these, or a number of a step -------

WISHLIST = 1 << 23
WISHLIST_STRIDE = 64
FROM_WISHLIST = 0
FROM_WISHLIST_TIME = 1

# --- the shopping list: LIST + LIST_STRIDE * line + one of these, or a number of a step -----------

LIST = 1 << 24
LIST_LENGTH = LIST + 62  # normal; of the first line's numbers
LIST_STRIDE = 64
FROM_LIST_ITEM = 0
FROM_LIST_TIME = 1
FROM_LIST_VARIANT = 2

# --- a campaign's draws, on a key of its own for each shopper -------------------------------------

CAMPAIGN_REACHES = 1
CAMPAIGN_TREATS = 2

# --- children of a visit's key: the visits that it leads to ---------------------------------------

CHILD_RETURN = 1
CHILD_BACK_FOR_MORE = 2
CHILD_REFUND = 3
CHILD_REVIEW = 4
CHILD_COUPON_REMINDER = 5
CHILD_PAST_ORDER = -1_000_000  # - number of the order among those of a shard
CHILD_DELIVERY = 7
CHILD_USED_UP = 8
CHILD_GOES_ON = 6  # what the shopper does in the same session, after an order
CHILD_ATTACK = 16  # + session of the burst, from 1

# --- e-mails: children of a shopper's key, and draws on those -------------------------------------

CHILD_EMAIL = 1 << 40  # + 2**32 * kind of the mail + its number
CHILD_CLICK = 1 << 41  # + number of the session that the click leads to
MAIL_SENT_TIME = 0
MAIL_OPENED = 1
MAIL_OPENED_TIME = 2  # normal
MAIL_OPENED_USUALLY = 4  # on the key of no mail; normal
FROM_MAIL_CLICK_TIME = 0
FROM_MAIL_READING_TIME = 1

# --- a draw on the key of a session of a burst ----------------------------------------------------

BURST_PAUSE = 60  # normal
