"""RecBole's atomic files: .inter, .user and .item in a folder that is named like the data set.

They are tab-separated, with a header `name:type` where type is token or float, and timestamps in
seconds. See https://recbole.io/docs/user_guide/data/atomic_files.html.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog
from eventlog.schema import COLUMNS

FOLDER = True
# First columns of an .inter file: what RecBole needs.
INTER_COLUMNS = ("user_id", "item_id", "rating", "timestamp")


def write(log: EventLog, folder: Path, name: str) -> None:
    """Write the files of the data set `name`. Raises InputError if the log has no items."""
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
