"""Read JSON lines with Arrow, and row by row where Arrow would change a value.

Arrow reads texts that look like times as times, and whole numbers beyond 64 bits as floats, in
which many users become one. The former are read again as text; of the latter a block is read by
Python, in which whole numbers have any size, and their column becomes text.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.values import WIDEST, number_text
from eventlog.ingest.mapping_values import check_encoding
from eventlog.ingest.reading import streams
from eventlog.ingest.reading.opening import open_utf8
from eventlog.ingest.reading.streams import Batch, InputFile, WatchedStream, no_rows

LONGEST = streams.LONGEST_LINE
LARGEST = 1e40  # the largest float that may be an id
ROWS = 50_000  # of a list, at once
MOST_LEVELS = 100  # of lists and objects inside each other: Arrow and Python recurse
NO_OPENING = bytes(set(range(256)) - set(b"[{\n"))
NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
STEP = np.zeros(256, dtype=np.int8)
STEP[list(b"[{")], STEP[list(b"]}")] = 1, -1
STRING = re.compile(rb'"(?:[^"\\\n]|\\.)*"')


def read_json(file: InputFile, encoding: str) -> Iterator[Batch]:
    """Yield the objects of a JSON lines file. Raises InputError where a line is broken."""
    encoding = check_encoding(encoding, f"{file}: the encoding")
    reader = _Blocks(file, encoding)
    try:
        listed = _is_list(file, encoding)
        tables = reader.of_list() if listed else map(reader.table, _blocks(file, encoding))
        for table in tables:
            rows = np.arange(reader.n + 1, reader.n + table.num_rows + 1)
            yield Batch(table, rows, file=str(file))
            reader.n += table.num_rows
    except UnicodeError as error:
        raise InputError(
            f"{file} is not {encoding} text: {error}; name the right one with --encoding or in "
            "[file] of a mapping."
        ) from None
    if reader.n == 0:
        raise no_rows(file, False)


def table_of(lines: bytes, name: str) -> pa.Table:
    """Return JSON lines as a table; `name` is what an error calls them."""
    return _Blocks(InputFile(name, lambda: io.BytesIO(lines), len(lines))).table(lines)


def _blocks(file: InputFile, encoding: str) -> Iterator[bytes]:
    """Yield whole lines, about `streams.BLOCK` bytes at a time, without blank blocks."""
    first = True
    with open_utf8(file, encoding) as stream:
        watched = WatchedStream(stream, file, b"")
        pieces: list[bytes] = []  # of a line that is longer than a block
        while True:
            data = watched.read(streams.BLOCK)
            cut = data.rfind(b"\n") + 1
            if data and not cut:
                pieces.append(data)
                if sum(map(len, pieces)) > LONGEST:
                    raise InputError(
                        f"{file} has a line of more than {LONGEST >> 20} MiB; each line must be "
                        "one JSON object (jq -c . makes such a file)."
                    )
                continue
            block = b"".join([*pieces, data[:cut]])
            pieces = [data[cut:]] if data else []
            block = block.removeprefix(codecs.BOM_UTF8) if first else block
            if block.strip():
                first = False
                yield block
            if not data:
                break


class _Blocks:
    """Reads the blocks of one file; remembers which columns hold text that looks like times."""

    def __init__(self, file: InputFile, encoding: str = "utf-8") -> None:
        self.file, self.encoding, self.n = file, encoding, 0
        self.texts: pa.Schema | None = None

    def table(self, block: bytes) -> pa.Table:
        """Return the rows of a block."""
        if _many_openings(block):
            for row, line in enumerate((x for x in block.split(b"\n") if x.strip()), start=1):
                self._refuse_deep(line, self.n + row)
        if block.lstrip().startswith(b"null"):  # as the first value it crashes Arrow
            return self._slowly(block)
        try:
            block.decode()  # Arrow does not look
        except UnicodeDecodeError:
            return self._slowly(block)
        try:
            table = self._quickly(block)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            return self._slowly(block)
        exact = not any(_wide_float(column) for column in table.columns)
        return table if exact else self._slowly(block)

    def of_list(self) -> Iterator[pa.Table]:
        """Yield the objects of a file that is one list, [{...}, {...}], if it is not large."""
        with open_utf8(self.file, self.encoding) as stream:
            data = WatchedStream(stream, self.file, b"").read(LONGEST + 1)
        if len(data) > LONGEST:
            raise InputError(
                f"{self.file} is a list of more than {LONGEST >> 20} MiB; give one JSON object a "
                "line (jq -c '.[]' makes such a file)."
            )
        data = data.replace(b"\n", b" ")
        self._refuse_deep(data, 1)
        records = self._loaded(data.removeprefix(codecs.BOM_UTF8), 1)
        for row, record in enumerate(records, start=1):
            self._check_object(record, row)
        for start in range(0, len(records), ROWS):
            yield _table(records[start : start + ROWS])

    def _quickly(self, block: bytes) -> pa.Table:
        if self.texts is not None:
            try:
                table = _arrow(block, self.texts)
            except pa.ArrowInvalid:  # a number, perhaps, where there was text
                table = _arrow(block, None)
        else:
            table = _arrow(block, None)
        times = [f for f in map(_times_as_text, table.schema) if f is not None]
        if times:
            known = {f.name: f for f in self.texts or ()} | {f.name: f for f in times}
            self.texts = pa.schema(list(known.values()))
            table = _arrow(block, self.texts)
        return table

    def _slowly(self, block: bytes) -> pa.Table:
        """Read line by line, to find a broken line, keep big numbers and mix types as text."""
        records: list[dict[str, Any]] = []
        for line in block.split(b"\n"):
            if line.strip():
                records.append(self._record(line, self.n + len(records) + 1))
        return _table(records)

    def _record(self, line: bytes, row: int) -> dict[str, Any]:
        return self._check_object(self._loaded(line, row), row)

    def _loaded(self, text: bytes, row: int) -> Any:
        try:
            return json.loads(text, parse_float=_float)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{self.file} has no valid JSON in row {row}: {error.msg} at character "
                f"{error.colno}."
            ) from None
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.file} is not utf-8 text: row {row}, byte {error.start} of the line."
            ) from None
        except ValueError as error:  # a number of more than 4,300 digits
            raise InputError(f"{self.file} cannot be read in row {row}: {error}.") from None

    def _refuse_deep(self, line: bytes, row: int) -> None:
        if _levels(line) > MOST_LEVELS:
            raise InputError(
                f"{self.file} has more than {MOST_LEVELS} levels of lists and objects in row {row}."
            )

    def _check_object(self, record: Any, row: int) -> dict[str, Any]:
        if not isinstance(record, dict):
            raise InputError(
                f"{self.file} has {json.dumps(record)[:40]} in row {row}; each line must be one "
                "JSON object."
            )
        return record


def _float(text: str) -> float | int:
    """Return a number with a point or an exponent; one that no float holds is a whole number."""
    number = float(text)
    if WIDEST <= abs(number) < LARGEST and number.is_integer():
        exact = Decimal(text)
        return int(exact) if exact == exact.to_integral_value() else number
    return number


def _many_openings(lines: bytes) -> bool:
    """Return whether a line has so many [ and { that it may have too many levels."""
    marks = np.frombuffer(lines.translate(None, NO_OPENING), dtype=np.uint8)
    ends = np.flatnonzero(marks == ord("\n"))
    return bool((np.diff(ends, prepend=-1, append=len(marks)) > MOST_LEVELS + 1).any())


def _levels(line: bytes) -> int:
    """Return how many lists and objects are open at once in a line, at most."""
    marks = np.frombuffer(STRING.sub(b"", line).translate(None, NO_BRACKET), dtype=np.uint8)
    return int(np.cumsum(STEP[marks], dtype=np.int64).max(initial=0))


def _is_list(file: InputFile, encoding: str) -> bool:
    with open_utf8(file, encoding) as stream:
        head = WatchedStream(stream, file, b"").read(1 << 12)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(
            f"{file} is UTF-16 text, not {encoding}; give --encoding utf-16, or set it in [file] "
            "of a mapping."
        )
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def _table(records: list[dict[str, Any]]) -> pa.Table:
    names = dict.fromkeys(itertools.chain.from_iterable(records))
    return pa.table(
        {_clean(name): array_of([record.get(name) for record in records]) for name in names}
    )


def _arrow(block: bytes, texts: pa.Schema | None) -> pa.Table:
    return pajson.read_json(
        io.BytesIO(block),
        read_options=pajson.ReadOptions(use_threads=False, block_size=max(len(block) + 1, 1 << 16)),
        parse_options=pajson.ParseOptions(explicit_schema=texts, unexpected_field_behavior="infer"),
    )


def _times_as_text(field: pa.Field) -> pa.Field | None:
    """Return what of a field was read as times, as text; None if nothing was."""
    kind = field.type
    if pa.types.is_temporal(kind):
        return pa.field(field.name, pa.string())
    if pa.types.is_struct(kind):
        parts = [_times_as_text(kind.field(i)) for i in range(kind.num_fields)]
        found = [part for part in parts if part is not None]
        return pa.field(field.name, pa.struct(found)) if found else None
    if pa.types.is_list(kind):
        value = _times_as_text(kind.value_field)
        return None if value is None else pa.field(field.name, pa.list_(value))
    return None


def _wide_float(column: pa.ChunkedArray) -> bool:
    """Return whether a column holds floats that may have been whole numbers before."""
    kind = column.type
    if pa.types.is_floating(kind):
        return bool(pc.any(pc.greater_equal(pc.abs(column), float(WIDEST))).as_py())
    if pa.types.is_struct(kind):
        return any(_wide_float(part) for part in column.flatten())
    if pa.types.is_list(kind):
        return _wide_float(pc.list_flatten(column))
    return False


# --- Python's values as columns -------------------------------------------------------------------


def array_of(values: list[Any]) -> pa.Array:
    """Return values of Python as a column of one type: mixed ones, and big numbers, as text."""
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {dict}:
        return _objects(values)
    if kinds == {list}:
        lengths = [0 if value is None else len(value) for value in values]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        flat = list(itertools.chain.from_iterable(value or () for value in values))
        missing = pa.array([value is None for value in values])
        return pa.ListArray.from_arrays(pa.array(offsets), array_of(flat), mask=missing)
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    wide = any(type(v) is int and abs(v) >= WIDEST for v in values)
    if kinds <= {int, float} and not wide:
        return pa.array(values, pa.float64() if float in kinds else pa.int64())
    return pa.array([_text(value) for value in values], pa.string())


def _objects(values: list[Any]) -> pa.Array:
    names = dict.fromkeys(itertools.chain.from_iterable(value or () for value in values))
    if not names:
        return pa.array([None if v is None else {} for v in values], pa.struct([]))
    parts = [array_of([None if v is None else v.get(name) for v in values]) for name in names]
    return pa.StructArray.from_arrays(
        parts, [_clean(name) for name in names], mask=pa.array([v is None for v in values])
    )


def _text(value: Any) -> str | None:
    """Return a value as text: a number without ".0", objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return None if value is None else _clean(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return number_text(value) if isinstance(value, float) else _clean(json.dumps(value))


def _clean(text: str) -> str:
    """Return text with the mark for an unknown character in place of half ones."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
