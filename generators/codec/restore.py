"""Read a codec back from model.json, checked so that sampling can trust every code, size and time.

`restored` is what the generators call. Each part is read by a function of its own, in the order in
which parts refer to each other; what a part refers to has been read and checked before. The inverse
is `Codec.to_json`.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from eventlog.schema import ROLE_NAMES
from generators.codec.clock import DAY_MS, Clock
from generators.codec.codec import COPY_ACTION, MOST_ROWS, SESSION_LABEL, Codec
from generators.codec.coders import Bins, Values
from generators.codec.fit import OPTIONAL_COLUMNS
from generators.codec.learn_columns import COLUMNS_WITH_ROLES
from generators.codec.parts import (
    ARRIVAL,
    FAVOURITES,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    LEVELS,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    POPULARITY,
    RHYTHM,
    SALES,
    USUAL,
    Columns,
    Items,
    Labels,
    Ladder,
    Pace,
    Prices,
    Rules,
    Users,
    Vocabulary,
)
from generators.codec.regularities import ITEM_HABIT_LEVELS
from generators.codec.shared_ids import SharedIds
from generators.sequences.codes import BOUGHT, CART, EVER, SEEN
from generators.sequences.feature_layout import COUNTER_SIZES, Counter
from generators.structure.structure import Structure
from generators.validation import Record

# Fields of a row: no column can have their names.
FIELDS = frozenset({"gap", SESSION_LABEL, "event", COPY_ACTION, "category", "item", "order"})
CARRIED = ("roles", "currency")  # of a log's manifest
KINDS = ("values", "number", "time")  # of columns of the users table
MOST_LETTERS = 16  # of the prefix of new ids
MOST_COUNTED = 1e9  # rows or sessions of a user
LONGEST_SESSION_MS = 10**13
STEEPEST_PRICE = 50.0  # of log ratios of prices
SMALLEST_PRICE, HIGHEST_PRICE = 1e-15, 1e15
MOST_CELLS = 50_000_000  # categories x days of reduced prices
NANOSECONDS = tuple(
    t.value // 1_000_000 + d * DAY_MS for t, d in ((pd.Timestamp.min, 2), (pd.Timestamp.max, -2))
)  # ms that pandas holds


def restored(data: Any, *, max_rows: int) -> Codec:
    """Return the codec of a generator's `data` in model.json.

    `max_rows` is the setting of the generator, which the codec must repeat. Raises StateError, in
    one sentence, where `data` is not what `Codec.to_json` gives.
    """
    state = Record(data)
    state.only(("codec",))
    part = state.record("codec")
    part.only(_keys(Codec))
    vocabulary, columns = _vocabulary(part)
    codec = Codec(vocabulary, Clock.from_json(part.record("clock")), columns)
    codec = replace(codec, max_rows=part.integer("max_rows", 2, MOST_ROWS))
    if codec.max_rows != max_rows:
        part.fail("max_rows", f"is {codec.max_rows}, but the setting max_rows is {max_rows}")
    codec = replace(codec, private=part.flag("private"))
    codec = replace(codec, columns=_columns(codec, part))
    codec = replace(codec, labels=_labels(codec, part))
    codec = replace(codec, users=_users(codec, part))
    codec = replace(codec, prices=_prices(codec, part), pace=_pace(codec, part))
    codec = replace(codec, rules=_rules(codec, part))
    prefix = part.text("id_prefix")
    if not prefix.isalnum() or len(prefix) > MOST_LETTERS:
        part.fail("id_prefix", f"is {prefix[:20]!r}; it must be a few letters and digits")
    codec = replace(codec, structure=_structure(codec, part), id_prefix=prefix)
    folded = part.record("folded")
    columns = replace(
        codec.columns,
        not_learnt=part.texts("not_learnt"),
        folded={name: folded.number(name, 0, 1) for name in folded},
    )
    return replace(codec, columns=columns, carried=_carried(part.record("carried")))


def _keys(kind: Any) -> list[str]:
    """Return the keys under which `plain.to_json` writes the fields of a dataclass."""
    parts = {c.__name__: c for c in (Vocabulary, Columns, Users, Labels, Prices, Pace, Rules)}
    keys: list[str] = []
    for f in fields(kind):
        if f.metadata.get("inline"):
            keys += _keys(parts[str(f.type)])
        else:
            keys.append(f.metadata.get("key", f.name))
    return keys


def _vocabulary(part: Record) -> tuple[Vocabulary, Columns]:
    """Read events with roles, categories and items, and which columns and values there are."""
    events = Values(part.texts("events", least=1))
    roles = part.record("roles")
    roles.only(events.values)
    categories = Values(part.texts("categories"))
    values = part.record("values")
    columns = {n: Values(values.texts(n)) for n in values}
    flags = part.record("flags")
    flags.only(OPTIONAL_COLUMNS)
    vocabulary = Vocabulary(
        events,
        {n: roles.text(n, ROLE_NAMES) for n in events.values},
        categories,
        _items(part.record("items"), categories, columns),
    )
    return vocabulary, Columns({n: flags.flag(n) for n in OPTIONAL_COLUMNS}, columns)


def _items(part: Record, categories: Values, columns: dict[str, Values]) -> Items:
    """Read the items; their categories, and the codes of rare items, must agree with `start`."""
    part.only(("names", "category", "start", "price", "attributes", "other", "levels", "habits"))
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
    habits = part.record("habits")
    _check_rare_names(part, names, other)
    return Items(
        names,
        category,
        start,
        part.numbers("price", size=size, low=-HIGHEST_PRICE, high=HIGHEST_PRICE, missing=True),
        {n: attributes.integers(n, size=size, low=0, high=columns[n].size - 1) for n in attributes},
        other,
        {n: levels.integers(n, size=size, low=0, high=len(LEVELS)) for n in levels},
        {n: habits.integers(n, size=size, low=0, high=ITEM_HABIT_LEVELS) for n in habits},
    )


def _check_rare_names(part: Record, names: list[str], other: np.ndarray) -> None:
    """Check that no item has a name that rare items get: 'other:5' and so on."""
    rare = {names[i - 1] for i in other.tolist() if i > 0}
    for name in names:
        base, colon, number = name.rpartition(":")
        if colon and base in rare and number.isdigit():
            part.fail("names", f"has {name!r}, which is a name for rare items")


def _columns(codec: Codec, part: Record) -> Columns:
    """Read the ids and numbers of events."""
    ids, bins = part.record("ids"), part.record("bins")
    pairs = part.value("intents")
    n_session_labels = len(pairs) + 1 if isinstance(pairs, list) else 1
    shared = {n: SharedIds.from_json(ids.record(n), n_session_labels=n_session_labels) for n in ids}
    limits = {"price": HIGHEST_PRICE, "price_ratio": STEEPEST_PRICE}
    numbers = {
        n: Bins.from_json(
            bins.record(n), **({"low": -limits[n], "high": limits[n]} if n in limits else {})
        )
        for n in bins
    }
    if ("price" in numbers) != ("price_ratio" in numbers):
        bins.fail("", "has one of 'price' and 'price_ratio' without the other")
    seen: set[str] = set()
    for where, names in (
        ("values", codec.values),
        ("ids", shared),
        ("bins", [n for n in numbers if n not in limits]),
    ):
        for name in names:
            if (
                name in COLUMNS_WITH_ROLES | FIELDS
                or name in limits
                or name.startswith("label:")
                or name in seen
            ):
                part.fail(where, f"has a column {name!r}, which is something else already")
            seen.add(name)
    return replace(codec.columns, ids=shared, bins=numbers)


def _labels(codec: Codec, part: Record) -> Labels:
    """Read the kinds of labels with their values and delays; each labels sessions, too."""
    labels, delays = part.record("labels"), part.record("delays")
    kinds = {kind: labels.texts(kind, least=1) for kind in labels}
    for kind, values in kinds.items():
        for value in values:
            if not _is_number(value):
                labels.fail(kind, f"has the value {value!r}; it must be a number")
    pairs = part.value("intents")
    known = {(kind, v) for kind, values in kinds.items() for v in values}
    texts = isinstance(pairs, list) and all(
        isinstance(p, list) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs
    )
    if not texts or len(pairs) != len(known) or {(k, v) for k, v in pairs} != known:
        part.fail("intents", "does not list each value of each kind of label once")
    delays.only(kinds)
    longest = (NANOSECONDS[1] - codec.clock.end_ms) / 1000
    learnt: dict[str, tuple[Bins, np.ndarray]] = {}
    for kind in kinds:
        pair = delays.value(kind)
        if not isinstance(pair, list) or len(pair) != 2:
            delays.fail(kind, "is no pair of delays and their shares")
        delay = Record({"delays": pair[0], "shares": pair[1]}, f"{delays.path}.{kind}")
        bins = Bins.from_json(delay.record("delays"), low=-longest, high=longest)
        share = delay.numbers("shares", size=bins.size, low=0, high=1)
        if share[0] > 0 or abs(share.sum() - 1) > 1e-9:
            delay.fail("shares", "does not begin with 0 and add up to 1")
        learnt[kind] = (bins, share)
    return Labels(kinds, [(k, v) for k, v in pairs], learnt)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _users(codec: Codec, part: Record) -> Users:
    """Read what is drawn once a user: activity, columns of the users table, favourites, values."""
    attributes, columns = part.record("statics"), part.record("user_columns")
    names, span = list(attributes), (codec.clock.end_ms - codec.clock.start_ms) / 1000 + 1
    kinds = {n: columns.text(n, KINDS) for n in columns}
    planned = [n for n in (LAST_ROWS, LAST_SPAN) if n in names]
    if (
        names[:3] != [ARRIVAL, OBSERVATION_SPAN, LENGTH]
        or (N_LABELLED_SESSIONS in names) != bool(codec.session_labels)
        or len(planned) == 1
    ):
        attributes.fail(
            "",
            f"must begin with {ARRIVAL}, {OBSERVATION_SPAN} and {LENGTH}, have "
            f"{N_LABELLED_SESSIONS} where there are labels, and both or none of {LAST_ROWS} and "
            f"{LAST_SPAN}",
        )
    tops = {
        ARRIVAL: span,
        OBSERVATION_SPAN: span,
        LAST_SPAN: span,
        LENGTH: MOST_COUNTED,
        N_LABELLED_SESSIONS: MOST_COUNTED,
        LAST_ROWS: MOST_COUNTED,
    }
    tops |= {n: HIGHEST_PRICE for n in names if n.startswith(USUAL)}
    coders: dict[str, Values | Bins] = {}
    for name in names:
        if name in tops:
            low = -tops[name] if name.startswith(USUAL) else 0
            coders[name] = Bins.from_json(attributes.record(name), low=low, high=tops[name])
        elif name == RHYTHM:
            classes = [str(k + 1) for k in range(len(codec.clock.rhythms))]
            if attributes.texts(name) != classes:
                attributes.fail(name, "does not number the rhythms of the clock")
            coders[name] = Values(classes)
        elif kinds.get(name) in ("number", "time"):
            low, high = _days(codec.clock) if kinds[name] == "time" else (-1e36, 1e36)
            coders[name] = Bins.from_json(attributes.record(name), low=low, high=high)
        else:
            coders[name] = Values(attributes.texts(name))
    for name in kinds:
        if name not in names or name in tops or name in ("user_id", RHYTHM):
            columns.fail(name, "is no column of users whose values are drawn")
    users = Users(coders, kinds)
    with_users = replace(codec, users=users)
    for name in names[3:]:
        _check_attribute(with_users, attributes, name, name in tops or name == RHYTHM)
    return users


def _days(clock: Clock) -> tuple[float, float]:
    """Days before a user's first event, from the last to the first that a table can hold."""
    return (clock.end_ms - NANOSECONDS[1]) / DAY_MS, (clock.start_ms - NANOSECONDS[0]) / DAY_MS


def _check_attribute(codec: Codec, attributes: Record, name: str, counted: bool) -> None:
    """Check that a favourite, or a first value, has the vocabulary of its column."""
    favourite, coder = codec.favourite_of(name), codec.user_attributes[name]
    wanted = None
    if favourite is not None:
        column = favourite[0]
        wanted = (
            codec.categories
            if column == "category"
            else codec.values.get(column, Values(list(LEVELS)))
        )
        if any(prefix + column not in codec.user_attributes for prefix in FAVOURITES):
            attributes.fail("", f"has {name!r} without the other favourite {column}")
    elif name in codec.value_fields and not isinstance(coder, Bins):
        wanted = codec.values[name]
    elif not counted and name not in codec.users.columns:
        attributes.fail(name, "is neither a column of users, nor of events, nor a favourite")
    if wanted is not None and (isinstance(coder, Bins) or coder.values != wanted.values):
        attributes.fail(name, "does not have the values of its column")


def _prices(codec: Codec, part: Record) -> Prices:
    """Read prices by the day: (category, day of the span, log ratio to the usual price)."""
    daily = part.flag("daily_prices")
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
    reduced = list(zip(category.tolist(), day.tolist(), ratio.tolist(), strict=True))
    return Prices(daily, reduced, _ladder(codec, part.record("ladder")))


def _ladder(codec: Codec, part: Record) -> Ladder:
    part.only(("item", "price"))
    item = part.integers("item", low=1, high=codec.items.size - 1)
    price = part.numbers("price", size=len(item), low=SMALLEST_PRICE, high=HIGHEST_PRICE)
    order = np.lexsort((price, item))
    if (order != np.arange(len(item))).any():
        part.fail("", "is not in the order of items and their prices")
    return Ladder(item, price)


def _pace(codec: Codec, part: Record) -> Pace:
    """Read how fast users are: a level of time for each level of rows to come."""
    rows, most = COUNTER_SIZES[Counter.ROWS_LEFT], COUNTER_SIZES[Counter.TIME_LEFT] - 1
    planned = rows if codec.plans_last else (0, rows)
    least = part.integers("least_time", size=rows, low=0, high=most).tolist()
    last, fast = (
        part.integers(n, size=planned, low=0, high=most).tolist()
        for n in ("last_time", "fast_time")
    )
    longest = part.integers("longest", size=2, low=0, high=LONGEST_SESSION_MS).tolist()
    return Pace(least, last, fast, (longest[0], longest[1]))


def _rules(codec: Codec, part: Record) -> Rules:
    """Read what the log never does: codes with an event, events in a row, items without a flag."""
    usual = part.record("usual")
    usual.only((), codec.value_fields)
    allowed, allowed_next = _allowed(codec, part)
    return Rules(
        required_flags=_required_flags(codec, part.record("needs")),
        allowed=allowed,
        allowed_next=allowed_next,
        usual_category={
            n: usual.integers(
                n, size=codec.values[n].size, low=0, high=codec.categories.size - 1
            ).tolist()
            for n in usual
        },
        constant_in_session=part.texts("held", among=[*codec.value_fields, *codec.ids]),
        sessionless=part.texts("sessionless"),
        carts_end=part.flag("carts_end"),
    )


def _required_flags(codec: Codec, needs: Record) -> dict[str, int]:
    needs.only((), codec.events.values)
    flags = {n: needs.integer(n, 1, EVER) for n in needs}
    for name, flag in flags.items():
        if flag not in (SEEN, CART, BOUGHT, EVER):
            needs.fail(name, f"is {flag}; it must be one of {SEEN}, {CART}, {BOUGHT} and {EVER}")
    if len(flags) == codec.events.size - 1:
        needs.fail("", "has every event, so that none could be the first")
    return flags


def _allowed(codec: Codec, part: Record) -> tuple[dict[str, np.ndarray], np.ndarray]:
    allow = part.record("allow")
    sizes = {
        n: size
        for n, size in codec.fields().items()
        if n not in ("gap", SESSION_LABEL, "event", "item")
    }
    allow.only(sizes)
    allowed = {n: allow.mask(n, (codec.events.size, sizes[n])) for n in allow}
    for name, table in allowed.items():
        if not table.any(1).all():
            allow.fail(name, "leaves an event no value at all")
    allowed_next = part.mask("allow_next", (codec.events.size + 1, 2, codec.events.size))
    if allowed_next[:, :, 0].any():
        part.fail("allow_next", "lets a row have no event")
    return allowed, allowed_next


def _structure(codec: Codec, part: Record) -> Structure:
    """Read what is derived; a relation can only read what is learnt or derived before."""
    record = part.record("structure")
    record.only(("relations", "columns"))
    try:
        structure = Structure.from_json(record.data)
    except (ValueError, msgspec.ValidationError) as error:
        record.fail("", f"is not valid: {error}")
    if structure.restorable(codec.columns_learnt()) != structure:
        record.fail("relations", "derives a column from one that is not there")
    return structure


def _carried(part: Record) -> dict[str, Any]:
    """Read what is carried over from the log's manifest: roles of events and the currency."""
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
