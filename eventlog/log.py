"""EventLog: the events of one shop in memory, with its users, items, labels and truth.

A log lives in a folder (see `log_folder`). One that is too large for memory is read part by part
with `EventLog.parts` and written part by part with `LogWriter`.

Example::

    log = EventLog.read("mylog")
    train = log.before(log.time_at(0.8))
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from eventlog import order, selection
from eventlog._runtime.errors import InputError
from eventlog.columns import drop_unused_categories, misfits, tidy, to_ms
from eventlog.log_folder import (
    TABLES,
    LogWriter,
    part_bounds,
    part_paths,
    read_arrow,
    rows_of,
    to_arrow,
    to_frame,
    to_pandas,
    versions,
    write_parquet,
)
from eventlog.manifest import (
    DERIVED,
    GIVEN,
    SCHEMA_VERSION,
    digest,
    read_manifest,
    verify_checksums,
)
from eventlog.order import sort_events
from eventlog.out_of_core.parts import part_tables
from eventlog.schema import roles_of
from eventlog.tables import read_tables, read_truth

# What users import from here: the log, and the functions on its folder and its rows.
__all__ = [
    "DERIVED",
    "GIVEN",
    "ITEM_COLUMNS",
    "SCHEMA_VERSION",
    "TABLES",
    "EventLog",
    "LogWriter",
    "digest",
    "drop_unused_categories",
    "read_manifest",
    "require_log",
    "sort_events",
    "tidy",
    "to_arrow",
    "to_ms",
    "verify_checksums",
    "versions",
    "write_parquet",
]

ITEM_COLUMNS = ("item_id", "category", "brand", "price")  # event columns that items may define


@dataclass(repr=False)
class EventLog:
    """A log in memory.

    Ids and categoricals are pandas categories. The rows of a user form one run, ascending in time;
    see `grouped` for how this is guaranteed. The columns are those of `eventlog.schema` and any
    that the shop adds.
    """

    events: pd.DataFrame
    users: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    labels: pd.DataFrame | None = None
    truth: dict[str, pd.DataFrame] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.events, pd.DataFrame):
            kind = type(self.events).__name__
            raise InputError(
                f"EventLog takes a data frame of events, not {kind}; EventLog.read(FOLDER) and "
                "EventLog.from_pandas(FRAME) make a log."
            )

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {value}" for name, value in self._summary())
        return f"<EventLog: {parts}>"

    def _repr_html_(self) -> str:
        """Return a table for notebooks: what the log holds, and its first rows."""
        facts = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self._summary()
        )
        return f"<table>{facts}</table>{self.events.head(5).to_html(index=False, border=0)}"

    def _summary(self) -> list[tuple[str, str]]:
        """Return what a person wants to know first: (what, how many)."""
        found = [("events", f"{len(self.events):,}")]
        if "user_id" in self.events:
            found.append(("users", f"{self.events['user_id'].nunique():,}"))
        if "item_id" in self.events:
            found.append(("items", f"{self.events['item_id'].nunique():,}"))
        first, last = self.span if "timestamp" in self.events else (pd.NaT, pd.NaT)
        if not pd.isna(first):
            found.append(("span", f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"))
        names = [name for name in TABLES if getattr(self, name) is not None]
        names += [f"truth/{name}" for name in self.truth]
        return [*found, ("tables", ", ".join(names))] if names else found

    # --- reading and writing ----------------------------------------------------------------------

    @classmethod
    def read(
        cls,
        path: Path | str,
        *,
        truth: bool | Collection[str] = True,
        verify: bool = False,
        users: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> EventLog:
        """Read a log folder.

        Where the rows of a user are scattered, as in parts that share a user, they are sorted (see
        `ordered`).

        Args:
            path: the folder.
            truth: also read the truth tables of a simulated log: all, none, or those named.
            verify: compare each file's checksum with the one in the manifest.
            users: ids of the users to read; memory holds the rows of these alone. None: all.
            columns: of the events, user_id, timestamp and event among them; those that the log
                lacks are passed over. None: all.

        Raises:
            InputError: the folder is not a log, a file is missing or broken, a checksum differs,
                or rows that must be sorted lack a user, a time or an id of their own.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if verify:
            verify_checksums(path, manifest)
        chosen = None if users is None else frozenset(map(str, users))
        parts = [rows_of(read_arrow(p, columns), chosen) for p in part_paths(path)]
        try:
            events = to_pandas(pa.concat_tables(parts, promote_options="permissive"))
        except (pa.ArrowException, OverflowError, ValueError) as error:
            raise InputError(
                f"{path}/events has parts that do not fit together: {error}."
            ) from None
        _refuse_misfits(events, path / "events")
        tables: dict[str, Any] = read_tables(path)
        truths = read_truth(path, None if truth is True else truth or ())
        log = cls(events=events, truth=truths, manifest=manifest, **tables)
        if chosen is not None:
            log = selection.cut_tables(log, chosen)
        try:
            return log if order.stand_together(events) else log.ordered()
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def parts(cls, path: Path | str, *, columns: Sequence[str] | None = None) -> Iterator[EventLog]:
        """Yield the log part by part, without truth, so that memory holds one part at a time.

        Parts hold disjoint users, and each has the columns that any of them has. `columns` are as
        of `read`. Raises InputError at a part that repeats a user of an earlier one.
        """
        path = Path(path)
        manifest = read_manifest(path)
        seen: list[np.ndarray] = []  # per part, the hashes of its users
        for part, table in part_tables(path, columns):
            events = to_frame(table, part)
            del table  # of which the frame holds copies
            _refuse_misfits(events, part)
            log = cls(events=events, manifest=manifest).grouped()
            del events
            users = pd.util.hash_array(log.events["user_id"].astype(str).unique())
            shared = sum(int(np.isin(users, earlier).sum()) for earlier in seen)
            if shared:
                raise InputError(
                    f"{part} holds {shared:,} user(s) of an earlier part; import the log again, "
                    "which brings the rows of a user together."
                )
            seen.append(users)
            yield log
            del log  # before the next one is read

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame, **settings: Any) -> EventLog:
        """Return the log of a data frame of a shop, in any order and under common column names.

        The frame goes the way of a file: `python -m eventlog import` says what is recognised, and
        mistakes are named alike. The order of rows decides only between equal times; the index
        counts only where it has names that are not columns.

        Args:
            frame: the rows.
            settings: mapping (see `eventlog.ingest.mapping`), allow_rejects and currency, as of
                `eventlog.ingest.ingest.import_file`.

        Raises:
            InputError: a column is missing or ambiguous, or more than 1 % of the rows are not
                events. Of fewer a warning says how many were left out, and why.
        """
        return _frames().from_pandas(frame, **settings)  # type: ignore[no-any-return]

    @classmethod
    def from_polars(cls, frame: Any, **settings: Any) -> EventLog:
        """Return the log of a Polars data frame, eager or lazy; see `from_pandas`."""
        return _frames().from_polars(frame, **settings)  # type: ignore[no-any-return]

    @classmethod
    def from_arrow(cls, table: Any, **settings: Any) -> EventLog:
        """Return the log of an Arrow table, or of what gives one; see `from_pandas`."""
        return _frames().from_arrow(table, **settings)  # type: ignore[no-any-return]

    def write(self, path: Path | str, *, rows_per_part: int = 2_000_000) -> Path:
        """Write the log folder atomically and return its path.

        Where the rows of a user are scattered they are sorted first, which raises as `ordered`
        does.
        """
        log = self if order.stand_together(self.events) else self.ordered()
        with LogWriter(path) as writer:
            for start, stop in part_bounds(log.events, rows_per_part):
                writer.write_part(log.events.iloc[start:stop])
            writer.finish(
                users=log.users,
                items=log.items,
                labels=log.labels,
                truth=log.truth,
                manifest=log.manifest,
            )
        return Path(path)

    # --- the order of rows -----------------------------------------------------------------------

    def ordered(self) -> EventLog:
        """Return the log sorted by user and time, or itself if it is sorted already.

        The sort is stable: equal timestamps keep their order. The categories of user_id become the
        users that occur, ascending, so that code `u` is the u-th user; the index becomes 0..n-1.
        Event ids are kept, and truth/events follows its events. A log without event_id, labels and
        truth gets the ids 0..n-1.

        Raises:
            InputError: rows have no user_id or timestamp, event ids are missing or occur twice, or
                labels or truth refer to an event_id that the events lack.
        """
        return order.ordered(self)

    def grouped(self) -> EventLog:
        """Return the log itself if each user's rows are one run by time, otherwise `ordered()`.

        Concatenated parts of a log are grouped but not ordered: their users are disjoint, and the
        user ids of each part start again from the lowest. Code that only needs a user's rows in
        one run asks for this, so that rows and event ids stay as they are in the files. Raises
        InputError as `ordered` does.
        """
        return order.grouped(self)

    # --- questions --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.events)

    @property
    def roles(self) -> dict[str, str]:
        """The role of each event name that occurs."""
        return roles_of(pd.unique(self.events["event"].astype(str)), self.manifest.get("roles"))

    def role(self) -> np.ndarray:
        """Return the role of each event, (n_events,) object."""
        names = self.events["event"].astype("category").cat
        role = np.array(
            [roles_of([str(n)], self.manifest.get("roles"))[str(n)] for n in names.categories],
            dtype=object,
        )
        return np.append(role, "other")[names.codes.to_numpy()]  # code -1, no value: the last

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """The first and the last timestamp."""
        return self.events["timestamp"].min(), self.events["timestamp"].max()

    def time_at(self, share: float) -> pd.Timestamp:
        """Return the instant at which `share` (0..1) of the log's time span has passed."""
        first, last = self.span
        return (first + (last - first) * share).floor("ms")

    def provenance(self, name: str) -> str:
        """Return "given" if the values of `name` were known before any event, otherwise "derived".

        Privacy accounting depends on it: a given list reveals nothing about the users. `name` is
        "items", "users" or "event" (the list of event names), or a column of a given items table
        (`item_id`, `category`, `brand`, `price`). The answer comes from the manifest; a manifest
        that says nothing, as in logs of older versions, means derived.
        """
        found = self.manifest.get("provenance")
        in_items = self.items is not None and name in self.items and name in ITEM_COLUMNS
        table = "items" if in_items else name
        return GIVEN if isinstance(found, dict) and found.get(table) == GIVEN else DERIVED

    @property
    def event_names(self) -> list[str] | None:
        """All event names that may occur if that list was given, None if it is derived.

        These are the names that the maker of the log can write, not those that occur in it.
        """
        names = self.manifest.get("event_names")
        if self.provenance("event") != GIVEN or not isinstance(names, list):
            return None
        return [str(name) for name in names]

    # --- parts of it ------------------------------------------------------------------------------

    def before(self, time: pd.Timestamp) -> EventLog:
        """Return what was known at `time`: earlier events and labels known by then, no truth."""
        return selection.before(self, time)

    def only_users(self, users: Any) -> EventLog:
        """Return the part of the log that belongs to `users` (ids), without truth."""
        return selection.only_users(self, users)


def _refuse_misfits(events: pd.DataFrame, where: Path) -> None:
    for name, text in misfits(events):
        raise InputError(f"{where}: {name} {text}; import the log again.")


def _frames() -> Any:
    """Return the import, which is made of this module and so cannot be imported at its top."""
    return import_module("eventlog.ingest.frames")


def require_log(log: Any, what: str) -> None:
    """Raise InputError unless `log` is an EventLog; `what` asked for it, such as "fit"."""
    if not isinstance(log, EventLog):
        kind = f"{type(log).__module__}.{type(log).__name__}".removeprefix("builtins.")
        raise InputError(
            f"{what} takes an EventLog, not {kind}; make one with EventLog.from_pandas(frame) or "
            "EventLog.read(folder)."
        )
