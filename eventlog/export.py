"""Export a log for other tools: CSV, JSON lines, one Parquet file, or RecBole's atomic files.

RecBole's files (.inter, .user, .item) are tab-separated, with a header `name:type` where type is
token or float, and timestamps in seconds; the path is then a folder named like the data set. See
https://recbole.io/docs/user_guide/data/atomic_files.html.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import (
    check_file_replaceable,
    check_replaceable,
    new_file,
    new_folder,
    sha256,
    write_json,
)
from eventlog.log import EventLog, to_arrow, versions, write_parquet
from eventlog.schema import COLUMNS

# First columns of an .inter file: what RecBole needs.
INTER_COLUMNS = ("user_id", "item_id", "rating", "timestamp")
CHUNK_ROWS = 100_000  # rows of JSON lines written at once


def export(log: EventLog, path: Path | str, *, format: str) -> Path:
    """Write `log` to `path` atomically, and return the path.

    Args:
        log: the log. All formats hold the events; recbole also holds users and items.
        path: a file, for recbole a folder; text is compressed if the name ends in .gz.
        format: csv, jsonl, parquet or recbole.

    Raises:
        InputError: `path` is a folder or, for recbole, a file.
        UnknownNameError: there is no such format.
    """
    path = Path(path)
    writers: dict[str, Callable[[EventLog, Path], None]] = {
        "csv": _csv,
        "jsonl": _jsonl,
        "parquet": _parquet,
        "recbole": _recbole,
    }
    if format not in writers:
        raise UnknownNameError("export format", format, writers)
    check(path, format, overwrite=True)
    if format == "recbole":
        with new_folder(path) as folder:
            _recbole_files(log, folder, path.name)
        return path
    with new_file(path) as temporary:
        writers[format](log, temporary)
    return path


def check(path: Path, format: str, *, overwrite: bool) -> None:
    """Raise InputError unless an export in `format` can be written at `path`."""
    if format == "recbole":
        check_replaceable(path, overwrite=overwrite)
    else:
        check_file_replaceable(path, overwrite=overwrite)


def _csv(log: EventLog, path: Path) -> None:
    # Text is quoted only where needed; times are ISO 8601 with Z, which the import reads back.
    with pa.output_stream(path, compression="gzip" if path.suffix == ".gz" else None) as stream:
        pacsv.write_csv(_times_as_text(to_arrow(log.events)), stream)


def _times_as_text(table: pa.Table) -> pa.Table:
    columns = [
        pc.strftime(c, format="%Y-%m-%dT%H:%M:%SZ") if pa.types.is_timestamp(c.type) else c
        for c in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def _jsonl(log: EventLog, path: Path) -> None:
    table = _times_as_text(to_arrow(log.events))
    # The shortest text of a float32 (1.04) rather than its digits as a double (1.0399999619).
    table = pa.table(
        [
            c.cast(pa.string()).cast(pa.float64()) if c.type == pa.float32() else c
            for c in table.columns
        ],
        table.column_names,
    )
    with gzip.GzipFile(path, "wb", mtime=0) if path.suffix == ".gz" else open(path, "wb") as stream:
        for start in range(0, table.num_rows, CHUNK_ROWS):
            chunk = table.slice(start, CHUNK_ROWS).to_pandas(types_mapper=pd.ArrowDtype)
            numbers = chunk.select_dtypes("number").abs()
            tiny = bool(
                ((numbers > 0) & (numbers < 1e-3)).to_numpy(dtype=bool, na_value=False).any()
            )
            if tiny:  # pandas writes a fixed number of decimals, too few for them
                rows = table.slice(start, CHUNK_ROWS).to_pylist()
                lines = (
                    json.dumps(
                        {k: None if v != v else v for k, v in row.items()}, ensure_ascii=False
                    )
                    for row in rows
                )
                text = "".join(f"{line}\n" for line in lines)
            else:
                text = chunk.to_json(orient="records", lines=True, force_ascii=False)
            stream.write(text.encode())


def _parquet(log: EventLog, path: Path) -> None:
    write_parquet(path, log.events)


def _recbole(log: EventLog, path: Path) -> None:
    raise InputError(f"{path} must be a folder for recbole.")


def _recbole_files(log: EventLog, folder: Path, name: str) -> None:
    if "item_id" not in log.events:
        raise InputError(
            "The log has no item_id, which RecBole's .inter file needs; choose another --format."
        )
    events = log.events[log.events["item_id"].notna()]
    seconds = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64") / 1000.0
    order = [c for c in INTER_COLUMNS if c in events] + [
        c for c in events if c not in INTER_COLUMNS and c != "event_id"
    ]
    _atomic(events.assign(timestamp=seconds)[order], folder / f"{name}.inter")
    for table, key, suffix in ((log.users, "user_id", "user"), (log.items, "item_id", "item")):
        if table is not None:
            _atomic(table[[key, *(c for c in table if c != key)]], folder / f"{name}.{suffix}")
    _manifest(folder, "recbole")


def _manifest(folder: Path, format: str) -> None:
    """Write what makes a folder recognisable as ours."""
    files = {
        p.relative_to(folder).as_posix(): {"sha256": sha256(p)}
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    write_json(
        folder / "manifest.json",
        {"made_by": "export", "format": format, "versions": versions(), "files": files},
    )


def _atomic(frame: pd.DataFrame, path: Path) -> None:
    """Write one atomic file; it has no quoting, so tabs and line ends in values become blanks."""
    columns, names = [], []
    for column, values in frame.items():
        known = COLUMNS.get(str(column))
        number = pd.api.types.is_numeric_dtype(values) and not (
            known and known.kind in ("id", "categorical")
        )
        names.append(f"{column}:{'float' if number else 'token'}")
        columns.append(
            np.where(
                values.isna(), "", values.astype(str).str.replace(r"[\t\r\n]", " ", regex=True)
            )
        )
    lines = pd.Series(columns[0], dtype=object)
    for values in columns[1:]:
        lines = lines + "\t" + values
    text = "\t".join(names) + "\n" + "".join((lines + "\n").tolist())
    path.write_text(text, encoding="utf-8", newline="\n")
