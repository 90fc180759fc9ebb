"""Read lists of values that are declared public for differential privacy.

A bare name declares that the column's values in the log are public as they are. A list names the
values itself, so that a value which occurs in one user's events only does not become public.

Example::

    public_lists("items=catalogue.csv,category=categories.txt,country")  # as on a command line
    public_lists({"items": catalogue, "event": ["view_item", "purchase"], "country": None})
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.values import coded

MOST_VALUES = 10_000_000
ITEMS = ("items", "item_id")  # both name the catalogue
ITEM_TEXTS = ("category", "brand")  # what a catalogue may tell of an item, besides its price
FORMATS = (".txt", ".csv", ".tsv", ".parquet", ".json")


def public_lists(public: str | Sequence[str] | Mapping[str, Any]) -> dict[str, pd.DataFrame | None]:
    """Parse what is declared public into a table of values for each name.

    Args:
        public: names ("country") and lists ("items=catalogue.csv"), as one comma-separated text or
            as a sequence; or a mapping from name to list, array, Series, DataFrame, file or None.

    Returns:
        For each name None (the column's values as they are in the log) or a DataFrame of distinct
        texts in the column `name`. For "items" the column is `item_id`, followed by `category`,
        `brand` (text) and `price` (float64) if the list has them.

    Raises:
        InputError: a name is empty or given twice; a file is missing, of another format, broken or
            empty, or lacks the column; a value is missing; an item occurs twice with different
            facts; a list has more than MOST_VALUES values.
    """
    found: dict[str, pd.DataFrame | None] = {}
    for name, value in _entries(public):
        same = ITEMS if name in ITEMS else (name,)
        if any(other in found for other in same):
            raise InputError(f"{name!r} is declared public twice; give it once.")
        found[name] = None if value is None else _table(name, value)
    return found


def _entries(public: str | Sequence[str] | Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return each name with its list, file or None. Raises InputError if a name is missing."""
    entries: list[tuple[str, Any]] = []
    if isinstance(public, Mapping):
        entries = [(str(name), value) for name, value in public.items()]
    else:
        for part in public.split(",") if isinstance(public, str) else public:
            if not isinstance(part, str):
                raise InputError(
                    f"public has {part!r}; each entry must be a text of the form NAME or NAME=FILE."
                )
            name, has_file, file = part.partition("=")
            if has_file and not file.strip():
                raise InputError(
                    f"public has {part!r}, which names no file; write NAME=FILE or just NAME."
                )
            if part.strip():
                entries.append((name.strip(), Path(file.strip()) if has_file else None))
    for name, value in entries:
        if not name:
            raise InputError(
                f"public gives {str(value)!r} no name; write NAME=FILE, such as items={value}."
            )
    return entries


def _table(name: str, value: Any) -> pd.DataFrame:
    """Return the values declared for `name`, from a file or from memory, checked."""
    if isinstance(value, str | Path):
        return _checked(name, _read(Path(value), name), str(value))
    where = f"The public list {name!r}"
    if isinstance(value, pd.DataFrame):
        return _checked(name, value, where)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        kind = type(value).__name__
        raise InputError(
            f"{where} is of type {kind}; give a list, Series, DataFrame, file or None."
        )
    values = pd.Series(list(islice(value, MOST_VALUES + 1)), dtype=object)
    return _checked(name, pd.DataFrame({_column(name): values}), where)


def _column(name: str) -> str:
    """Return the column that holds the values of `name`."""
    return "item_id" if name in ITEMS else name


# --- files ---------------------------------------------------------------------------------------


def _read(path: Path, name: str) -> pd.DataFrame:
    """Return the table of a file, unchecked. Raises InputError if it cannot be read."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; give a file with the public list {name!r}.")
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise InputError(
            f"{path} is not a {', '.join(FORMATS)} file; save the public list as one of these."
        )
    try:
        if kind == ".txt":
            return _read_lines(path, name)
        if kind == ".json":
            return _read_json(path, name)
        if kind == ".parquet":
            return _read_parquet(path)
        return _read_csv(path, "\t" if kind == ".tsv" else _delimiter(path))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.start:,}); save it as UTF-8."
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from None


def _read_lines(path: Path, name: str) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig") as file:
        lines = (line.strip() for line in file)
        values = list(islice((line for line in lines if line), MOST_VALUES + 1))
    return pd.DataFrame({_column(name): pd.Series(values, dtype=object)})


def _read_json(path: Path, name: str) -> pd.DataFrame:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(values, list):
        raise InputError(f'{path} holds no JSON list; write the values as ["a", "b"].')
    if values and all(isinstance(value, dict) for value in values):
        return pd.DataFrame(values, dtype=object)
    return pd.DataFrame({_column(name): pd.Series(values, dtype=object)})


def _read_parquet(path: Path) -> pd.DataFrame:
    rows = pq.read_metadata(path).num_rows
    if rows > MOST_VALUES:
        raise _too_many(str(path))
    table: pd.DataFrame = pq.read_table(path).to_pandas()
    return table


def _read_csv(path: Path, delimiter: str) -> pd.DataFrame:
    try:
        table: pd.DataFrame = pd.read_csv(
            path,
            sep=delimiter,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            encoding="utf-8-sig",
            nrows=MOST_VALUES + 1,
            index_col=False,
            skip_blank_lines=True,
        )
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except pd.errors.ParserError as error:
        raise InputError(f"{path} cannot be read: {str(error).strip().rstrip('.')}.") from None
    return table


def _delimiter(path: Path) -> str:
    """Return the delimiter: a semicolon if the header has more of these, otherwise a comma."""
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    return ";" if header.count(";") > header.count(",") else ","


# --- checks --------------------------------------------------------------------------------------


def _checked(name: str, table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the distinct values of `name` as text, for items with category, brand and price."""
    key = _column(name)
    if len(table.columns) == 0 or len(table) == 0:
        raise InputError(f"{where} has no values; a public list names at least one.")
    if key not in table:
        raise _no_column(key, table, where)
    if len(table) > MOST_VALUES:
        raise _too_many(where)
    out = pd.DataFrame({key: _texts(table[key], key, where)})
    missing = out[key].isna().to_numpy()
    if missing.any():
        raise InputError(
            f"{where} has {int(missing.sum()):,} value(s) of {key} missing, the first in row "
            f"{int(np.argmax(missing)) + 1:,}; fill them in or leave the rows out."
        )
    if name in ITEMS:
        for column in ITEM_TEXTS:
            if column in table:
                out[column] = _texts(table[column], column, where)
        if "price" in table:
            out["price"] = _prices(table["price"], where)
        _refuse_contradictions(out, where)
    return out.drop_duplicates(key, ignore_index=True)


def _texts(values: pd.Series, column: str, where: str) -> pd.Series:
    """Return each value as the import writes it (7.0 is "7"), (n,) object, None if missing."""
    values = values.astype(object) if values.dtype == bool else values
    if values.dtype == object:
        nested = values.map(lambda v: isinstance(v, list | dict | set | np.ndarray)).to_numpy()
        if nested.any():
            row = int(np.argmax(nested)) + 1
            raise InputError(
                f"{where} has a list or an object in {column}, row {row:,}; give one value per row."
            )
        values = values.map(_plain)
    found = coded(pa.chunked_array([pa.array(values, from_pandas=True)]), missing=("",))
    # The code -1 selects the last.
    texts = np.array([*found.values.to_pylist(), None], dtype=object)
    return pd.Series(texts[found.codes], dtype=object)


def _plain(value: Any) -> str | None:
    """Return a value as text, None if it is missing; a whole number has no ".0"."""
    if value is None or value is pd.NA or value != value:
        return None
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def _prices(values: pd.Series, where: str) -> np.ndarray:
    """Return prices, (n,) float64, NaN where missing. Raises InputError for other text."""
    number = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(dtype=np.float64)
    bad = values.notna().to_numpy() & ~((number >= 0) & np.isfinite(number))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{where} has {int(bad.sum()):,} price(s) that are not numbers of 0 or more, "
            f"the first is {values.iloc[row]!r} in row {row + 1:,}."
        )
    return number


def _refuse_contradictions(items: pd.DataFrame, where: str) -> None:
    """Raise InputError if an item occurs with two categories, brands or prices."""
    distinct = items.drop_duplicates()
    again = distinct[distinct["item_id"].duplicated(keep=False)]
    if again.empty:
        return
    first = again.loc[again["item_id"] == again["item_id"].iloc[0]].iloc[:2]
    column = next(c for c in items.columns[1:] if len(first[c].drop_duplicates()) > 1)
    one, two = first[column].tolist()
    raise InputError(
        f"{where} has {again['item_id'].nunique():,} item(s) twice with different facts, such as "
        f"{first['item_id'].iloc[0]!r} with {column} {one!r} and {two!r}; keep one row per item."
    )


def _no_column(key: str, table: pd.DataFrame, where: str) -> InputError:
    names = [str(c) for c in table.columns]
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(names[:10])}."
    return InputError(f"{where} has no column {key!r}; {hint}")


def _too_many(where: str) -> InputError:
    return InputError(f"{where} has more than {MOST_VALUES:,} values; no more are allowed.")
