"""Read a whole codec."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgspec

from eventlog.schema import ROLE_NAMES
from generators.codec.clock import Clock
from generators.codec.codec import MOST_ROWS, Codec
from generators.codec.parts import (
    Columns,
    Labels,
    Pace,
    Prices,
    Responses,
    Rules,
    Users,
    Vocabulary,
)
from generators.codec.restore.columns import read_columns, read_labels
from generators.codec.restore.prices import read_prices
from generators.codec.restore.rules import read_pace, read_rules
from generators.codec.restore.users import read_users
from generators.codec.restore.vocabulary import read_typical, read_vocabulary
from generators.sequences.offers import N_PAST, QUANTILES
from generators.structure.structure import Structure
from generators.validation import Record

CARRIED = ("roles", "currency")  # of a log's manifest
MOST_LETTERS = 16  # of the prefix of new ids
MOST_WEIGHT = 1e6  # of a logistic regression


def restored(data: Any, *, max_rows: int) -> Codec:
    """Return the codec of a generator's `data` in model.json.

    `max_rows` is the setting of the generator, which the codec must repeat. Raises StateError, in
    one sentence, where `data` is not what `Codec.to_json` gives.
    """
    state = Record(data)
    state.only(("codec",))
    part = state.record("codec")
    part.only(_keys(Codec))
    vocabulary, columns = read_vocabulary(part)
    codec = Codec(vocabulary, Clock.from_json(part.record("clock")), columns)
    codec = replace(codec, max_rows=part.integer("max_rows", 2, MOST_ROWS))
    if codec.max_rows != max_rows:
        part.fail("max_rows", f"is {codec.max_rows}, but the setting max_rows is {max_rows}")
    codec = replace(codec, private=part.flag("private"))
    codec = replace(codec, columns=read_columns(codec, part))
    codec = replace(codec, vocabulary=read_typical(codec, part))
    codec = replace(codec, labels=read_labels(codec, part))
    codec = replace(codec, users=read_users(codec, part))
    codec = replace(codec, prices=read_prices(codec, part), pace=read_pace(codec, part))
    codec = replace(codec, rules=read_rules(codec, part))
    prefix = part.text("id_prefix")
    if not prefix.isalnum() or len(prefix) > MOST_LETTERS:
        part.fail("id_prefix", f"is {prefix[:20]!r}; it must be a few letters and digits")
    codec = replace(codec, structure=_structure(codec, part), id_prefix=prefix)
    codec = replace(codec, responses=_responses(codec, part.record("responses")))
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


def _responses(codec: Codec, part: Record) -> Responses:
    """Read what is known of the offers of campaigns, as many as there are."""
    part.only(("arm", "buys", "rows", "lag"))
    calendar = codec.structure.calendar
    if calendar is None:
        return Responses()
    n, most = len(calendar.campaigns), MOST_WEIGHT
    rows = 0 if codec.private else 2 * n
    return Responses(
        part.table("arm", (n, N_PAST), low=-most, high=most),
        part.table("buys", (rows, N_PAST), low=-most, high=most),
        part.numbers("rows", size=QUANTILES, low=0, high=MOST_ROWS),
        part.numbers("lag", size=QUANTILES, low=0, high=calendar.window),
    )


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
