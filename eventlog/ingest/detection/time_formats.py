"""Find out how the times of a column are written, from all of its values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from eventlog._runtime.errors import InputError
from eventlog.arrays import DAY_MS
from eventlog.ingest.columns.times import COMPACT, NO_TIME, iso_of_one_kind, parse_times
from eventlog.ingest.columns.values import TEXT, coded
from eventlog.ingest.mapping import MISSING, MISSING_IDS, TimeFormat
from eventlog.ingest.spool import Spool

# Ways to write a time that is not ISO 8601. One is assumed if it alone reads all values: the day
# comes first in 31/12/2024, but 05/06/2024 leaves it open.
DAYS = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%y/%m/%d",
    "%d-%m-%y",
    "%m-%d-%y",
    "%y-%m-%d",
    "%Y-%m-%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%Y年%m月%d日",
)
CLOCKS = (
    " %H:%M:%S",
    " %H:%M",
    " %H:%M:%S.%f",
    " %I:%M %p",
    " %I:%M:%S %p",
    " %I:%M:%S.%f %p",
    " %I.%M.%S.%f %p",
    " %H.%M.%S",
    "-%H.%M.%S.%f",
    " %H:%M:%S %z",
    " %H:%M:%S%z",
    " %H:%M:%S UTC",
    "T%H:%M:%S",
    ", %H:%M:%S",
    ", %H:%M",
    ", %I:%M:%S %p",
    ", %I:%M %p",
    " at %H:%M",
    " at %I:%M %p",
    " at %I:%M:%S %p",
    " %H-%M-%S",
    "_%H-%M-%S",
    "",
)
WHOLE = (
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a, %d %b %Y %H:%M:%S %z",
    "%d/%b/%Y:%H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S UTC %Y",
    "%a %b %d %Y %H:%M:%S %z",
    "%A, %B %d, %Y",
    "%G-W%V-%u",
    "%Y-%j",
    *(f"{clock} {day}" for clock in ("%H:%M", "%H:%M:%S") for day in DAYS),
)
LONGEST_MISSING = max(map(len, (*MISSING, *MISSING_IDS)))
LONG_MS = 10 * 365 * DAY_MS
NUMBER = r"^[+-]?\d+(?:\.\d*)?$"
DATE_ONLY = (
    r"^(?:\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|\d{8}|\d{1,2}[ -]\w{3,9}[ -]\d{4}|\w{3,9} \d{1,2}, \d{4})"
    r"(?:[T ]0?0:00(?::00(?:\.0+)?)?Z?)?$"
)
TIME_DIGITS = r"^(?:[01]?\d|2[0-3])[0-5]\d(?:[0-5]\d)?$"
TIME_ONLY = r"^\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?$"


def time_format(rows: Spool, source: str, clock: str, path: str) -> tuple[TimeFormat, list[str]]:
    """Return how the times in a column are written, and what was assumed.

    Raises InputError if several formats read all of them, with different results, or if a year or
    the beginning of the clock is missing.
    """
    known = TimeFormat(column=(source,), clock=(clock,) if clock else ())
    kind = rows.kinds[source]
    if pa.types.is_temporal(kind):
        return known, []
    where = f"{path}: {source}"
    if kind != TEXT:
        return _of_numbers(rows, known, source, where)
    texts = _Texts()
    for values in rows.texts(source):
        texts.see(values)
    if texts.total and texts.numbers > 0.5 * texts.total:
        return _of_numbers(rows, known, source, where)
    if texts.short > 0.5 * texts.total:
        raise _no_year(where, texts.ends[0])
    iso = texts.total == 0 or texts.iso > 0.5 * texts.total
    formats = () if iso else _formats(rows, source, texts, where)
    assumed = [f"{source} is written as {form}" for form in formats]
    assumed.append(f"{source} is in UTC where it carries no offset")
    return replace(known, format=formats), assumed


def likeliest_first(rows: Spool, time: TimeFormat) -> TimeFormat:
    """Return the formats by how many times of the file they read, where two exchange day and month.

    12/01/2024 has both forms, and would be read by whichever is named first, though 13/01/2024
    beside it has only one.
    """
    if not any("%d" in form and _other_way(form, time.format) for form in time.format):
        return time
    read: Counter[str] = Counter()
    for source in time.column:
        for values in rows.texts(source):
            for form in time.format:
                read[form] += int((_read(_present(values), form) != NO_TIME).sum())
    return replace(time, format=tuple(sorted(time.format, key=lambda form: -read[form])))


def is_date_only(rows: Spool, name: str) -> bool:
    """Return whether all values of a column are dates without a time of day."""
    kind = rows.kinds.get(name)
    return kind in (pa.date32(), pa.date64()) or _all(rows, name, DATE_ONLY)


def is_time_only(rows: Spool, name: str, *, digits: bool = False) -> bool:
    """Return whether all values of a column are times of day; `digits`: 091530 and 915 too."""
    kind = rows.kinds.get(name)
    pattern = rf"(?:{TIME_ONLY}|{TIME_DIGITS})" if digits else TIME_ONLY
    return (kind is not None and pa.types.is_time(kind)) or _all(rows, name, pattern)


def is_hour(rows: Spool, name: str) -> bool:
    """Return whether all values of a column are whole numbers from 0 to 23."""
    return _all(rows, name, r"^(?:1?\d|2[0-3])$")


def _of_numbers(
    rows: Spool, known: TimeFormat, source: str, where: str
) -> tuple[TimeFormat, list[str]]:
    """Return the format of times that are written as numbers."""
    digits: dict[int, int] = {}
    total = compact = small = 0
    size = np.inf
    for part in rows.columns(source):
        numbers, texts = _numbers(part)
        total += len(numbers)
        small += int((np.abs(numbers) < 1e8).sum())
        size = min(size, numbers.min(initial=np.inf))
        for n, form in COMPACT.items():
            fitting = texts.filter(
                pc.match_substring_regex(texts, rf"^(?:19|20)\d{{{n - 2}}}(?:\.0)?$")
            )
            if len(fitting):
                fitting = pc.replace_substring_regex(fitting, r"\.0$", "")
                count = int((parse_times(fitting, TimeFormat(format=(form,))) != NO_TIME).sum())
                digits[n] = digits.get(n, 0) + count
                compact += count
    if total and compact > 0.5 * total:
        forms = tuple(COMPACT[n] for n in sorted(digits) if digits[n])
        return replace(known, format=forms), [
            *(f"{source} is written as {form}" for form in forms),
            f"{source} is in UTC where it carries no offset",
        ]
    if small > 0.5 * total:
        raise InputError(
            f"{where} holds numbers such as {size:g}, which are no times since 1970; if they count "
            'from a start of their own, give unit = "hours" (or seconds, minutes, days) and start '
            '= "2024-01-01" in [time] of a mapping (days of a spreadsheet count from 1899-12-30); '
            "if they are dates without a year (604), give year there."
        )
    note = f"{source} counts from 1970 UTC, in the unit that its size suggests"
    return replace(known, unit="auto"), [note]


def _numbers(part: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Return the distinct numbers of a column, and their texts."""
    if part.type == TEXT:
        texts = _present(pa.concat_arrays([c.dictionary for c in part.chunks]))
        texts = texts.filter(pc.match_substring_regex(texts, NUMBER))
        return texts.cast(pa.float64()).to_numpy(zero_copy_only=False), texts
    kind = part.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return np.zeros(0), pa.array([], pa.string())  # raw bytes, a duration
    distinct = part.unique().drop_null()
    whole = distinct.cast(pa.int64(), safe=False).cast(pa.string())
    return distinct.cast(pa.float64()).to_numpy(zero_copy_only=False), whole


@dataclass
class _Texts:
    """What the distinct texts of a column of times are; they themselves may not fit into memory."""

    total: int = 0
    numbers: int = 0
    short: int = 0  # a day and a month
    iso: int = 0
    ends: tuple[str, str] = ("", "")  # the first and last by alphabet, whatever the order of rows

    def see(self, values: pa.Array) -> None:
        """Count the texts of a batch that are values."""
        if iso_of_one_kind(values) is not None:
            self.iso += len(values)
        else:
            values = _present(values)
            self.numbers += _share(values, NUMBER)
            few = values.filter(pc.less_equal(pc.binary_length(values), 5))
            self.short += _share(few, r"^\d{1,2}[-/.]\d{1,2}$")
            self.iso += int((parse_times(values, TimeFormat()) != NO_TIME).sum())
        if not len(values):
            return
        low, high = (str(v) for v in pc.min_max(values).as_py().values())
        self.ends = (min(self.ends[0], low), max(self.ends[1], high)) if self.total else (low, high)
        self.total += len(values)


def _formats(rows: Spool, source: str, texts: _Texts, where: str) -> tuple[str, ...]:
    """Return the format of times that are not ISO 8601, () if none reads nearly all of them.

    Raises InputError if several formats read all of them, with different results.
    """
    candidates = [*(day + clock for day in DAYS for clock in CLOCKS), *WHOLE]
    marks = _letters_and_marks("".join(texts.ends))
    candidates = [f for f in candidates if _letters_and_marks(re.sub("%.", "", f)) <= marks]
    shapes = [f for f in candidates if (_read(pa.array(texts.ends), f) != NO_TIME).any()]
    shapes += [f for f in candidates if f not in shapes and _other_way(f, shapes)]
    read: Counter[str] = Counter()
    differ: set[tuple[str, str]] = set()
    ends: dict[str, tuple[int, int]] = {}  # the first and the last time that each reads
    for values in rows.texts(source):
        times = {form: _read(_present(values), form) for form in shapes}
        for i, form in enumerate(shapes):
            known = times[form][times[form] != NO_TIME]
            if len(known):
                read[form] += len(known)
                first, last = ends.get(form, (known[0], known[0]))
                ends[form] = min(first, known.min()), max(last, known.max())
            differ |= {(f, form) for f in shapes[:i] if (times[f] != times[form]).any()}
    spans = {f: ends[f][1] - ends[f][0] for f in shapes if read[f] > 0.99 * texts.total}
    # Days that are read as years of two digits spread a month over thirty years.
    shortest = min(spans.values(), default=0)
    fitting = [f for f, span in spans.items() if not (span > LONG_MS and span > 20 * shortest > 0)]
    if any((fitting[0], form) in differ for form in fitting[1:]):
        raise InputError(
            f"{where} has times such as {texts.ends[0]!r}, which may be {' or '.join(fitting)}; "
            "give a mapping with format in [time]."
        )
    return tuple(fitting[:1])


def _letters_and_marks(text: str) -> set[str]:
    """Return the characters of a text, of which a format needs those that are its own."""
    return set(text.lower().replace("\u2212", "-")) - {" "}


def _other_way(form: str, shapes: Iterable[str]) -> bool:
    """Return whether a format is one of `shapes` with day and month exchanged."""
    swapped = form.replace("%d", "%#").replace("%m", "%d").replace("%#", "%m")
    return swapped in shapes


def _read(texts: pa.Array, form: str) -> np.ndarray:
    return parse_times(texts, TimeFormat(format=(form,)))


def _present(values: pa.Array) -> pa.Array:
    """Return texts that are not spellings of no value, without blanks around them."""
    values = pc.utf8_trim_whitespace(values)
    if pc.less_equal(pc.binary_length(values), LONGEST_MISSING).true_count == 0:
        return values
    missing = pc.is_in(values, value_set=pa.array([*MISSING, *MISSING_IDS]))
    return values.filter(pc.invert(missing))


def _share(values: pa.Array, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0)


def _all(rows: Spool, name: str, pattern: str) -> bool:
    kind = rows.kinds.get(name)
    if kind != TEXT and (kind is None or not pa.types.is_integer(kind)):
        return False
    found = False
    for column in rows.columns(name):
        values = _present(coded(column).values)
        if _share(values, pattern) != len(values):
            return False
        found |= len(values) > 0
    return found


def _no_year(where: str, example: str) -> InputError:
    return InputError(
        f"{where} has dates without a year, such as {example!r}; give year = 2024 (or another) in "
        "[time] of a mapping."
    )
