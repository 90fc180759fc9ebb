"""Tables of users and items that come beside the events: items.csv, users.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.own_columns import OwnColumns
from eventlog.ingest.columns.values import coded, plain_name, without_decimals
from eventlog.ingest.detection.aliases import ALIASES
from eventlog.ingest.mapping import MISSING_IDS, FileFormat, Mapping
from eventlog.ingest.reading.batches import read_batches
from eventlog.ingest.reading.sources import find_files
from eventlog.ingest.spool import Spool

KNOWN = ("category", "brand", "price", "country", "device")  # attributes that get the schema's name


def read_table(source: Path | str, key: str, mapping: Mapping, scratch: Path) -> pd.DataFrame:
    """Return a table with a row for each user or item, typed by its values.

    Args:
        source: the file, or several as `find_files` takes them.
        key: "user_id" or "item_id".
        mapping: its name of the key counts before common ones.
        scratch: a folder for temporary files.

    Raises:
        InputError: it has no column with the ids, or two rows for one id.
    """
    folder = scratch / key
    folder.mkdir()
    layout = FileFormat(encoding=mapping.file.encoding, missing=mapping.file.missing)
    rows = Spool(folder, layout, set())
    for file in find_files([source], folder):
        for batch in read_batches(file, layout, set()):
            rows.add(batch)
    name = _key_column(rows, key, mapping, str(source))
    own, parts = OwnColumns(), []
    for batch in rows.consume():
        parts.append(_coded(batch.table, name, own))
    table = pd.concat([p.astype(object) for p in parts], ignore_index=True)
    _refuse_twice(table, name, str(source))
    typed = {c: own.typed_series(str(c), table[c]) for c in table if c != name}
    names = {c: plain_name(c) if plain_name(c) in KNOWN else str(c) for c in typed}
    ids = table[name].astype("string").astype(object)
    return pd.DataFrame({key: ids, **{names[c]: typed[c] for c in typed if names[c] != key}})


def joined(given: pd.DataFrame | None, derived: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return both tables as one, sorted by id; where both have a column the given one counts."""
    if given is None or derived is None:
        return derived if given is None else given.sort_values(given.columns[0], ignore_index=True)
    key = str(given.columns[0])
    new = derived[[key, *(c for c in derived if c not in given)]]
    return given.merge(new, on=key, how="outer").sort_values(key, ignore_index=True)


def _key_column(rows: Spool, key: str, mapping: Mapping, source: str) -> str:
    plain = {plain_name(name): name for name in sorted(rows.kinds, reverse=True)}
    wanted = [n for n in mapping.columns.get(key, ()) if n in rows.kinds]
    wanted += [plain[a] for a in (*ALIASES[key], "id") if a in plain]
    if not wanted:
        raise InputError(
            f"{source} has no column that could be {key} (such as {ALIASES[key][0]!r}); its "
            f"columns are {', '.join(rows.kinds)}."
        )
    return wanted[0]


def _coded(table: pa.Table, key: str, own: OwnColumns) -> pd.DataFrame:
    out = {}
    for name in table.column_names:
        column = coded(table[name]).stripped()
        if name == key:
            column = without_decimals(column.without(MISSING_IDS))
        else:
            own.see_text(name, column)
        out[name] = column.arrow().to_pandas()
    frame = pd.DataFrame(out)
    return frame[frame[key].notna()]


def _refuse_twice(table: pd.DataFrame, key: str, source: str) -> None:
    twice = table.drop_duplicates()[key].duplicated()
    if twice.any():
        first = table.drop_duplicates()[key][twice].iloc[0]
        raise InputError(
            f"{source} has two different rows for {first!r} ({key}), and {int(twice.sum()):,} such "
            "rows in all; give one row for each."
        )
