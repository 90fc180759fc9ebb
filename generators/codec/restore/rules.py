"""Read what the log never does, and how fast users are."""

from __future__ import annotations

import numpy as np

from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import Pace, Rules
from generators.sequences.codes import NEEDED
from generators.sequences.feature_layout import COUNTER_SIZES, Counter
from generators.validation import Record

LONGEST_SESSION_MS = 10**13
LONGEST_RUN = 10**9  # rows


def read_pace(codec: Codec, part: Record) -> Pace:
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


def read_rules(codec: Codec, part: Record) -> Rules:
    """Read what the log never does: codes with an event, events in a row, items without a flag."""
    usual = part.record("usual")
    usual.only((), codec.value_fields)
    allowed, allowed_next = _allowed(codec, part)
    return Rules(
        required_flags=_required_flags(codec, part.record("needs")),
        allowed=allowed,
        allowed_next=allowed_next,
        longest_run=part.integers(
            "longest_run", size=codec.events.size, low=0, high=LONGEST_RUN
        ).tolist(),
        once=part.texts("once", among=codec.events.values),
        unfinished=part.texts("unfinished", among=codec.events.values),
        buying=part.texts("buying", among=codec.events.values),
        latest_label=part.integer("latest_label", 0, COUNTER_SIZES[Counter.ROWS_LEFT] - 1),
        usual_category={
            n: usual.integers(
                n, size=codec.values[n].size, low=0, high=codec.categories.size - 1
            ).tolist()
            for n in usual
        },
        theme=part.text("theme", among=["", "category", *codec.items.attributes]),
        themed=part.texts("themed", among=codec.events.values),
        constant_in_session=part.texts("held", among=[*codec.value_fields, *codec.ids]),
        sessionless=part.texts("sessionless"),
        carts_end=part.flag("carts_end"),
    )


def _required_flags(codec: Codec, needs: Record) -> dict[str, int]:
    needs.only((), codec.events.values)
    flags = {n: needs.integer(n, 1, max(NEEDED)) for n in needs}
    for name, flag in flags.items():
        if flag not in NEEDED:
            needs.fail(name, f"is {flag}; it must be one of {', '.join(map(str, NEEDED))}")
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
