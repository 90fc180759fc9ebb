"""Guess a mapping from common column names and from all values, and report every guess."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventlog._runtime.errors import InputError
from eventlog.ingest.aliases import (
    ALIASES,
    CLOCKS,
    CURRENCIES,
    DATES,
    KNOWN_AT,
    LABELS,
    event_name,
)
from eventlog.ingest.mapping import EventSource, FileFormat, Label, Mapping, Names
from eventlog.ingest.spool import Spool
from eventlog.ingest.time_formats import is_date_only, is_time_only, time_format
from eventlog.ingest.values import plain_name

NESTED = (
    "item_id",
    "price",
    "quantity",
    "order_id",
    "coupon_id",
    "category",
    "brand",
    "query",
    "event",
    "user_id",
    "device",
    "country",
    "channel",
    "rating",
    "discount",
)


@dataclass
class Detected:
    """A mapping that was guessed, and what was assumed, a text each."""

    mapping: Mapping
    assumed: list[str] = field(default_factory=list)


def detect(rows: Spool, path: str, layout: FileFormat) -> Detected:
    """Return a mapping for the columns of `rows`, whatever their order.

    Raises InputError if no column could be the user, the time or the event, or if times can be read
    in two ways.
    """
    plain = _plain_names(rows)
    found: dict[str, Names] = {
        column: (names[0],)
        for column, aliases in ALIASES.items()
        if (names := [plain[a] for a in aliases if a in plain])
    }
    for column, inner in _inner_names(rows).items():
        if column in NESTED:
            found.setdefault(column, inner)
    for column in ("user_id", "timestamp"):
        if column not in found:
            raise InputError(
                f"{path} has no column that could be {column} (such as {ALIASES[column][0]!r}); "
                f"its columns are {', '.join(rows.kinds)}: give --preset or --mapping."
            )
    time_source = found.pop("timestamp")[0]
    time_source, clock = _date_and_clock(rows, plain, time_source)
    assumed = [
        f"{source} is {column}"
        for column, source in {
            "timestamp": time_source,
            **{c: names[0] for c, names in found.items()},
        }.items()
        if source != column
    ]
    if clock:
        assumed.append(f"{clock} is the time of day of {time_source}")
    time, notes = time_format(rows, time_source, clock, path)
    assumed += notes
    found = {c: names for c, names in found.items() if names[0] not in (time_source, clock)}
    event, notes = _event(rows, found, path)
    found.pop("event", None)
    labels, label_notes = _labels(plain)
    currency: Names = tuple(plain[c] for c in CURRENCIES if c in plain)[:1]
    mapping = Mapping(
        columns=found, time=time, event=event, labels=labels, file=layout, currency_column=currency
    )
    return Detected(mapping, [*assumed, *notes, *label_notes])


def _plain_names(rows: Spool) -> dict[str, str]:
    """Return the columns by their plain names; of two with one plain name the first by name."""
    return {plain_name(name): name for name in sorted(rows.kinds, reverse=True)}


def _inner_names(rows: Spool) -> dict[str, Names]:
    """Return schema columns by the last part of a path: properties.product_id is item_id."""
    inner = {
        plain_name(name.rsplit(".", 1)[1]): name
        for name in sorted(rows.kinds, reverse=True)
        if "." in name
    }
    return {
        column: (inner[next(a for a in aliases if a in inner)],)
        for column, aliases in ALIASES.items()
        if any(a in inner for a in aliases)
    }


def _date_and_clock(rows: Spool, plain: dict[str, str], source: str) -> tuple[str, str]:
    """Return the column of the time, and that of the time of day if the first holds only dates."""
    if is_time_only(rows, source):
        dates = [plain[d] for d in DATES if d in plain and is_date_only(rows, plain[d])]
        return (dates[0], source) if dates else (source, "")
    if is_date_only(rows, source):
        for name in [*(plain[c] for c in CLOCKS if c in plain), *sorted(plain.values())]:
            if name != source and is_time_only(rows, name):
                return source, name
    return source, ""


def _event(rows: Spool, found: dict[str, Names], path: str) -> tuple[EventSource, list[str]]:
    if "event" in found:
        values = rows.distinct(found["event"][0])
        names = {v: event_name(v) for v in values if event_name(v) != v}
        notes = [f"event {value!r} is {name}" for value, name in names.items()]
        return EventSource(column=found["event"], names=names), notes
    for column, name in (("order_id", "purchase"), ("rating", "review")):
        if column in found:
            note = f"there is no event column, every row is a {name}"
            return EventSource(constant=name), [note]
    raise InputError(
        f"{path} has no column that could be event (such as 'event_type'); its columns are "
        f"{', '.join(rows.kinds)}: give --mapping with a constant in [event]."
    )


def _labels(plain: dict[str, str]) -> tuple[tuple[Label, ...], list[str]]:
    known_at: Names = tuple(plain[a] for a in KNOWN_AT if a in plain)[:1]
    labels: list[Label] = []
    for alias, kind in LABELS.items():
        if alias in plain:
            taken = any(label.kind == kind for label in labels)
            # An event has one label of a kind: a second column of fraud goes by its own name.
            labels.append(
                Label(column=(plain[alias],), kind=alias if taken else kind, known_at=known_at)
            )
    when = f"at {known_at[0]}" if known_at else "with its event"
    notes = [f"{label.column[0]} is a label ({label.kind}), known {when}" for label in labels]
    return tuple(labels), notes
