"""Types of the columns beyond the schema, and of the attributes of users and items.

A column is what all of its values are: whole numbers, numbers, times (ISO 8601) or text. Whole
numbers are int64 if each row has one, otherwise float64; those beyond 2**53, of which a float loses
digits, are then text, and so are codes such as 007 and versions such as 1.10 beside 1.9. A column
that is named as an id is text, unless its numbers rise from each row to the next: those count rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.ingest.columns.amounts import NUMBER, WHOLE, WIDE, parse_numbers
from eventlog.ingest.columns.times import NO_TIME, column_times, parse_times
from eventlog.ingest.columns.values import Coded, coded
from eventlog.ingest.mapping import MISSING_IDS, TimeFormat
from eventlog.order import FIRST_MS, LAST_MS

ARROW = {"int": pa.int64(), "float": pa.float64(), "time": pa.timestamp("ms", "UTC")}
PHONE = r"^\+\d{7,}$"  # as a number it would lose the sign
ABSENT = pa.array(MISSING_IDS)
FEWEST_COUNTED = 20  # rows from which numbers that rise are not taken to do so by chance
ISO_TIME = (
    r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?"
    r"(?:\s?(?:Z|UTC|[+-]\d{2}(?::?\d{2})?))?$"
)


@dataclass
class Seen:
    """What the values of a column have been so far."""

    number: bool = True
    whole: bool = True
    wide: bool = False  # whole numbers beyond 2**53
    huge: bool = False  # beyond 64 bits
    time: bool = True
    missing: bool = False
    typed: bool = False  # numbers or times by the file's own type
    decimals: set[int] = field(default_factory=set)  # numbers of digits after the point
    rounded: bool = False  # 1.10: a zero at the end of several decimals
    any: bool = False
    # of a column that is named as an id
    named_as_id: bool = False
    rises: bool = True  # from each row to the next
    last: int | None = None  # value, while it rises
    rows: int = 0

    def kind(self) -> str:
        """Return "int", "float", "time" or "text"."""
        version = self.rounded and len(self.decimals) > 1
        counts = self.rises and self.rows >= FEWEST_COUNTED
        if not self.any or (self.named_as_id and not counts):
            return "text"
        if self.number and not version:
            if not self.whole:
                return "float"
            if self.wide:
                return "text" if self.missing or self.huge else "int"
            return "float" if self.missing else "int"
        return "time" if self.time else "text"


@dataclass
class OwnColumns:
    """The columns beyond the schema, as far as they were seen."""

    seen: dict[str, Seen] = field(default_factory=dict)

    def see_text(self, name: str, column: Coded) -> None:
        """Look at the values of a column of text."""
        seen = self.seen.setdefault(name, Seen())
        seen.missing |= bool((column.codes < 0).any())
        values = pc.utf8_trim_whitespace(column.values)
        # Among numbers and times NA is no value; among other texts it may be one.
        absent = pc.is_in(values, value_set=ABSENT)
        if absent.true_count:
            values, seen.missing = values.filter(pc.invert(absent)), True
        if not len(values):
            return
        seen.any = True
        if seen.number and _all(values, NUMBER) and not _any(values, PHONE):
            seen.time = False
            _see_numbers(seen, values)
            return
        seen.number = False
        seen.time = seen.time and _all(values, ISO_TIME) and _times_of(values) is not None

    def see_id(self, name: str, column: Coded) -> None:
        """Look at the values of a column of text that is named as an id, rows in their order."""
        seen = self.seen.setdefault(name, Seen())
        if not seen.rises:
            return  # it is text, whatever follows
        self.see_text(name, column)
        seen.named_as_id, seen.rows = True, seen.rows + len(column.codes)
        whole = seen.number and seen.whole and not (seen.missing or seen.huge)
        seen.rises = whole
        if not whole or not len(column.codes):
            return
        numbers = column.take(_whole_numbers(column.values).to_numpy(), np.int64(0))
        first_rises = seen.last is None or numbers[0] > seen.last
        seen.rises, seen.last = bool(first_rises and (np.diff(numbers) > 0).all()), int(numbers[-1])

    def see_typed(self, name: str, column: pa.Array) -> None:
        """Look at the values of a column of numbers or times."""
        seen = self.seen.setdefault(name, Seen())
        seen.typed = True
        if pa.types.is_temporal(column.type):
            seen.number = False
        else:
            seen.time = False
            seen.whole &= pa.types.is_integer(column.type)
        seen.any |= column.null_count < len(column)
        seen.missing |= column.null_count > 0

    def typed(self, name: str, column: pa.Array) -> pa.Array:
        """Return a column in the type that all of its values have, in this part and others."""
        seen = self.seen.get(name)
        kind = seen.kind() if seen else "text"
        if kind == "text":
            return column
        if pa.types.is_null(column.type):  # no value in this part
            return pa.nulls(len(column), ARROW[kind])
        if not pa.types.is_dictionary(column.type):
            return _in_ms(column) if kind == "time" else column.cast(ARROW[kind], safe=False)
        return _parsed(column.dictionary, kind).take(column.indices)

    def typed_series(self, name: str, values: pd.Series) -> pd.Series:
        """Return a column of text, (n,) object, in the type that all of its values have."""
        column = pa.array(values, pa.string()).dictionary_encode()
        found = self.typed(name, column)
        return values if found is column else found.to_pandas().set_axis(values.index)


def typed_text(values: pd.Series) -> pd.Series:
    """Return a column of text, (n,) object, in the type that all of its values have."""
    columns = OwnColumns()
    columns.see_text("", coded(pa.array(values, pa.string())))
    return columns.typed_series("", values)


def _parsed(texts: pa.Array, kind: str) -> pa.Array:
    """Return texts as numbers or times; null where they are none, such as NA."""
    texts = pc.utf8_trim_whitespace(texts)
    if kind == "time":
        times = parse_times(texts, TimeFormat())
        return pa.array(times, mask=times == NO_TIME).cast(ARROW[kind])
    if kind == "int":
        return _whole_numbers(texts)
    return pa.array(parse_numbers(texts), from_pandas=True)


def _whole_numbers(texts: pa.Array) -> pa.Array:
    """Return texts of whole numbers as int64. Raises ArrowInvalid if one has more than 64 bits."""
    return pc.replace_substring_regex(texts, r"^\+", "").cast(pa.int64())


def _in_ms(column: pa.Array) -> pa.Array:
    """Return dates and times as ms in UTC; what is beyond the years 1 to 9999 is missing."""
    ms, missing = column_times(pa.chunked_array([column]), TimeFormat())
    missing |= (ms < FIRST_MS) | (ms > LAST_MS)
    return pa.array(ms, mask=missing).cast(ARROW["time"])


def _see_numbers(seen: Seen, values: pa.Array) -> None:
    if seen.whole and not _all(values, WHOLE):
        seen.whole = False
    if not seen.whole:
        point = pc.find_substring(values, ".").to_numpy(zero_copy_only=False)
        size = pc.binary_length(values).to_numpy(zero_copy_only=False)
        found = np.unique((size - point - 1)[point >= 0])
        seen.decimals.update(found.tolist()[:3])
        seen.rounded |= _any(values, r"\.\d+0$")
    else:
        seen.wide |= _any(values, WIDE)
        seen.huge |= seen.wide and not _fits_64_bits(values)


def _fits_64_bits(values: pa.Array) -> bool:
    try:
        _whole_numbers(values)
    except pa.ArrowInvalid:
        return False
    return True


def _times_of(values: pa.Array) -> np.ndarray | None:
    times = parse_times(values, TimeFormat())
    return None if (times == NO_TIME).any() else times


def _all(values: pa.Array, pattern: str) -> bool:
    return bool(pc.match_substring_regex(values, pattern).true_count == len(values))


def _any(values: pa.Array, pattern: str) -> bool:
    return bool(pc.match_substring_regex(values, pattern).true_count)
