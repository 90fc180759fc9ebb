"""Guess a mapping from common column names, and report every guess."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa

from eventlog._runtime.errors import InputError
from eventlog.ingest.mapping import (
    MISSING,
    EventSource,
    FileFormat,
    Label,
    Mapping,
    Names,
    TimeFormat,
)
from eventlog.ingest.nested import flatten
from eventlog.ingest.streams import Batch
from eventlog.ingest.values import NO_TIME, parse_times
from eventlog.schema import ROLES

# Schema column -> names that teams use for it, likeliest first (lower case, letters and digits).
ALIASES: dict[str, tuple[str, ...]] = {
    "user_id": (
        "userid",
        "visitorid",
        "customerid",
        "userpseudoid",
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
}
LABELS: dict[str, str] = {
    "isfraud": "fraud",
    "fraud": "fraud",
    "fraudlabel": "fraud",
    "chargeback": "fraud",
    "isbot": "bot",
    "isfake": "fake_review",
}
# Ways to write a time that is not ISO 8601. One is assumed if it alone reads all values: the day
# comes first in 31/12/2024, but 05/06/2024 leaves it open.
DATES = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%d %b %Y",
    "%b %d, %Y",
)
CLOCKS = (" %H:%M:%S", " %H:%M", " %I:%M %p", " %I:%M:%S %p", "")
KNOWN_AT = ("knownat", "labeltime", "chargebackat", "chargebacktime", "reportedat")


def detect(batch: Batch, path: str) -> tuple[Mapping, list[str]]:
    """Return a mapping for the columns of `batch`, and what was assumed, a text each.

    Raises InputError if no column could be the user, the time or the event.
    """
    plain = {_plain(name): name for name in reversed(_columns(batch.table))}
    candidates = {
        column: [plain[a] for a in aliases if a in plain] for column, aliases in ALIASES.items()
    }
    found: dict[str, Names] = {column: (names[0],) for column, names in candidates.items() if names}
    for column in ("user_id", "timestamp"):
        if column not in found:
            raise InputError(
                f"{path} has no column that could be {column} (such as {ALIASES[column][0]!r}); "
                "its columns are "
                f"{', '.join(batch.table.column_names)}: give --preset or --mapping."
            )
    assumed = [
        f"{source[0]} is {column}" for column, source in found.items() if source[0] != column
    ]

    table = flatten(batch.table, batch.rows, {source[0] for source in found.values()}, None)[0]
    time_source = found.pop("timestamp")
    time = TimeFormat(column=time_source)
    values = table[time_source[0]]
    if not pa.types.is_temporal(values.type):
        number = pd.to_numeric(
            pd.Series(values.slice(0, 1000).to_pandas().astype(object)), errors="coerce"
        ).dropna()
        if len(number) and float(number.median()) > 1e8:  # 19970101 is a date
            if float(number.median()) >= 1e9:
                time = TimeFormat(column=time_source, unit="auto")
                assumed.append(
                    f"{time_source[0]} counts from 1970 UTC, in the unit that its size suggests"
                )
        elif not len(number):
            formats = _formats(values, f"{path}: {time_source[0]}")
            time = TimeFormat(column=time_source, format=formats)
            assumed += [f"{time_source[0]} is written as {form}" for form in formats]
            assumed.append(f"{time_source[0]} is in UTC where it carries no offset")

    event = EventSource(column=found.pop("event", ()))
    if event.column:
        names = {
            v: EVENT_NAMES[_plain(v)]
            for v in _values(table[event.column[0]])
            if v not in ROLES and _plain(v) in EVENT_NAMES
        }
        assumed += [f"event {value!r} is {name}" for value, name in names.items()]
        # a later batch may hold others
        common = {word: name for word, name in EVENT_NAMES.items() if word not in ROLES}
        event = EventSource(column=event.column, names={**common, **names})
    elif "order_id" in found:
        event = EventSource(constant="purchase")
        assumed.append("there is no event column, every row is a purchase")
    elif "rating" in found:
        event = EventSource(constant="review")
        assumed.append("there is no event column, every row is a review")
    else:
        raise InputError(
            f"{path} has no column that could be event (such as 'event_type'); its columns are "
            f"{', '.join(batch.table.column_names)}: give --mapping with a constant in [event]."
        )

    known_at = tuple(plain[a] for a in KNOWN_AT if a in plain)[:1]
    labels = tuple(
        Label(column=(plain[a],), kind=kind, known_at=known_at)
        for a, kind in LABELS.items()
        if a in plain
    )
    when = f"at {known_at[0]}" if known_at else "with its event"
    assumed += [f"{label.column[0]} is a label ({label.kind}), known {when}" for label in labels]
    file = FileFormat()
    amounts = [found[name][0] for name in ("price", "discount") if name in found]
    if any(_decimal_comma(table[name]) for name in amounts):
        file = FileFormat(decimal=",")
        assumed.append("numbers have a decimal comma")
    return Mapping(columns=found, time=time, event=event, labels=labels, file=file), assumed


def _columns(table: pa.Table) -> list[str]:
    """Return the columns with plain values, then the fields of structs by path ("item.id")."""
    nested = [name for name in table.column_names if pa.types.is_nested(table[name].type)]
    paths = [
        f"{name}.{kind.field(i).name}"
        for name in nested
        if pa.types.is_struct(kind := table[name].type)
        for i in range(kind.num_fields)
        if not pa.types.is_nested(kind.field(i).type)
    ]
    return [*(name for name in table.column_names if name not in nested), *paths]


def _formats(values: pa.ChunkedArray, where: str) -> tuple[str, ...]:
    """Return the format of times, () for ISO 8601.

    Raises InputError if several formats read all of them, with different results.
    """
    texts = np.array([v for v in _values(values) if v not in MISSING], dtype=object)
    if len(texts) == 0 or (parse_times(texts, TimeFormat()) != NO_TIME).mean() > 0.5:
        return ()
    fitting = []
    for form in (day + clock for day in DATES for clock in CLOCKS):
        if (parse_times(texts[:1], TimeFormat(format=(form,))) != NO_TIME).all():
            times = parse_times(texts, TimeFormat(format=(form,)))
            if (times != NO_TIME).mean() > 0.99:
                fitting.append((form, times))
    if len(fitting) > 1 and any((times != fitting[0][1]).any() for _, times in fitting):
        raise InputError(
            f"{where} has times such as {texts[0]!r}, which may be "
            f"{' or '.join(form for form, _ in fitting)}; "
            "give a mapping with format in [time]."
        )
    return tuple(form for form, _ in fitting[:1])


def _decimal_comma(values: pa.ChunkedArray) -> bool:
    """Return whether there are numbers such as 1,50 or 1.234,50, and none such as 1.50."""
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not pa.types.is_string(kind):
        return False
    texts = _values(values)
    comma = [re.fullmatch(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+", v) for v in texts]
    return any(comma) and not any(
        "." in v for v, found in zip(texts, comma, strict=True) if not found
    )


def _plain(name: str) -> str:
    """Return a column name without case, punctuation and RecBole type (`user_id:token`)."""
    return re.sub(r"[^a-z0-9]", "", name.split(":")[0].lower())


def _values(column: pa.ChunkedArray) -> list[str]:
    values = column.combine_chunks()
    distinct = values.dictionary if pa.types.is_dictionary(values.type) else values.unique()
    return sorted(
        {
            str(v).strip()
            for v in np.asarray(
                distinct.cast(pa.string()).drop_null().to_numpy(zero_copy_only=False)
            )
        }
    )
