"""Names that teams give to columns and events, for the import without a mapping."""

from __future__ import annotations

from eventlog.ingest.values import plain_name
from eventlog.schema import ROLES

# Schema column -> names that teams use for it, likeliest first (lower case, letters and digits).
ALIASES: dict[str, tuple[str, ...]] = {
    "user_id": (
        "userid",
        "visitorid",
        "customerid",
        "userpseudoid",
        "anonymousid",
        "householdid",
        "householdkey",
        "clientid",
        "memberid",
        "accountid",
        "uid",
        "user",
        "customer",
        "visitor",
    ),
    "timestamp": (
        "timestamp",
        "eventtime",
        "eventtimestamp",
        "datetime",
        "createdat",
        "occurredat",
        "time",
        "ts",
        "eventdate",
        "orderdate",
        "invoicedate",
        "purchasedate",
        "transactiondate",
        "transdate",
        "saledate",
        "date",
    ),
    "event": (
        "event",
        "eventtype",
        "eventname",
        "behaviortype",
        "behaviourtype",
        "action",
        "activity",
        "type",
    ),
    "event_id": ("eventid",),
    "session_id": ("sessionid", "usersession", "visitid", "session"),
    "item_id": (
        "itemid",
        "productid",
        "variantid",
        "sku",
        "stockcode",
        "articleid",
        "movieid",
        "asin",
        "item",
        "product",
        "article",
    ),
    "order_id": (
        "orderid",
        "transactionid",
        "invoiceno",
        "invoiceid",
        "ordernumber",
        "invoice",
        "order",
    ),
    "coupon_id": ("couponid", "couponcode", "coupon", "voucher"),
    "category": ("category", "categorycode", "categoryid", "itemcategory", "productcategory"),
    "brand": ("brand", "itembrand", "manufacturer"),
    "device": ("device", "deviceid", "devicetype", "devicecategory"),
    "channel": ("channel", "trafficsource", "medium", "utmmedium"),
    "payment_method": ("paymentmethod", "paymenttype"),
    "country": ("country", "countrycode"),
    "query": ("query", "searchterm", "searchquery"),
    "price": ("price", "unitprice", "itemprice", "amount"),
    "quantity": ("quantity", "qty"),
    "rating": ("rating", "stars"),
    "discount": ("discount",),
}
EVENT_NAMES: dict[str, str] = {
    "view": "view_item",
    "pageview": "view_item",
    "pv": "view_item",
    "click": "view_item",
    "clicks": "view_item",
    "detail": "view_item",
    "list": "view_item_list",
    "impression": "view_item_list",
    "search": "search",
    "cart": "add_to_cart",
    "carts": "add_to_cart",
    "addtocart": "add_to_cart",
    "basket": "add_to_cart",
    "removefromcart": "remove_from_cart",
    "uncart": "remove_from_cart",
    "fav": "add_to_wishlist",
    "favorite": "add_to_wishlist",
    "wishlist": "add_to_wishlist",
    "checkout": "begin_checkout",
    "buy": "purchase",
    "order": "purchase",
    "orders": "purchase",
    "transaction": "purchase",
    "purchase": "purchase",
    "refund": "refund",
    "return": "refund",
    "rating": "review",
    "review": "review",
    "login": "login",
    # Segment's and RudderStack's specification
    "productviewed": "view_item",
    "productclicked": "view_item",
    "productadded": "add_to_cart",
    "productremoved": "remove_from_cart",
    "productaddedtowishlist": "add_to_wishlist",
    "productlistviewed": "view_item_list",
    "productssearched": "search",
    "productreviewed": "review",
    "checkoutstarted": "begin_checkout",
    "paymentinfoentered": "add_payment_info",
    "ordercompleted": "purchase",
    "orderrefunded": "refund",
    "couponapplied": "coupon_redeem",
    # Shopify's customer events
    "collectionviewed": "view_item_list",
    "searchsubmitted": "search",
    "productaddedtocart": "add_to_cart",
    "productremovedfromcart": "remove_from_cart",
    "paymentinfosubmitted": "add_payment_info",
    "checkoutcompleted": "purchase",
}
# Plain names of columns.
LABELS: dict[str, str] = {
    "isfraud": "fraud",
    "fraud": "fraud",
    "fraudlabel": "fraud",
    "chargeback": "fraud",
    "isbot": "bot",
    "isfake": "fake_review",
}
CLOCKS = (
    "time",
    "timeofday",
    "clock",
    "eventtime",
    "ordertime",
    "transtime",
    "transactiontime",
    "purchasetime",
    "invoicetime",
    "saletime",
    "hour",
)
DATES = (
    "date",
    "eventdate",
    "orderdate",
    "transdate",
    "transactiondate",
    "purchasedate",
    "invoicedate",
    "saledate",
    "day",
)
KNOWN_AT = ("knownat", "labeltime", "chargebackat", "chargebacktime", "reportedat")
CURRENCIES = ("currency", "currencycode", "currencyiso")
_STANDARD = {plain_name(name): name for name in ROLES}


def event_name(value: str) -> str:
    """Return the schema's name of an event that is spelled in another way, or the name itself.

    "Add To Cart", "addToCart" and "add-to-cart" are add_to_cart.
    """
    plain = plain_name(value)
    return value if value in ROLES else EVENT_NAMES.get(plain) or _STANDARD.get(plain) or value
