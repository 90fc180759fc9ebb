"""Read a codec back from model.json, checked so that sampling can trust every code, size and time
in it.

`restored` is what the generators call. Each part is read by a function of its own, in the order in
which parts refer to each other; what a part refers to has been read and checked before. The inverse
is `Codec.to_json`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from eventlog.schema import ROLE_NAMES
from generators.codec.clock import DAY_MS, Clock
from generators.codec.codec import (
    ARRIVAL,
    FAVOURITES,
    INTENT,
    LAST_ROWS,
    LAST_STAY,
    LENGTH,
    LEVELS,
    MARKS,
    MOST_ROWS,
    POPULARITY,
    SALES,
    STAY,
    Codec,
    Items,
)
from generators.codec.coders import Bins, Values
from generators.codec.fit import FLAGS, HANDLED
from generators.codec.shared_ids import Sharing
from generators.sequences.user_state import BOUGHT, CART, COUNTERS, EVER, SEEN
from generators.validation import Record

FIELDS = frozenset(
    {"gap", INTENT, "event", "pick", "category", "item", "order"}
)  # no column can have their names
PARTS = (
    "events",
    "roles",
    "categories",
    "clock",
    "items",
    "values",
    "ids",
    "bins",
    "statics",
    "user_columns",
    "labels",
    "intents",
    "delays",
    "needs",
    "flags",
    "sessionless",
    "allow",
    "allow_next",
    "least_time",
    "last_time",
    "fast_time",
    "longest",
    "daily_prices",
    "reduced",
    "held",
    "usual",
    "private",
    "max_rows",
    "not_learnt",
    "carried",
)
CARRIED = ("roles", "currency")  # of a log's manifest
KINDS = ("values", "number", "time")  # of columns of the users table
MOST_COUNTED = 1e9  # rows or sessions of a user
LONGEST_SESSION_MS = 10**13
STEEPEST_PRICE = 50.0  # of log ratios of prices
DEAREST = 1e15
MOST_CELLS = 50_000_000  # categories x days of reduced prices
NANOSECONDS = tuple(
    t.value // 1_000_000 + d * DAY_MS for t, d in ((pd.Timestamp.min, 2), (pd.Timestamp.max, -2))
)  # ms that pandas holds


def restored(data: Any, *, max_rows: int) -> Codec:
    """The codec of a generator's `data` in model.json. `max_rows`: the setting, which it must
    repeat.

    Raises StateError, in one sentence, where it is not what `Codec.to_json` gives.
    """
    state = Record(data)
    state.only(("codec",))
    part = state.record("codec")
    part.only(PARTS)
    codec = _vocabulary(part)
    codec.max_rows = part.integer("max_rows", 2, MOST_ROWS)
    if codec.max_rows != max_rows:
        part.fail("max_rows", f"is {codec.max_rows}, but the setting max_rows is {max_rows}")
    codec.private = part.flag("private")
    _columns(codec, part)
    _labels(codec, part)
    _statics(codec, part)
    _prices(codec, part)
    _pace(codec, part)
    _rules(codec, part)
    codec.not_learnt, codec.carried = part.texts("not_learnt"), _carried(part.record("carried"))
    return codec


def _vocabulary(part: Record) -> Codec:
    """Events with their roles, categories, items, the clock."""
    events = Values(part.texts("events", least=1))
    roles = part.record("roles")
    roles.only(events.values)
    categories = Values(part.texts("categories"))
    values = part.record("values")
    columns = {n: Values(values.texts(n)) for n in values}
    flags = part.record("flags")
    flags.only(FLAGS)
    return Codec(
        events=events,
        roles={n: roles.text(n, ROLE_NAMES) for n in events.values},
        categories=categories,
        items=_items(part.record("items"), categories, columns),
        clock=Clock.from_json(part.record("clock")),
        values=columns,
        flags={n: flags.flag(n) for n in FLAGS},
    )


def _items(part: Record, categories: Values, columns: dict[str, Values]) -> Items:
    """Items of category c are codes start[c]..start[c + 1] - 1, and so are their categories and
    their stand-ins."""
    part.only(("names", "category", "start", "price", "attributes", "other", "levels"))
    names = part.texts("names")
    size = len(names) + 1
    start = part.integers("start", size=categories.size + 1, low=1, high=size)
    if start[0] != 1 or start[-1] != size or (np.diff(start) < 0).any():
        part.fail("start", f"does not rise from 1 to {size}, the number of item codes")
    category = part.integers("category", size=size, low=0, high=categories.size - 1)
    if (
        category[0] != 0
        or (category[1:] != np.repeat(np.arange(categories.size), np.diff(start))).any()
    ):
        part.fail("category", "does not agree with start")
    other = part.integers("other", size=categories.size, low=0, high=size - 1)
    if ((other > 0) & ((other < start[:-1]) | (other >= start[1:]))).any():
        part.fail("other", "has an item of another category")
    attributes = part.record("attributes")
    attributes.only((), columns)
    levels = part.record("levels")
    levels.only((), (POPULARITY, SALES))
    _check_stand_ins(part, names, other)
    return Items(
        names,
        category,
        start,
        part.numbers("price", size=size, low=-DEAREST, high=DEAREST, missing=True),
        {n: attributes.integers(n, size=size, low=0, high=columns[n].size - 1) for n in attributes},
        other,
        {n: levels.integers(n, size=size, low=0, high=len(LEVELS)) for n in levels},
    )


def _check_stand_ins(part: Record, names: list[str], other: np.ndarray) -> None:
    """A stand-in is written out as several items, 'other:5' and so on: these must not be names of
    items already."""
    stand_ins = {names[i - 1] for i in other.tolist() if i > 0}
    for name in names:
        base, colon, number = name.rpartition(":")
        if colon and base in stand_ins and number.isdigit():
            part.fail("names", f"has {name!r}, which is a name for rare items")


def _columns(codec: Codec, part: Record) -> None:
    """Categorical columns, ids and numbers of events."""
    ids, bins = part.record("ids"), part.record("bins")
    intents = part.value("intents")
    n_intents = len(intents) + 1 if isinstance(intents, list) else 1
    codec.ids = {n: Sharing.from_json(ids.record(n), intents=n_intents) for n in ids}
    limits = {"price": DEAREST, "price_ratio": STEEPEST_PRICE}
    codec.bins = {
        n: Bins.from_json(
            bins.record(n), **({"low": -limits[n], "high": limits[n]} if n in limits else {})
        )
        for n in bins
    }
    if ("price" in codec.bins) != ("price_ratio" in codec.bins):
        bins.fail("", "has one of 'price' and 'price_ratio' without the other")
    seen: set[str] = set()
    for where, names in (
        ("values", codec.values),
        ("ids", codec.ids),
        ("bins", [n for n in codec.bins if n not in limits]),
    ):
        for name in names:
            if (
                name in HANDLED | FIELDS
                or name in limits
                or name.startswith("label:")
                or name in seen
            ):
                part.fail(where, f"has a column {name!r}, which is something else already")
            seen.add(name)


def _labels(codec: Codec, part: Record) -> None:
    """Kinds of labels with their values and delays; each is the intent of a session."""
    labels, delays = part.record("labels"), part.record("delays")
    codec.labels = {kind: labels.texts(kind, least=1) for kind in labels}
    for kind, values in codec.labels.items():
        for value in values:
            if not _is_number(value):
                labels.fail(kind, f"has the value {value!r}; it must be a number")
    pairs = part.value("intents")
    known = {(kind, v) for kind, values in codec.labels.items() for v in values}
    texts = isinstance(pairs, list) and all(
        isinstance(p, list) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs
    )
    if not texts or len(pairs) != len(known) or {(k, v) for k, v in pairs} != known:
        part.fail("intents", "does not list each value of each kind of label once")
    codec.intents = [(k, v) for k, v in pairs]
    delays.only(codec.labels)
    longest = (NANOSECONDS[1] - codec.clock.end_ms) / 1000
    for kind in codec.labels:
        pair = delays.value(kind)
        if not isinstance(pair, list) or len(pair) != 2:
            delays.fail(kind, "is no pair of delays and their shares")
        delay = Record({"delays": pair[0], "shares": pair[1]}, f"{delays.path}.{kind}")
        bins = Bins.from_json(delay.record("delays"), low=-longest, high=longest)
        share = delay.numbers("shares", size=bins.size, low=0, high=1)
        if share[0] > 0 or abs(share.sum() - 1) > 1e-9:
            delay.fail("shares", "does not begin with 0 and add up to 1")
        codec.delays[kind] = (bins, share)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _statics(codec: Codec, part: Record) -> None:
    """What is drawn once a user: when they come and how much they do, columns of the users table,
    favourites and first values."""
    statics, columns = part.record("statics"), part.record("user_columns")
    names, span = list(statics), (codec.clock.end_ms - codec.clock.start_ms) / 1000 + 1
    codec.user_columns = {n: columns.text(n, KINDS) for n in columns}
    planned = [n for n in (LAST_ROWS, LAST_STAY) if n in names]
    if (
        names[:3] != [ARRIVAL, STAY, LENGTH]
        or (MARKS in names) != bool(codec.intents)
        or len(planned) == 1
    ):
        statics.fail(
            "",
            f"must begin with {ARRIVAL}, {STAY} and {LENGTH}, have {MARKS} where there are labels, "
            f"and both or none of {LAST_ROWS} and {LAST_STAY}",
        )
    tops = {
        ARRIVAL: span,
        STAY: span,
        LAST_STAY: span,
        LENGTH: MOST_COUNTED,
        MARKS: MOST_COUNTED,
        LAST_ROWS: MOST_COUNTED,
    }
    for name in names:
        if name in tops:
            codec.statics[name] = Bins.from_json(statics.record(name), low=0, high=tops[name])
        elif codec.user_columns.get(name) in ("number", "time"):
            low, high = _days(codec.clock) if codec.user_columns[name] == "time" else (-1e36, 1e36)
            codec.statics[name] = Bins.from_json(statics.record(name), low=low, high=high)
        else:
            codec.statics[name] = Values(statics.texts(name))
    for name in codec.user_columns:
        if name not in names or name in tops or name == "user_id":
            columns.fail(name, "is no column of users whose values are drawn")
    for name in names[3:]:
        _check_static(codec, statics, name, name in tops)


def _days(clock: Clock) -> tuple[float, float]:
    """Days before a user's first event, from the last to the first that a table can hold."""
    return (clock.end_ms - NANOSECONDS[1]) / DAY_MS, (clock.start_ms - NANOSECONDS[0]) / DAY_MS


def _check_static(codec: Codec, statics: Record, name: str, counted: bool) -> None:
    """A favourite is a code of what items have, a first value one of its column: they share their
    vocabulary."""
    favourite, coder = codec.favourite_of(name), codec.statics[name]
    wanted = None
    if favourite is not None:
        column = favourite[0]
        wanted = (
            codec.categories
            if column == "category"
            else codec.values.get(column, Values(list(LEVELS)))
        )
        if any(prefix + column not in codec.statics for prefix in FAVOURITES):
            statics.fail("", f"has {name!r} without the other favourite {column}")
    elif name in codec.value_fields and not isinstance(coder, Bins):
        wanted = codec.values[name]
    elif not counted and name not in codec.user_columns:
        statics.fail(name, "is neither a column of users, nor of events, nor a favourite")
    if wanted is not None and (isinstance(coder, Bins) or coder.values != wanted.values):
        statics.fail(name, "does not have the values of its column")


def _prices(codec: Codec, part: Record) -> None:
    """Prices by the day: (category, day, log ratio to the usual price), of days of the span."""
    codec.daily_prices = part.flag("daily_prices")
    rows = part.value("reduced")
    if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == 3 for r in rows):
        part.fail("reduced", "is no list of category, day and ratio")
    columns = Record(
        dict(zip(("category", "day", "ratio"), map(list, zip(*rows, strict=True)), strict=True))
        if rows
        else {"category": [], "day": [], "ratio": []},
        f"{part.path}.reduced",
    )
    category = columns.integers("category", low=0, high=codec.categories.size - 1)
    day = columns.integers(
        "day", low=codec.clock.start_ms // DAY_MS, high=codec.clock.end_ms // DAY_MS
    )
    ratio = columns.numbers("ratio", low=-STEEPEST_PRICE, high=STEEPEST_PRICE)
    if rows and codec.categories.size * (int(day.max() - day.min()) + 1) > MOST_CELLS:
        part.fail("reduced", "lies over too many categories and days")
    codec.reduced = list(zip(category.tolist(), day.tolist(), ratio.tolist(), strict=True))


def _pace(codec: Codec, part: Record) -> None:
    """How long so many rows take: a level of time for each level of rows to come."""
    sizes = dict(COUNTERS)
    rows, most = sizes["left"], sizes["time_left"] - 1
    codec.least_time = part.integers("least_time", size=rows, low=0, high=most).tolist()
    planned = rows if codec.plans_last else (0, rows)
    codec.last_time, codec.fast_time = (
        part.integers(n, size=planned, low=0, high=most).tolist()
        for n in ("last_time", "fast_time")
    )
    longest = part.integers("longest", size=2, low=0, high=LONGEST_SESSION_MS).tolist()
    codec.longest = (longest[0], longest[1])


def _rules(codec: Codec, part: Record) -> None:
    """What goes with which event, what an event needs, what stays the same within a session."""
    needs, allow, usual = (part.record(n) for n in ("needs", "allow", "usual"))
    needs.only((), codec.events.values)
    codec.needs = {n: needs.integer(n, 1, EVER) for n in needs}
    for name, flag in codec.needs.items():
        if flag not in (SEEN, CART, BOUGHT, EVER):
            needs.fail(name, f"is {flag}; it must be one of {SEEN}, {CART}, {BOUGHT} and {EVER}")
    if len(codec.needs) == codec.events.size - 1:
        part.fail("needs", "has every event, so that none could be the first")
    sizes = {
        n: size for n, size in codec.fields().items() if n not in ("gap", INTENT, "event", "item")
    }
    allow.only(sizes)
    codec.allow = {n: allow.mask(n, (codec.events.size, sizes[n])) for n in allow}
    for name, table in codec.allow.items():
        if not table.any(1).all():
            allow.fail(name, "leaves an event no value at all")
    codec.allow_next = part.mask("allow_next", (codec.events.size + 1, 2, codec.events.size))
    if codec.allow_next[:, :, 0].any():
        part.fail("allow_next", "lets a row have no event")
    usual.only((), codec.value_fields)
    codec.usual = {
        n: usual.integers(
            n, size=codec.values[n].size, low=0, high=codec.categories.size - 1
        ).tolist()
        for n in usual
    }
    codec.held = part.texts("held", among=[*codec.value_fields, *codec.ids])
    codec.sessionless = part.texts("sessionless")


def _carried(part: Record) -> dict[str, Any]:
    """Of the log's manifest: roles of events and the currency."""
    part.only((), CARRIED)
    out: dict[str, Any] = {}
    for name in part:  # in their order
        if part.value(name) is None:
            out[name] = None
        elif name == "currency":
            out[name] = part.text(name)
        else:
            roles = part.record(name)
            out[name] = {n: roles.text(n, ROLE_NAMES) for n in roles}
    return out
