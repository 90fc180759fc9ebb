"""Read times: ISO 8601, formats, numbers since 1970, a clock beside a date, hours since a start.

Times are ms since 1970 UTC; what is finer than a ms is cut off. A fraction in floating point is
rounded to a ms, since 1709287390.123 is not exact in binary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.arrays import DAY_MS
from eventlog.ingest.columns.values import coded
from eventlog.ingest.mapping import TimeFormat
from eventlog.ingest.mapping_values import is_zone

NO_TIME = np.iinfo(np.int64).min  # what pandas calls NaT
ISO, MIXED = "ISO8601", "mixed"  # formats of pandas that are not made of directives
PER_MS = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}  # units in a ms
UNITS = ("s", "ms", "us", "ns")
SINCE_START = {"seconds": 1_000, "minutes": 60_000, "hours": 3_600_000, "days": DAY_MS}  # in ms
# Digits alone: a date with or without a time of day, by their number. As ms since 1970 those of 14
# digits would be in the year 2600.
COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f"}
WITHOUT_YEAR = ("%Y-%m-%d", "%Y-%m/%d", "%Y-%m.%d", "%Y-%m%d")  # after the year is put before
# An offset at the end, after a time of day: +02, +0200, +02:00, Z; the names of UTC.
OFFSET = r"(?i)(?:\d\s*(?:Z|UTC|GMT)|[T ]\d.*[+-]\d\d(?::?\d\d)?)$"
# As Presto and Snowflake write a time in a zone: 2024-03-01 10:00:00 America/New_York.
ZONED = r"^(\d.*\d(?:\s?[+-]\d\d:?\d\d)?)\s*\[?([A-Za-z]+(?:/[\w+-]+)+)\]?$"
UTC_NAME = r"(?i)\s*\[?(?:UTC|GMT)\]?$"
# Other spellings, of which pandas reads none: (what it is, what it becomes), as RE2 has it.
SPELLINGS = (
    ("\u2212", "-"),  # the minus sign of typographers
    (r"\s*\([A-Za-z .]+\)$", ""),  # GMT+0200 (CEST), as JavaScript writes
    (r"([Zz]|[+-]\d\d:?\d\d)\[[\w/+-]+\]$", r"\1"),  # +02:00[Europe/Berlin], as Java writes
    (r"(?i)\s*(?:GMT|UTC)\s*([+-])(\d)$", r" \10\2:00"),  # GMT+2
    (r"(?i)\s*(?:GMT|UTC)\s*([+-]\d\d)$", r" \1:00"),
    (r"(?i)\s*(?:GMT|UTC)\s*([+-]\d\d):?(\d\d)$", r" \1:\2"),
    (r"(?i)(\d)\s*([ap])\.?\s?m\.?$", r"\1 \2M"),  # 1:05pm, 1:05 p.m.
)
SPELT = "(?i)[\u2212()\\[]|GMT|UTC|[ap]\\.?\\s?m\\.?$"  # what one of them may be in
MIDNIGHT = r"([T ])24(:?00(?::?00(?:\.0*)?)?(?:\s*[Z+-].*)?)$"  # 24:00 is 0:00 of the next day
LEAP_SECOND = r"(:\d\d):60"


def parse_times(values: pa.Array | Sequence[str], how: TimeFormat) -> np.ndarray:
    """Return ms since 1970 UTC, (n,) int64; NO_TIME where the text is not a time."""
    text = pa.array(values, pa.string())
    if not how.unit and how.year is None:
        return _read(text, how.format or (ISO,), how.timezone)
    text = pc.utf8_trim_whitespace(text)
    if how.unit in SINCE_START:
        return _since_start(_floats(text), how)
    return _counted(text, how.unit) if how.unit else _with_year(text, how)


def _read(text: pa.Array, formats: Sequence[str], timezone: str) -> np.ndarray:
    """Return times in the first of `formats` that reads each, (n,) int64 ms."""
    out = np.full(len(text), NO_TIME, dtype=np.int64)
    for form in formats:
        todo = np.flatnonzero(out == NO_TIME)
        if len(todo) == 0:
            break
        part = text.take(pa.array(todo)) if len(todo) < len(text) else text
        out[todo] = _iso(part, timezone) if form == ISO else _formatted(part, form, timezone)
    return out


def _iso(text: pa.Array, timezone: str) -> np.ndarray:
    """Return ISO 8601 times, and dates written as digits alone, (n,) int64 ms."""
    found = iso_of_one_kind(text, timezone)
    if found is not None:
        return found
    text = _spelt_as_usual(text)
    zoned = _matches(text, ZONED)
    if zoned.any():
        return _in_named_zones(text, zoned, timezone)
    offset = _matches(text, OFFSET)
    plain = pc.replace_substring_regex(text, UTC_NAME, "Z")
    # Python's logging writes 10:00:00,123; others write t and z.
    plain = pc.utf8_upper(pc.replace_substring_regex(plain, r"(:\d\d),(\d)", r"\1.\2"))
    # A year or a count alone is no time; pandas would take 2000 for the year.
    digits = _matches(text, r"^\d+$")
    later = np.where(_matches(plain, MIDNIGHT), DAY_MS, 1000 * _matches(plain, LEAP_SECOND))
    plain = pc.replace_substring_regex(plain, MIDNIGHT, r"\100\2")
    plain = pc.replace_substring_regex(plain, LEAP_SECOND, r"\1:59")
    series = pd.Series(plain.to_pandas()).astype(object).mask(digits)
    read = _read_apart(series, ISO, offset)
    out = _utc(np.where(read == NO_TIME, NO_TIME, read + later), offset, timezone)
    for i in np.flatnonzero(digits):
        form = COMPACT.get(len(text[int(i)].as_py()))
        out[i] = _formatted(text[int(i) : int(i) + 1], form, timezone)[0] if form else NO_TIME
    return out


def _in_named_zones(text: pa.Array, zoned: np.ndarray, timezone: str) -> np.ndarray:
    """Return ISO 8601 times of which some, `zoned` (n,) bool, name a zone, (n,) int64 ms."""
    names = pc.replace_substring_regex(text, ZONED, r"\2").dictionary_encode()
    clock = pc.replace_substring_regex(text, ZONED, r"\1")
    ms = np.full(len(text), NO_TIME, dtype=np.int64)
    for code, name in enumerate(names.dictionary.to_pylist()):
        here = zoned & (names.indices.to_numpy() == code)
        if here.any() and is_zone(name):
            ms[here] = _iso(clock.filter(pa.array(here)), name)
    if not zoned.all():
        ms[~zoned] = _iso(text.filter(pa.array(~zoned)), timezone)
    return ms


def iso_of_one_kind(text: pa.Array, timezone: str = "UTC") -> np.ndarray | None:
    """Return ISO 8601 times quickly, (n,) int64 ms; None unless all have an offset or none has."""
    first = _matches(text[:1], OFFSET).any()
    try:
        us = text.cast(pa.timestamp("us", "UTC" if first else None)).cast(pa.int64())
    except pa.ArrowInvalid:  # which costs as much as the slow way
        return None
    ms = _floor_ms(us.to_numpy(zero_copy_only=False), 1000)
    return _utc(ms, np.full(len(ms), first), timezone)


def _spelt_as_usual(text: pa.Array) -> pa.Array:
    """Return times without blanks around them, their offsets and AM/PM as in pandas (SPELLINGS)."""
    text = pc.utf8_trim_whitespace(text)
    if _matches(text, SPELT).any():
        for pattern, usual in SPELLINGS:
            text = pc.replace_substring_regex(text, pattern, usual)
    return text


def _formatted(text: pa.Array, form: str, timezone: str) -> np.ndarray:
    text = _spelt_as_usual(text)
    if form.endswith("%z"):  # some mail programs write GMT beside +0100
        text = pc.replace_substring_regex(text, UTC_NAME, " +0000")
    series = pd.Series(text.to_pandas()).astype(object)
    if form == MIXED:
        offset = _matches(text, OFFSET)
    else:
        own = bool(re.search(r"%z|%Z|UTC|GMT", form)) or form.endswith("Z")
        offset = np.full(len(text), own)
    return _utc(_read_apart(series, form, offset), offset, timezone)


def _read_apart(texts: pd.Series, form: str, offset: np.ndarray) -> np.ndarray:
    """Return times as pandas reads them, (n,) int64 ms, those without an offset apart.

    In one column pandas gives a time without an offset that of the time before it.
    """
    out = np.full(len(texts), NO_TIME, dtype=np.int64)
    for some in (offset, ~offset):
        if some.any():
            time = pd.to_datetime(texts[some], format=form, errors="coerce", utc=True)
            out[some] = _ms(pd.DatetimeIndex(time))
    return out


def _utc(ms: np.ndarray, has_offset: np.ndarray, timezone: str) -> np.ndarray:
    """Return wall-clock times (n,) ms as UTC, except those that carry an offset."""
    if timezone == "UTC" or has_offset.all():
        return ms
    wall = pd.DatetimeIndex(ms.astype("datetime64[ms]"))
    return np.where(has_offset, ms, _ms(localised(wall, timezone)))


def shop_time(ms: np.ndarray, timezone: str) -> np.ndarray:
    """Return wall-clock times (n,) ms in a zone as UTC, (n,) int64 ms; NO_TIME stays."""
    out = _utc(ms, ms == NO_TIME, timezone)
    return np.where(ms == NO_TIME, NO_TIME, out)


def localised(time: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Return wall-clock times as UTC.

    Of the hour that occurs twice when clocks are set back the first is taken; times in the hour
    that is skipped move forward.
    """
    local = time.tz_localize(
        timezone, ambiguous=np.ones(len(time), dtype=bool), nonexistent="shift_forward"
    )
    return local.tz_convert("UTC")


# --- numbers ------------------------------------------------------------------------------------


def since_1970(number: np.ndarray, unit: str) -> np.ndarray:
    """Return numbers (n,) int64 or float64 in `unit` as ms, (n,) int64, NO_TIME for NaN.

    With the unit "auto" each number is read by its own size: as s, ms, us or ns since 1970 it lies
    between the years 1973 and 5138.
    """
    if unit == "auto":
        units = units_of(number)
        out = np.full(len(number), NO_TIME, dtype=np.int64)
        for i, name in enumerate(UNITS):
            out[units == i] = since_1970(number[units == i], name)
        return out
    if number.dtype.kind in "iu":
        return number * 1000 if unit == "s" else _floor_ms(number, int(PER_MS[unit]))
    with np.errstate(invalid="ignore", over="ignore"):
        ms = np.rint(number / PER_MS[unit])
        return np.where(np.abs(ms) < 1e15, np.nan_to_num(ms), NO_TIME).astype(np.int64)


def units_of(number: np.ndarray) -> np.ndarray:
    """Return the place in UNITS of the unit that each number's size suggests, (n,) int64."""
    with np.errstate(invalid="ignore"):
        size = np.abs(np.nan_to_num(np.asarray(number, dtype=np.float64)))
    return np.searchsorted([1e11, 1e14, 1e17], size, side="right")


def _counted(text: pa.Array, unit: str) -> np.ndarray:
    """Return numbers since 1970, written as text, as ms; whole ones are never made floats."""
    whole = _matches(text, r"^[+-]?(?:\d{1,18}|[1-8]\d{18})(?:\.0*)?$")
    out = np.full(len(text), NO_TIME, dtype=np.int64)
    numbers = pc.replace_substring_regex(text.filter(pa.array(whole)), r"\.0*$", "")
    numbers = pc.replace_substring_regex(numbers, r"^\+", "")
    counts = numbers.cast(pa.int64()).to_numpy(zero_copy_only=False)
    limit = 1e15 * PER_MS[unit] if unit != "auto" else np.inf
    out[whole] = np.where(np.abs(counts) < limit, since_1970(counts, unit), NO_TIME)
    out[~whole] = since_1970(_floats(text.filter(pa.array(~whole))), unit)
    return out


def _since_start(number: np.ndarray, how: TimeFormat) -> np.ndarray:
    """Return hours, minutes, ... since `how.start` as ms, (n,) int64."""
    start = _read(pa.array([how.start], pa.string()), (ISO,), how.timezone)[0]
    with np.errstate(invalid="ignore"):
        ms = np.rint(number * SINCE_START[str(how.unit)])
        fits = np.abs(ms) < 1e15
    return np.where(fits, start + np.where(fits, ms, 0).astype(np.int64), NO_TIME)


def _with_year(text: pa.Array, how: TimeFormat) -> np.ndarray:
    """Return times without a year, such as 6-4 or 0604, in `how.year`."""
    # 604 is the 4th of June, as spreadsheets write 0604.
    text = pc.replace_substring_regex(text, r"^(\d{3})$", r"0\1")
    dated = pc.binary_join_element_wise(f"{how.year:04d}", text, "-")
    return _read(dated, [f"%Y-{form}" for form in how.format] or WITHOUT_YEAR, how.timezone)


def clocks(values: pa.Array, unit: str | None) -> np.ndarray:
    """Return times of day as ms since midnight, (n,) int64; NO_TIME where they cannot be read.

    Args:
        values: (n,) text: 09:15, 09:15:30.5, 9:15 PM, 091530, or numbers if there is a unit.
        unit: of numbers: "s", "ms", "hours", ...
    """
    text = pc.utf8_trim_whitespace(values)
    if unit:
        size = SINCE_START.get(unit) or 1 / PER_MS[unit]
        ms = np.rint(_floats(text) * size)
        return np.where(np.isfinite(ms), np.nan_to_num(ms), NO_TIME).astype(np.int64)
    # 91530 and 915 as spreadsheets write 091530 and 0915
    text = pc.replace_substring_regex(text, r"^(\d{3}|\d{5})$", r"0\1")
    dated = pc.binary_join_element_wise("1970-01-01", text, " ")
    forms = [f"%Y-%m-%d {clock}" for clock in ("%H%M%S", "%H%M", "%I:%M %p", "%I:%M:%S %p")]
    short = pc.replace_substring_regex(dated, r" (\d:)", r" 0\1")
    ms = _read(short, (ISO, *forms), "UTC")
    return np.where(_matches(text, r"\d"), ms, NO_TIME)


def column_times(column: pa.ChunkedArray, how: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of a column in ms, (n_rows,) int64, and which are missing, (n_rows,) bool.

    Raises ArrowInvalid if the column holds no text, numbers or times.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _arrow_times(column, how.timezone)
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if numeric and how.unit:
        missing = column.is_null().to_numpy()
        number = (column.fill_null(0) if pa.types.is_integer(kind) else column).to_numpy()
        if how.unit in SINCE_START:
            ms = _since_start(number.astype(np.float64), how)
        else:
            ms = since_1970(number, how.unit)
        return np.where(missing, NO_TIME, ms), missing | (number != number)
    text = coded(column)
    return text.take(parse_times(text.values, how), NO_TIME), text.codes < 0


def _arrow_times(column: pa.ChunkedArray, timezone: str) -> tuple[np.ndarray, np.ndarray]:
    missing = column.is_null().to_numpy()
    kind = column.type
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    units = column.cast(pa.int64()).fill_null(0).to_numpy()
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[column.type.unit]
    fits = np.abs(units) < 10**12 * per_second  # beyond the year 33,000 a ms would overflow
    units = np.where(fits, units, 0)
    ms = units * 1000 if per_second == 1 else _floor_ms(units, per_second // 1000)
    ms = _utc(ms, np.full(len(ms), column.type.tz is not None), timezone)
    return np.where(missing | ~fits, NO_TIME, ms), missing


def _floor_ms(number: np.ndarray, per_ms: int) -> np.ndarray:
    return number if per_ms == 1 else number // per_ms


def _floats(text: pa.Array) -> np.ndarray:
    return pd.to_numeric(pd.Series(text.to_pandas()), errors="coerce").to_numpy(dtype=np.float64)


def _matches(text: pa.Array, pattern: str) -> np.ndarray:
    return pc.match_substring_regex(text, pattern).to_numpy(zero_copy_only=False).astype(bool)


def _ms(time: pd.DatetimeIndex) -> np.ndarray:
    """Return times as ms, (n,) int64, NO_TIME where they are missing."""
    unit = time.unit if time.unit != "s" else "ms"
    number = time.as_unit(unit).asi8
    per_ms = {"ms": 1, "us": 1_000, "ns": 1_000_000}[unit]
    return np.where(number == NO_TIME, NO_TIME, number // per_ms)
