"""Check the values of a mapping that only their use would show to be wrong.

Zones, formats of times, regular expressions, delimiters and encodings are tried here, before a
file is read, so that a mistake is one sentence with its key.
"""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from eventlog._runtime.errors import InputError

if TYPE_CHECKING:
    from eventlog.ingest.mapping import FileFormat, Mapping, Rule

LONGEST_DELAY_DAYS = 36_500.0  # a hundred years
NO_ENCODINGS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})
SUPPORTED = frozenset({"ISO8601", "mixed"})  # formats of pandas that are not made of directives


def check_values(mapping: Mapping, where: str) -> None:
    """Raise InputError at the first value that cannot be used; `where` begins the message."""
    _check_time(mapping, where)
    _check_file(mapping.file, where)
    for number, rule in enumerate(mapping.rules):
        _check_rule(rule, f"{where}: rules[{number}]")
        if rule.reject is not None and not rule.reject.strip():
            key = f"{where}: rules[{number}].reject"
            raise InputError(f"{key} is empty; name the reason, such as 'cancelled order'.")
    for name, pattern in mapping.strip.items():
        _check_pattern(pattern, f"{where}: strip.{name}")
    kinds = [label.kind for label in mapping.labels]
    for number, kind in enumerate(kinds):
        key = f"{where}: labels[{number}].kind"
        if not kind.strip():
            raise InputError(f"{key} is empty; name the kind of label, such as fraud.")
        if kind in kinds[:number]:
            raise InputError(
                f"{key} is {kind!r}, as in labels[{kinds.index(kind)}]; an event has one label of "
                "each kind, give them different kinds."
            )
    for key, name in _named(mapping):
        if not name.strip():
            raise InputError(f"{where}: {key} is empty; give a name.")


def check_encoding(name: str, where: str) -> str:
    """Return the codec's own name. Raises InputError unless it decodes files of text."""
    try:
        codec = codecs.lookup(name)
    except (LookupError, ValueError):
        from encodings.aliases import aliases

        near = difflib.get_close_matches(name.lower(), {*aliases, *aliases.values()}, n=1)
        hint = (
            f"did you mean {near[0]!r}?" if near else "common ones are utf-8, latin-1 and cp1252."
        )
        raise InputError(f"{where} is {name!r}, which is not known; {hint}") from None
    if not codec._is_text_encoding or codec.name in NO_ENCODINGS:
        raise InputError(
            f"{where} is {name!r}, which is not an encoding of text files; common ones are utf-8, "
            "latin-1 and cp1252."
        )
    return codec.name


def _check_time(mapping: Mapping, where: str) -> None:
    zone = mapping.time.timezone
    if not is_zone(zone):
        from zoneinfo import available_timezones

        near = difflib.get_close_matches(zone, available_timezones(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "write it as in 'Europe/Berlin' or 'UTC'."
        raise InputError(f"{where}: time.timezone is {zone!r}, which is no time zone; {hint}")
    start = mapping.time.start
    if start is not None and not _is_iso(start):
        raise InputError(
            f"{where}: time.start is {start!r}, which is no time; write it as in '2024-01-01' or "
            "'2024-01-01 08:00'."
        )
    for form in mapping.time.format:
        problem = _format_problem(form)
        if problem:
            raise InputError(
                f"{where}: time.format is {form!r}, which cannot be read ({problem}); write it as "
                "in '%d.%m.%Y %H:%M'."
            )


def is_zone(name: str) -> bool:
    """Return whether a text names a time zone, as Europe/Berlin and +02:00 do."""
    from zoneinfo import ZoneInfo

    if re.fullmatch(r"[+-](?:[01]\d|2[0-3]):[0-5]\d", name):
        return True
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # also a folder of zones, a path, a name too long
        return False
    return True


def _is_iso(text: str) -> bool:
    import pandas as pd

    return not pd.isna(pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True))


def _format_problem(form: str) -> str | None:
    """Return why pandas cannot read times in a format, None if it can."""
    import pandas as pd

    if form in SUPPORTED:
        return None
    if "%" not in form:
        return "it has no directive such as %Y"
    try:
        pd.to_datetime(pd.Series(["x"], dtype=object), format=form, errors="coerce", utc=True)
    except re.error:
        return "it has a directive twice"
    except (ValueError, OverflowError, KeyError, IndexError) as error:
        return str(error).split(" in format")[0]
    return None


def _check_file(layout: FileFormat, where: str) -> None:
    check_encoding(layout.encoding, f"{where}: file.encoding")
    quote, delimiter = layout.quote, layout.delimiter
    if len(quote) > 1 or not quote.isascii() or quote in ("\n", "\r", "\0"):
        raise InputError(
            f'{where}: file.quote is {quote!r}; it must be one ASCII character, or "" if quotes '
            "have no meaning."
        )
    if delimiter is not None:
        single = len(delimiter) == 1 and delimiter.isascii()
        if not (single or len(delimiter) > 1) or set(delimiter) & set("\r\n\0"):
            raise InputError(
                f"{where}: file.delimiter is {delimiter!r}; it must be one ASCII character, "
                "several characters, or 'whitespace'."
            )
        if delimiter == quote:
            raise InputError(f"{where}: file.delimiter is {delimiter!r}, and so is file.quote.")
    if layout.thousands is not None and layout.thousands == layout.decimal:
        raise InputError(
            f"{where}: file.thousands is {layout.thousands!r}, and so is file.decimal."
        )
    for key, text in (("separator", layout.separator), ("explode", layout.explode)):
        if text == "":
            raise InputError(f"{where}: file.{key} is empty; leave it out, or give a text.")
    for name, pattern in layout.patterns.items():
        _check_pattern(pattern, f"{where}: file.patterns.{name}")
    for number, names in enumerate(layout.columns):
        twice = _first_twice(names)
        if twice is not None:
            raise InputError(f"{where}: file.columns[{number}] names {twice!r} twice.")


def _check_rule(rule: Rule, where: str) -> None:
    if rule.matches is not None:
        _check_pattern(rule.matches, f"{where}.matches")


def _check_pattern(pattern: str, where: str) -> None:
    """Raise InputError unless a pattern is one of RE2, as Arrow has it: none can take for ever."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except (pa.ArrowException, UnicodeError) as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise InputError(
            f"{where} is {pattern[:60]!r}, which is no regular expression ({reason}); those of "
            "RE2 are known, which have no lookahead and no back-references."
        ) from None


def _named(mapping: Mapping) -> Iterator[tuple[str, str]]:
    """Yield the names that a mapping gives to events and columns, with their keys."""
    event = mapping.event
    if event.constant is not None:
        yield "event.constant", event.constant
    yield from ((f"event.names.{value}", name) for value, name in event.names.items())
    for number, rule in enumerate(mapping.rules):
        if rule.event is not None:
            yield f"rules[{number}].event", rule.event
    for column, names in mapping.columns.items():
        yield from ((f"columns.{column}", name) for name in names or ("",))
    yield from (("a key of users", name) for name in mapping.users)
    yield from (("a key of items", name) for name in mapping.items)


def _first_twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
