"""Guess a mapping from common column names and from all values, and report every guess."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.values import plain_name
from eventlog.ingest.detection.aliases import (
    ALIASES,
    CLOCKS,
    CURRENCIES,
    DATES,
    KNOWN_AT,
    LABELS,
    event_name,
)
from eventlog.ingest.detection.time_formats import is_date_only, is_hour, is_time_only, time_format
from eventlog.ingest.mapping import EventSource, FileFormat, Label, Mapping, Names
from eventlog.ingest.spool import Spool
from eventlog.schema import COLUMNS

# Names too common inside objects: device.type is no event, user.name no user.
NOT_NESTED = frozenset({"type", "activity", "user", "customer", "client", "session", "order"})


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
    inner = _inner_names(rows)
    for column, aliases in ALIASES.items():
        names = [inner[a] for a in aliases if a in inner and a not in NOT_NESTED]
        if names:
            found.setdefault(column, (names[0],))
    for column in ("user_id", "timestamp"):
        if column not in found:
            raise InputError(
                f"{path} has no column that could be {column} (such as {ALIASES[column][0]!r}); "
                f"its columns are {_columns(rows)}: give --preset or --mapping."
            )
    time_source = found.pop("timestamp")[0]
    time_source, clock, unit = _date_and_clock(rows, plain, time_source)
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
    time = replace(time, clock_unit=unit)
    assumed += notes
    found = {c: names for c, names in found.items() if names[0] not in (time_source, clock)}
    event, notes = _event(rows, found, path)
    found.pop("event", None)
    labels, label_notes = _labels(rows)
    mapping = Mapping(
        columns=found,
        time=time,
        event=event,
        labels=labels,
        file=layout,
        currency_column=_named(rows, CURRENCIES)[:1],
    )
    return Detected(mapping, [*assumed, *notes, *label_notes])


def _columns(rows: Spool) -> str:
    """Return the names of the columns, and of the lists that are not read."""
    lists = ", ".join(sorted(rows.left_out))
    return (", ".join(rows.kinds) or "none") + (
        f", beside the lists {lists} ([file] explode in a mapping makes a row of each element)"
        if lists
        else ""
    )


def _plain_names(rows: Spool) -> dict[str, str]:
    """Return the columns by their plain names.

    Of two with one plain name it is the one that the schema has, or the first by name.
    """
    names = sorted(rows.kinds, key=lambda name: (name not in COLUMNS, name), reverse=True)
    return {plain_name(name): name for name in names}


def _inner_names(rows: Spool) -> dict[str, str]:
    """Return the fields of objects by the last part of their path: product_id, in properties."""
    return {
        plain_name(name.rsplit(".", 1)[1]): name
        for name in sorted(rows.kinds, reverse=True)
        if "." in name
    }


def _date_and_clock(
    rows: Spool, plain: dict[str, str], source: str
) -> tuple[str, str, Literal["hours"] | None]:
    """Return the column of the time, that of the time of day, and the unit of the latter.

    There is a second column only if the first holds dates alone.
    """
    dates = [plain[d] for d in DATES if d in plain and is_date_only(rows, plain[d])]
    if dates and source not in dates and is_time_only(rows, source, digits=True):
        return dates[0], source, None
    if not is_date_only(rows, source):
        return source, "", None
    named = [plain[c] for c in CLOCKS if c in plain and plain[c] != source]
    for name in named:
        if is_time_only(rows, name, digits=True):
            return source, name, None
        if is_hour(rows, name):
            return source, name, "hours"
    others = (n for n in sorted(plain.values()) if n != source and is_time_only(rows, n))
    return source, next(others, ""), None


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
        f"{_columns(rows)}: give --mapping with a constant in [event]."
    )


def _labels(rows: Spool) -> tuple[tuple[Label, ...], list[str]]:
    """Return every column that is named like a label, fields of objects too."""
    known_at = _named(rows, KNOWN_AT)[:1]
    labels: list[Label] = []
    for source in _named(rows, LABELS):
        last = source.rsplit(".", 1)[-1]
        kind = LABELS[plain_name(source) if plain_name(source) in LABELS else plain_name(last)]
        # An event has one label of a kind: a second column of fraud goes by its own name.
        taken = any(label.kind == kind for label in labels)
        kind = plain_name(source) if taken else kind
        labels.append(Label(column=(source,), kind=kind, known_at=known_at))
    when = f"at {known_at[0]}" if known_at else "with its event"
    notes = [f"{label.column[0]} is a label ({label.kind}), known {when}" for label in labels]
    return tuple(labels), notes


def _named(rows: Spool, aliases: Iterable[str]) -> Names:
    """Return the columns of which the name, or the last part of the path, is one of `aliases`."""
    order = {alias: i for i, alias in enumerate(aliases)}
    found = []
    for name in sorted(rows.kinds):
        whole, last = plain_name(name), plain_name(name.rsplit(".", 1)[-1])
        if whole in order or ("." in name and last in order):
            found.append((whole not in order, order.get(whole, order.get(last, 0)), name))
    return tuple(name for _, _, name in sorted(found))
