"""Read ids, numbers and labels of events."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from generators.codec.codec import COPY_ACTION, SESSION_LABEL, Codec
from generators.codec.coders import Bins
from generators.codec.learn_columns import COLUMNS_WITH_ROLES
from generators.codec.parts import Columns, Labels
from generators.codec.restore.limits import HIGHEST_PRICE, NANOSECONDS, STEEPEST_PRICE
from generators.codec.shared_ids import SharedIds
from generators.validation import Record

# Fields of a row: no column can have their names.
FIELDS = frozenset({"gap", SESSION_LABEL, "event", COPY_ACTION, "category", "item", "order"})


def read_columns(codec: Codec, part: Record) -> Columns:
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


def read_labels(codec: Codec, part: Record) -> Labels:
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
