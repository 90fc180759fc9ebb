"""Read what is drawn once a user."""

from __future__ import annotations

from dataclasses import replace

from generators.codec.clock import DAY_MS, Clock
from generators.codec.codec import Codec
from generators.codec.coders import Bins, Values
from generators.codec.parts import (
    ARRIVAL,
    FAVOURITES,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    LEVELS,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    RHYTHM,
    SESSIONS,
    USUAL,
    Users,
)
from generators.codec.restore.limits import HIGHEST_PRICE, NANOSECONDS
from generators.validation import Record

KINDS = ("values", "number", "date", "time")  # of columns of the users table
MOST_COUNTED = 1e9  # rows or sessions of a user


def read_users(codec: Codec, part: Record) -> Users:
    """Read what is drawn once a user: activity, columns of the users table, favourites, values."""
    attributes, columns = part.record("statics"), part.record("user_columns")
    names, span = list(attributes), (codec.clock.end_ms - codec.clock.start_ms) / 1000 + 1
    kinds = {n: columns.text(n, KINDS) for n in columns}
    planned = [n for n in (LAST_ROWS, LAST_SPAN) if n in names]
    if (
        [n for n in names if n != SESSIONS][:3] != [ARRIVAL, OBSERVATION_SPAN, LENGTH]
        or names.index(LENGTH) != 2 + (SESSIONS in names)
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
        SESSIONS: MOST_COUNTED,
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
        elif kinds.get(name) in ("number", "date", "time"):
            low, high = _days(codec.clock) if kinds[name] in ("date", "time") else (-1e36, 1e36)
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
