"""Check a log against the schema; each finding names file, column and row.

`python -m eventlog check` prints the findings and exits with 2 if any of them is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eventlog.checking.findings import Finding, Findings, lines
from eventlog.checking.meaning import check_meaning
from eventlog.checking.oddities import Timeline
from eventlog.columns import misfits
from eventlog.log import EventLog, require_log
from eventlog.log_folder import TABLES, part_paths, read_frame
from eventlog.manifest import differences, read_manifest, unlisted
from eventlog.order import refuse_odd_columns, repeated_ids
from eventlog.schema import COLUMNS, REQUIRED
from eventlog.tables import faults

__all__ = ["Finding", "check", "lines"]

EARLIEST, LATEST = pd.Timestamp("1990-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")


def check(log: EventLog | Path | str) -> list[Finding]:
    """Return everything wrong with a log in memory or in a folder.

    A folder is read part by part, so that memory holds one part at a time. Raises InputError only
    if there is no log to look at.
    """
    if isinstance(log, EventLog):
        refuse_odd_columns(log.events)
        state = _State(dict(log.manifest.get("roles") or {}), labels=log.labels)
        state.part("events", log.events)
        tables = {name: table for name in TABLES if (table := getattr(log, name)) is not None}
        state.repeated([log.events])
        return [*state.findings, *state.closing(tables)]
    if not isinstance(log, Path | str):
        require_log(log, "check")
    path = Path(log)
    manifest = read_manifest(path)
    findings: list[Finding] = []
    findings += [
        Finding("error", "manifest.json", "", None, text) for text in differences(path, manifest)
    ]
    findings += [_unlisted(name) for name in unlisted(path, manifest)]
    tables = {}
    for name in TABLES:
        if (path / f"{name}.parquet").exists():
            tables[name] = read_frame(path / f"{name}.parquet")
    state = _State(dict(manifest.get("roles") or {}), labels=tables.get("labels"))
    for part in part_paths(path):
        state.part(f"events/{part.name}", read_frame(part))
    if state.ids_decrease:  # read again: keeping all ids in every case would take too much memory
        state.repeated(read_frame(part) for part in part_paths(path))
    return [*findings, *state.findings, *state.closing(tables)]


def _blank(values: pd.Series) -> np.ndarray:
    """Return where a text is empty or blank, (n,) bool."""
    column = values.astype("category").cat
    blank = np.array([not str(v).strip() for v in column.categories] + [False], dtype=bool)
    return blank[column.codes.to_numpy()]  # code -1, no value: the last


def _unlisted(name: str) -> Finding:
    """Return the finding for a file that the manifest does not list; one that is read is wrong."""
    read = name.endswith(".parquet") and (
        name.startswith(("events/", "truth/")) or name.removesuffix(".parquet") in TABLES
    )
    text = "is not listed in manifest.json" + (", though it is read as part of the log" * read)
    return Finding("error" if read else "warning", name, "", None, text)


@dataclass
class _State(Findings):
    """What is carried from part to part, and the findings so far."""

    roles: dict[str, str]
    labels: pd.DataFrame | None = None
    last_id: int = -1
    ids_decrease: bool = False  # then some may occur twice
    unread: bool = False  # a part lacks required columns and was not checked further
    users: list[np.ndarray] = field(default_factory=list)  # hashes, sorted, per part
    # (event_id, timestamp) of labelled events
    labelled: list[pd.DataFrame] = field(default_factory=list)
    categories: list[pd.DataFrame] = field(default_factory=list)  # distinct (item_id, category)
    timeline: Timeline = field(default_factory=Timeline)

    def part(self, file: str, events: pd.DataFrame) -> None:
        """Check one part of the events."""
        missing = [name for name in REQUIRED if name not in events]
        self.required(file, events, missing)
        self._types(file, events)
        if missing or any(
            f.file == file and f.text.startswith("has type") and f.column in REQUIRED
            for f in self.findings
        ):
            self.unread = True
            return
        if len(events) == 0:
            self.findings.append(Finding("error", file, "", None, "there are no events"))
            return
        for name in REQUIRED:
            self.add("error", file, name, events[name].isna().to_numpy(), "has no value")
            blank = events[name].dtype == object or isinstance(
                events[name].dtype, pd.CategoricalDtype
            )
            if blank:
                self.add("error", file, name, _blank(events[name]), "is blank")
        self._order(file, events)
        self.timeline.add(events)
        time = events["timestamp"]
        self.add(
            "error",
            file,
            "timestamp",
            ((time < EARLIEST) | (time >= LATEST)).to_numpy(),
            "is before 1990 or after 2100",
        )
        for name, column in COLUMNS.items():
            if (
                column.nonnegative
                and name in events
                and pd.api.types.is_numeric_dtype(events[name])
            ):
                self.add(
                    "error",
                    file,
                    name,
                    (events[name] < 0).to_numpy(dtype=bool, na_value=False),
                    "is negative",
                )
        check_meaning(self, file, events, self.roles)
        if self.labels is not None and "event_id" in self.labels:
            self.labelled.append(
                events.loc[
                    events["event_id"].isin(self.labels["event_id"]), ["event_id", "timestamp"]
                ]
            )
        if {"item_id", "category"} <= set(events):
            self.categories.append(
                events[["item_id", "category"]].dropna().drop_duplicates().astype(str)
            )

    def _types(self, file: str, events: pd.DataFrame) -> None:
        self.findings += [
            Finding("error", file, name, None, text) for name, text in misfits(events)
        ]

    def _order(self, file: str, events: pd.DataFrame) -> None:
        ids = events["event_id"].to_numpy()
        if pd.api.types.is_integer_dtype(ids.dtype):
            decrease = np.diff(ids, prepend=self.last_id) <= 0
            self.add(
                "error",
                file,
                "event_id",
                decrease,
                "is not greater than the one before; ids must ascend in file order",
            )
            self.last_id = int(ids.max())
            self.ids_decrease |= bool(decrease.any())
        user = events["user_id"].astype("category")
        names = user.cat.categories.astype(str).to_numpy(dtype=object)
        rank = np.argsort(np.argsort(names, kind="stable"), kind="stable")
        key = np.append(rank, -1)[user.cat.codes.to_numpy()]
        time = events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
        same = np.append(False, key[1:] == key[:-1])
        self.add(
            "error",
            file,
            "user_id",
            np.append(False, np.diff(key) < 0),
            "sorts before the user above; a part must be sorted by user_id",
        )
        self.add(
            "error",
            file,
            "timestamp",
            same & np.append(False, np.diff(time) < 0),
            "is earlier than the same user's row above; a user's rows must be sorted by time",
        )
        here = np.unique(
            pd.util.hash_array(names[np.unique(user.cat.codes.to_numpy()[user.notna().to_numpy()])])
        )
        for before in self.users:
            if len(np.intersect1d(here, before, assume_unique=True)):
                self.findings.append(
                    Finding(
                        "error",
                        file,
                        "user_id",
                        None,
                        "holds a user of an earlier part; parts must hold disjoint users",
                    )
                )
                break
        self.users.append(here)

    def repeated(self, parts: Iterable[pd.DataFrame]) -> None:
        """Add one finding for event ids that occur more than once in all parts together."""
        found = [part["event_id"] for part in parts if "event_id" in part]
        ids = [i.to_numpy() for i in found if pd.api.types.is_integer_dtype(i.dtype)]
        n, first = repeated_ids(np.concatenate(ids)) if self.ids_decrease and ids else (0, [])
        if n:
            text = f"{n:,} rows have the id of an earlier row, such as {', '.join(map(str, first))}"
            self.findings.append(Finding("error", "events", "event_id", None, text))

    def closing(self, tables: dict[str, Any]) -> list[Finding]:
        """Check what needs all parts, the other tables, and return the new findings."""
        start = len(self.findings)
        broken = [name for name, table in tables.items() if self._faults(name, table)]
        self.findings += [
            Finding("warning", "events", column, None, text)
            for column, text in self.timeline.warnings()
        ]
        if "items" in tables and "items" not in broken:
            self._items(tables["items"])
        if "labels" in tables and "labels" not in broken:
            self._labels(tables["labels"])
        return self.findings[start:]

    def _faults(self, name: str, table: pd.DataFrame) -> bool:
        """Add what is wrong with a table, and return whether the rest of it cannot be checked."""
        whole = False
        for column, rows, text in faults(table, name):
            if rows is None:
                self.findings.append(Finding("error", f"{name}.parquet", column, None, text))
                whole = True
            else:
                self.add("error", f"{name}.parquet", column, rows, text)
        return whole

    def _items(self, items: pd.DataFrame) -> None:
        if "category" not in items or not self.categories:
            return
        seen = pd.concat(self.categories).drop_duplicates(ignore_index=True)
        known = (
            items[["item_id", "category"]]
            .astype(str)
            .drop_duplicates("item_id")
            .set_index("item_id")["category"]
        )
        listed = seen["item_id"].map(known)
        # NaN: the table lacks the item, so there is nothing to differ from
        differs = (listed.notna() & (listed != seen["category"])).to_numpy()
        if differs.any():
            first = seen[differs].iloc[0]
            self.findings.append(
                Finding(
                    "warning",
                    "items.parquet",
                    "category",
                    None,
                    f"{int(differs.sum()):,} item(s) have another category in events, such as "
                    f"{first['item_id']!r} in {first['category']!r}",
                )
            )

    def _labels(self, labels: pd.DataFrame) -> None:
        file = "labels.parquet"
        if self.unread or not self.labelled:
            return
        events = pd.concat(self.labelled).drop_duplicates("event_id")
        time = labels["event_id"].map(events.set_index("event_id")["timestamp"])
        self.add("error", file, "event_id", time.isna().to_numpy(), "refers to no event of the log")
        self.add(
            "error",
            file,
            "known_at",
            (labels["known_at"] < time).to_numpy(dtype=bool),
            "is earlier than the labelled event",
        )
        self.add(
            "error",
            file,
            "event_id",
            labels.duplicated(["event_id", "kind"]).to_numpy(),
            "has two labels of the same kind",
        )
