"""EventLog: one shop's events with what belongs to them, and the log folder it is read from and
written to.

    mylog/
      manifest.json         how it was made, rows and sha256 per file, roles of foreign event names,
                            privacy statement, provenance (is a table given, or derived from
                            events?)
      events/part-*.parquet disjoint users; inside a part sorted by user_id, timestamp, input order
      users.parquet  items.parquet  labels.parquet        optional
      truth/*.parquet       simulated logs only; read by oracles and audits, never by a model

A log too large for memory is written part by part with `LogWriter` and read part by part with
`EventLog.parts`.

    log = EventLog.read("mylog")
    train = log.before(log.time_at(0.8))
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from eventlog import order
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import new_folder, read_json, sha256, write_json
from eventlog.schema import COLUMNS, TIME, roles_of

SCHEMA_VERSION = 1
TABLES = ("users", "items", "labels")
# of events, as a given items table lists them
ITEM_COLUMNS = ("item_id", "category", "brand", "price")
GIVEN, DERIVED = "given", "derived"


@dataclass
class EventLog:
    """A log in memory. Ids and categoricals are pandas categories; the rows of a user stand
    together, by time.
    """

    events: pd.DataFrame
    users: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    labels: pd.DataFrame | None = None
    truth: dict[str, pd.DataFrame] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)

    # --- reading and writing ----------------------------------------------------------------------

    @classmethod
    def read(cls, path: Path | str, *, truth: bool = True, verify: bool = False) -> EventLog:
        """Read a log folder. `verify` compares each file's checksum with the manifest's.

        Rows of a user that do not stand together, as in parts that share a user, are put in order
        (see `ordered`). Raises InputError where the folder is no log, a file is missing or broken,
        a checksum differs, or rows that must be put in order have no user, time or id of their own.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if verify:
            verify_checksums(path, manifest)
        events = pd.DataFrame(
            _to_pandas(
                pa.concat_tables(
                    [_read(p) for p in _part_paths(path)], promote_options="permissive"
                )
            )
        )
        tables = {
            name: _to_pandas(_read(path / f"{name}.parquet"))
            for name in TABLES
            if (path / f"{name}.parquet").exists()
        }
        truths = (
            {p.stem: _to_pandas(_read(p)) for p in sorted((path / "truth").glob("*.parquet"))}
            if truth
            else {}
        )
        log = cls(events=events, truth=truths, manifest=manifest, **tables)
        try:
            return log if order.stand_together(events) else log.ordered()
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def parts(cls, path: Path | str) -> Iterator[EventLog]:
        """Yield the log part by part (disjoint users), without truth: memory stays at one part.

        Raises InputError at a part that holds a user of an earlier one.
        """
        path = Path(path)
        manifest = read_manifest(path)
        seen: list[np.ndarray] = []  # per part, the hashes of its users
        for part in _part_paths(path):
            log = cls(events=_to_pandas(_read(part)), manifest=manifest).grouped()
            users = pd.util.hash_array(log.events["user_id"].astype(str).unique())
            shared = sum(int(np.isin(users, earlier).sum()) for earlier in seen)
            if shared:
                raise InputError(
                    f"{part} holds {shared:,} user(s) of an earlier part; import the "
                    "log again, which brings the rows of a user together."
                )
            seen.append(users)
            yield log

    def write(self, path: Path | str, *, rows_per_part: int = 2_000_000) -> Path:
        """Write the log folder, whole or not at all, and return its path.

        Rows of a user that do not stand together are put in order, with what `ordered` raises.
        """
        log = self if order.stand_together(self.events) else self.ordered()
        with LogWriter(path) as writer:
            for start, stop in _part_bounds(log.events, rows_per_part):
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
        """Return the log with rows by user and time, or itself where they stand so already.

        Rows are sorted by user_id and timestamp; equal timestamps keep their order. The categories
        of user_id become the users that occur, ascending, so that code `u` is the u-th user; the
        index becomes 0..n-1. Event ids are kept, and truth/events follows its events. A log without
        event_id, labels and truth is numbered 0..n-1.

        Raises:
            InputError: rows have no user_id or timestamp, event ids are missing or occur twice, or
                labels or truth refer to an event_id that the events lack.
        """
        return order.ordered(self)

    def grouped(self) -> EventLog:
        """Return the log itself where each user's rows stand together by time, else `ordered`.

        The parts of a log, put together, are grouped and not ordered: their users are disjoint, and
        each part begins anew. What only needs a user's rows in one run asks for no more, so that
        rows and event ids stay as they stand in the files. Raises InputError as `ordered` does.
        """
        return order.grouped(self)

    # --- questions --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.events)

    @property
    def roles(self) -> dict[str, str]:
        """Event name -> role, for each name that occurs."""
        return roles_of(pd.unique(self.events["event"].astype(str)), self.manifest.get("roles"))

    def role(self) -> np.ndarray:
        """(n_events,) object: the role of each event."""
        names = self.events["event"].astype("category").cat
        role = np.array(
            [roles_of([str(n)], self.manifest.get("roles"))[str(n)] for n in names.categories],
            dtype=object,
        )
        return role[names.codes.to_numpy()]

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """First and last timestamp."""
        return self.events["timestamp"].min(), self.events["timestamp"].max()

    def time_at(self, share: float) -> pd.Timestamp:
        """The instant at which `share` (0..1) of the log's span, in time, has passed."""
        first, last = self.span
        return (first + (last - first) * share).floor("ms")

    def provenance(self, name: str) -> str:
        """Return "given" if what `name` lists was known before any event was seen, else "derived".

        `name` is "items", "users" or "event" (the list of event names), or a column that a given
        items table lists (`item_id`, `category`, `brand`, `price`). The manifest says it; where it
        says nothing, as in logs of older versions, nothing is known to be given.
        """
        found = self.manifest.get("provenance")
        in_items = self.items is not None and name in self.items and name in ITEM_COLUMNS
        table = "items" if in_items else name
        return GIVEN if isinstance(found, dict) and found.get(table) == GIVEN else DERIVED

    @property
    def event_names(self) -> list[str] | None:
        """All event names that may occur, where that list was given; None where it is derived.

        These are the names that the maker of the log can write, not those that occur in it.
        """
        names = self.manifest.get("event_names")
        if self.provenance("event") != GIVEN or not isinstance(names, list):
            return None
        return [str(name) for name in names]

    # --- parts of it ------------------------------------------------------------------------------

    def before(self, time: pd.Timestamp) -> EventLog:
        """What was known at `time`: events before it, and labels known before it. Truth is left
        out.
        """
        labels = self.labels
        events = self.events[self.events["timestamp"] < time]
        if labels is not None:
            labels = labels[
                (labels["known_at"] < time) & labels["event_id"].isin(events["event_id"])
            ]
        return self._with(events, labels)

    def only_users(self, users: Any) -> EventLog:
        """The part of the log that belongs to `users` (a list or set of ids). Truth is left out."""
        events = self.events[self.events["user_id"].isin(users)]
        labels = (
            None
            if self.labels is None
            else self.labels[self.labels["event_id"].isin(events["event_id"])]
        )
        log = self._with(events, labels)
        if log.users is not None:
            log.users = log.users[log.users["user_id"].isin(users)].reset_index(drop=True)
        return log

    def _with(self, events: pd.DataFrame, labels: pd.DataFrame | None) -> EventLog:
        labels = None if labels is None else labels.reset_index(drop=True)
        return replace(
            self, events=_drop_unused(events.reset_index(drop=True)), labels=labels, truth={}
        )


class LogWriter:
    """Write a log folder part by part; it appears under its name only when `finish` was called.

        with LogWriter("mylog") as writer:
            for part in parts:
                writer.write_part(part)
            writer.finish(items=items, manifest={"made_by": ...})

    Parts may also be written into `writer.events_folder` by other processes, as
    `part-00000.parquet` etc.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._context = new_folder(self.path)
        self._parts = 0
        self._finished = False

    def __enter__(self) -> Self:
        self.folder = self._context.__enter__()
        self.events_folder = self.folder / "events"
        self.events_folder.mkdir()
        return self

    def write_part(self, events: pd.DataFrame | pa.Table) -> None:
        """Write one part: all rows of its users, sorted by user_id, timestamp, input order."""
        write_parquet(self.events_folder / f"part-{self._parts:05d}.parquet", events)
        self._parts += 1

    def finish(
        self,
        *,
        users: pd.DataFrame | None = None,
        items: pd.DataFrame | None = None,
        labels: pd.DataFrame | None = None,
        truth: Mapping[str, pd.DataFrame | pa.Table] | None = None,
        extra: Mapping[str, pd.DataFrame | pa.Table] | None = None,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the other tables (`extra`: further ones by name, such as rejects) and the manifest,
        with rows and sha256 of every file.
        """
        for name, table in (
            ("users", users),
            ("items", items),
            ("labels", labels),
            *(extra or {}).items(),
        ):
            if table is not None:
                write_parquet(self.folder / f"{name}.parquet", table)
        for name, truth_table in (truth or {}).items():
            write_parquet(self.folder / "truth" / f"{name}.parquet", truth_table)
        made = {
            k: v
            for k, v in (manifest or {}).items()
            if k not in ("files", "schema_version", "versions")
        }
        write_json(
            self.folder / "manifest.json",
            {
                **made,
                "schema_version": SCHEMA_VERSION,
                "versions": versions(),
                "files": {
                    p.relative_to(self.folder).as_posix(): {
                        "rows": pq.read_metadata(p).num_rows,
                        "sha256": sha256(p),
                    }
                    for p in sorted(self.folder.rglob("*.parquet"))
                },
            },
        )
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: Any
    ) -> None:
        if kind is None and not self._finished:
            kind, error = RuntimeError, RuntimeError("LogWriter.finish was not called")
            self._context.__exit__(kind, error, None)
            raise error
        self._context.__exit__(kind, error, trace)


# --- the folder -----------------------------------------------------------------------------------


def read_manifest(path: Path | str) -> dict[str, Any]:
    """The manifest of a log folder; InputError where there is none or it is of another schema
    version.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist; give a log folder (see 'python -m eventlog import --help')."
        )
    if not path.is_dir() or not (path / "manifest.json").exists():
        raise InputError(
            f"{path} is not a log folder (no manifest.json); make one with 'python -m eventlog "
            f"import {path} --out LOG'."
        )
    manifest: dict[str, Any] = read_json(path / "manifest.json")
    parts: list[tuple[str, Any]] = [("", manifest)]
    if isinstance(manifest, dict):
        parts += [(f"{name!r} in ", manifest.get(name)) for name in ("roles", "provenance")]
    for name, part in parts:
        if part is not None and not isinstance(part, dict):
            raise InputError(
                f"{name}{path}/manifest.json is {str(part)[:40]!r}; it must be an object with "
                "names and values."
            )
    if manifest.get("schema_version") != SCHEMA_VERSION:
        version = manifest.get("schema_version")
        raise InputError(
            f"{path}/manifest.json has schema version {version!r}, this program reads "
            f"{SCHEMA_VERSION}; import the log again."
        )
    return manifest


def verify_checksums(path: Path | str, manifest: Mapping[str, Any]) -> None:
    """Raise InputError at the first file whose bytes are not those that the manifest names."""
    for name, entry in manifest.get("files", {}).items():
        file = Path(path) / name
        if not file.exists():
            raise InputError(
                f"{file} is named in the manifest and missing; the log folder is incomplete."
            )
        if sha256(file) != entry["sha256"]:
            raise InputError(
                f"{file} was changed after it was written (its checksum differs from the "
                "manifest's)."
            )


def digest(path: Path | str) -> str:
    """A short content key of a log folder: the same data gives the same key, wherever and whenever
    it was written.
    """
    files = read_manifest(path)["files"]
    return hashlib.sha256(
        "".join(f"{n}:{files[n]['sha256']};" for n in sorted(files)).encode()
    ).hexdigest()[:16]


def to_ms(time: pd.Timestamp) -> int:
    """An instant as ms since 1970 UTC, the unit of `Sequences.time` and `Queries.time`."""
    return int(time.value // 1_000_000)  # Timestamp.value is in ns, whatever the unit


def versions() -> dict[str, str]:
    """Versions that a result depends on: Python and the packages at hand."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "pandas", "pyarrow", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_parquet(path: Path, table: pd.DataFrame | pa.Table) -> None:
    """One Parquet file with the schema's types: strings dictionary-coded, times in ms UTC, no
    pandas metadata.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    table = to_arrow(table)
    # Rising numbers are stored as differences: smaller, and no dictionary is built only to be
    # thrown away.
    rising = [
        n
        for n in ("event_id", "timestamp")
        if n in table.column_names
        and pa.types.is_primitive(table.schema.field(n).type)
        and not pa.types.is_floating(table.schema.field(n).type)
    ]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=1,
        store_schema=False,
        use_dictionary=[n for n in table.column_names if n not in rising],
        column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED") or None,
    )


def to_arrow(table: pd.DataFrame | pa.Table) -> pa.Table:
    """An arrow table with plain string columns for categories and objects, and timestamps in ms
    UTC.
    """
    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
            column = column.cast(pa.string())
        elif pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("ms", tz="UTC"))
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def tidy(events: pd.DataFrame) -> pd.DataFrame:
    """Give each known column its type (ids and categoricals as category, times as ms UTC); unknown
    strings become categories.
    """
    out = {}
    for name, values in events.items():
        column = COLUMNS.get(str(name))
        kind = column.kind if column else None
        if kind == "time" or (column is None and isinstance(values.dtype, pd.DatetimeTZDtype)):
            out[name] = values.astype(TIME)
        elif kind in ("id", "categorical") or (
            kind is None and (values.dtype == object or isinstance(values.dtype, pd.StringDtype))
        ):
            if not isinstance(values.dtype, pd.CategoricalDtype):
                values = values.astype("string").astype(object).astype("category")
            out[name] = values
        elif kind == "numeric":
            out[name] = values.astype("float32")
        elif name == "quantity" and not values.isna().any():
            out[name] = values.astype("int32")
        else:
            out[name] = values
    return pd.DataFrame(out, index=events.index)


def sort_events(events: pd.DataFrame) -> pd.DataFrame:
    """Rows by user_id, timestamp, input order: a stable sort, so that equal timestamps keep their
    order.
    """
    user = (
        events["user_id"].astype(str).to_numpy()
        if not isinstance(events["user_id"].dtype, pd.CategoricalDtype)
        else None
    )
    if user is None:
        categories = events["user_id"].cat.categories.astype(str)
        rank = np.empty(len(categories), dtype=np.int64)
        rank[np.argsort(categories.to_numpy(dtype=object), kind="stable")] = np.arange(
            len(categories)
        )
        key = rank[events["user_id"].cat.codes.to_numpy()]
    else:
        key = np.unique(user, return_inverse=True)[1]
    time = events["timestamp"].astype(TIME).astype("int64").to_numpy()
    return events.iloc[np.lexsort((time, key))].reset_index(drop=True)  # lexsort is stable


def _part_paths(path: Path) -> list[Path]:
    parts = sorted((path / "events").glob("part-*.parquet"))
    if not parts:
        raise InputError(f"{path}/events holds no part-*.parquet; the log folder is incomplete.")
    return parts


def _read(path: Path) -> pa.Table:
    try:
        schema = pq.read_schema(path)
        strings = [
            f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
        ]
        return pq.read_table(path, read_dictionary=strings)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} is not a readable Parquet file: {str(error).rstrip('.')}."
        ) from None


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    return table.unify_dictionaries().to_pandas()


def _part_bounds(events: pd.DataFrame, rows_per_part: int) -> Iterator[tuple[int, int]]:
    """Row ranges of about `rows_per_part` rows that never cut through a user; a new one begins
    where user_id falls.

    (The shards of a simulated log, put together in memory, are each sorted by user and not all
    together.)
    """
    codes = events["user_id"].astype("category").cat.codes.to_numpy()
    first = (
        np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
        if len(codes)
        else np.zeros(0, dtype=np.int64)
    )
    ids = events["user_id"].iloc[first].astype(str).to_numpy(dtype=object)
    falls = {int(row) for row in first[1:][ids[1:] < ids[:-1]]}
    start = 0
    for stop in [*first[1:].tolist(), len(codes)]:
        if stop in falls or stop == len(codes) or stop - start >= rows_per_part:
            yield start, stop
            start = stop


def _drop_unused(events: pd.DataFrame) -> pd.DataFrame:
    """Forget the category levels that no row has any more (a later level must not leak through the
    vocabulary).
    """
    return events.assign(
        **{
            str(name): values.cat.remove_unused_categories()
            for name, values in events.items()
            if isinstance(values.dtype, pd.CategoricalDtype)
        }
    )
