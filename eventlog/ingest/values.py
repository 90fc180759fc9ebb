"""Columns as codes into their distinct values, and parsers that work on distinct values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from eventlog.ingest.mapping import Names, TimeFormat

NO_TIME = np.iinfo(np.int64).min  # what pandas calls NaT


@dataclass(frozen=True)
class Coded:
    """A column: row i has values[codes[i]], or no value if the code is -1."""

    codes: np.ndarray  # (n_rows,) int32
    values: np.ndarray  # (n_values,) object: str

    def take(self, per_value: np.ndarray, missing: Any) -> np.ndarray:
        """Return `per_value` (n_values,) at each row's value, (n_rows,), or `missing`."""
        return np.append(per_value, np.array([missing], dtype=per_value.dtype))[self.codes]

    def where(self, per_value: np.ndarray | Sequence[bool]) -> np.ndarray:
        """Return the rows whose value satisfies `per_value` (n_values,) bool, (n_rows,) bool."""
        return self.take(np.asarray(per_value, dtype=bool), False)

    def arrow(self) -> pa.DictionaryArray:
        """Return the column as an Arrow dictionary; values that became equal share a code."""
        code, distinct = pd.factorize(self.values)
        codes = self.take(code.astype(np.int32), -1)
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, mask=codes < 0), pa.array(distinct, pa.string())
        )


def coded(column: pa.ChunkedArray, missing: Names = ()) -> Coded:
    """Return a column of any flat type as text; whole numbers have no ".0"."""
    array = column.combine_chunks()
    array = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    kind = array.dictionary.type
    if pa.types.is_floating(kind):
        number = array.dictionary.to_numpy(zero_copy_only=False).astype(np.float64)
        values = np.array(
            [str(int(v)) if v.is_integer() else repr(v) for v in number.tolist()], dtype=object
        )
        lost = np.isnan(number)
    else:
        values = np.asarray(
            array.dictionary.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object
        )
        lost = np.isin(values, missing) if len(values) else np.zeros(0, dtype=bool)
    if lost.any():
        codes = np.where(np.append(lost, False)[codes], np.int32(-1), codes)
    return Coded(codes, values)


def parse_times(values: np.ndarray, how: TimeFormat) -> np.ndarray:
    """Return ms since 1970 UTC, (n,) int64; NO_TIME where the text is not a time."""
    text = pd.Series(values, dtype=object).str.strip()
    if how.unit:
        return since_1970(pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64), how.unit)
    out = np.full(len(text), NO_TIME, dtype=np.int64)
    for form in how.format or ("ISO8601",):
        todo = np.flatnonzero(out == NO_TIME)
        if len(todo) == 0:
            break
        part = text.iloc[todo]
        offset = (
            part.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$").to_numpy(dtype=bool)
            if how.timezone != "UTC" and form == "ISO8601"
            else None
        )
        time = pd.DatetimeIndex(pd.to_datetime(part, format=form, errors="coerce", utc=True))
        if how.timezone != "UTC":
            local = localised(time.tz_localize(None), how.timezone)
            own = np.zeros(len(time), dtype=bool) if offset is None else offset
            time = pd.DatetimeIndex(np.where(own, time.asi8, local.asi8).astype("datetime64[ns]"))
        ms = time.as_unit("ns").asi8
        out[todo] = np.where(ms == NO_TIME, ms, ms // 1_000_000)
    return out


def localised(time: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Return wall-clock times as UTC.

    Of the hour that occurs twice when clocks are set back the first is taken; times in the hour
    that is skipped move forward.
    """
    local = time.tz_localize(
        timezone, ambiguous=np.ones(len(time), dtype=bool), nonexistent="shift_forward"
    )
    return local.tz_convert("UTC")


def since_1970(number: np.ndarray, unit: str) -> np.ndarray:
    """Return numbers (n,) float64 in `unit` as ms, (n,) int64."""
    per_ms = {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}[
        unit if unit != "auto" else guess_unit(number)
    ]
    with np.errstate(invalid="ignore"):
        ms = number / per_ms
        return np.where(np.abs(ms) < 1e15, np.floor(np.nan_to_num(ms)), NO_TIME).astype(np.int64)


def guess_unit(number: np.ndarray) -> str:
    """Return the unit in which the median number is a time between the years 1973 and 5000."""
    size = float(np.nanmedian(number)) if np.isfinite(number).any() else 0.0
    return "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"


def parse_numbers(values: np.ndarray, decimal: str) -> np.ndarray:
    """Return numbers, (n,) float64, NaN where the text is not a finite number.

    Thousands may be separated: 1,234.50 and, with a decimal comma, 1.234,50.
    """
    text = pd.Series(values, dtype=object).str.strip()
    if decimal != ".":
        text = text.str.replace(
            r"^([+-]?\d{1,3}(?:\.\d{3})+)(?=,|$)", lambda m: m[1].replace(".", ""), regex=True
        )
        text = text.mask(text.str.contains(".", regex=False)).str.replace(decimal, ".", regex=False)
    else:
        text = text.str.replace(
            r"^[+-]?\d{1,3}(?:,\d{3})+(?=\.)", lambda m: m[0].replace(",", ""), regex=True
        )
    number = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isfinite(number), number, np.nan)


def all_numbers(values: np.ndarray) -> bool:
    """Return whether all are numbers in their usual form (007 is a code, not a number)."""
    text = pd.Series(values, dtype=object).str.strip()
    return bool(
        text.str.fullmatch(r"[+-]?(?:0|[1-9]\d{0,17}|\d{0,18}\.\d+)(?:[eE][+-]?\d{1,3})?").all()
    )


def as_text(column: pa.ChunkedArray) -> pa.Array:
    """Return any flat column as plain text."""
    array = column.combine_chunks()
    return (
        array.dictionary_decode().cast(pa.string())
        if pa.types.is_dictionary(array.type)
        else array.cast(pa.string())
    )
