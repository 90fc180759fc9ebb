"""The store of results: one JSON record a line, appended under a lock and synced to the disk.

The first good record of a key counts. A record that was cut short (the process died while writing
it) is a line that is not JSON: it is skipped, and the next record starts on a line of its own. Two
runs may share a folder.

Example::

    store = Store("results")
    store.append({"key": "...", "kind": "model", "status": "ok", ...})
    store.finished("...")      # the record, or None
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.execution import artifact_store
from benchmark.execution.record_shape import problem, unlike_others
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import new_file, parse_json

DONE = frozenset({"ok", "left out"})  # error and timeout are tried again


class Store:
    """A folder of results: `results.jsonl`, and in `artifacts/<key>/` what later cells need.

    `shared`: a URL that holds the artefacts instead. `records` holds all records in the order in
    which they were written. Raises InputError where `folder` is a file.
    """

    def __init__(self, folder: Path | str, *, shared: str | None = None) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "results.jsonl"
        self.artifacts = self.folder / "artifacts"
        self.shared = shared
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(
                f"{self.folder} is a file, but results are to be kept there in a folder; choose "
                "another --out."
            )
        self.records: list[dict[str, Any]] = []
        self._strange: list[Any] = []  # records without kind, key or status
        self._by_key: dict[str, dict[str, Any]] = {}
        self._read_to = 0
        self.refresh()

    def refresh(self) -> None:
        """Read what any process has appended since the last look."""
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            file.seek(self._read_to)
            text = file.read()
        whole = text.rfind(b"\n") + 1  # what follows is being written, or was cut short
        self._read_to += whole
        for line in text[:whole].splitlines():
            try:
                record = parse_json(line)
            except (ValueError, RecursionError):
                continue  # cut short by a run that was killed
            if _has_a_place(record):
                self._take(record)
            else:
                self._strange.append(record)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one record; it is on the disk when this returns."""
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        line = _line(record)
        # The lock is a file of its own, which is never read: filelock empties what it locks.
        with FileLock(self.folder / "results.lock"), open(self.path, "ab+") as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.refresh()

    def finished(self, key: str) -> dict[str, Any] | None:
        """Return the record that settles a cell, or None."""
        record = self._by_key.get(key)
        return record if record is not None and record["status"] in DONE else None

    def latest(self, key: str) -> dict[str, Any] | None:
        """Return the record that settles a cell, otherwise its last failure, or None."""
        return self._by_key.get(key)

    def location(self, key: str) -> str:
        """Return the path or URL of a cell's artefact."""
        return artifact_store.join(self.shared or self.artifacts, key)

    def plan(self) -> dict[str, Any]:
        """Return the plan of the last run.

        Raises InputError where nothing was run, or where a record has another shape than those
        that a run writes.
        """
        for record in (*self._strange, *self.records):
            self._refuse(problem(record))
        self._refuse(unlike_others(self.records))
        for record in reversed(self.records):
            if record["kind"] == "plan":
                return record
        raise InputError(
            f"{self.folder} holds no results; make some with 'python -m benchmark run --out "
            f"{self.folder}'."
        )

    def _refuse(self, wrong: str | None) -> None:
        if wrong is not None:
            raise InputError(
                f"{self.path} has a record that {wrong}, which no run has written; remove that "
                "line, or choose another folder."
            )

    def _take(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        if "key" in record and self.finished(record["key"]) is None:
            self._by_key[record["key"]] = record


def _has_a_place(record: Any) -> bool:
    """Return whether the kind, and of a cell the key and the status, are texts."""
    return isinstance(record, dict) and all(
        isinstance(record[name], str) if name in record else name != "kind"
        for name in ("kind", "key", "status")
    )


def merge(folders: Sequence[Path | str], out: Path | str) -> Store:
    """Make one results folder of several, such as those of machines that ran a part of a plan each.

    Of a cell that several ran, the first good record counts. The plan is that of all together.
    Artefacts stay where they are: a later run makes again what it needs. Raises InputError where a
    folder holds no results or `out` holds some.
    """
    stores = [Store(folder) for folder in folders]
    plans = [store.plan() for store in stores]
    merged = Store(out)
    if merged.records:
        raise InputError(f"{out} holds results already; choose another --out.")
    cells = {cell["key"]: cell for plan in plans for cell in plan["cells"]}
    records = [r for store in stores for r in store.records if r["kind"] != "plan"]
    joined = {
        name: " + ".join(dict.fromkeys(str(plan[name]) for plan in plans))
        for name in ("suite", "profile", "command")
    }
    records.append({"kind": "plan", "cells": list(cells.values()), **joined})
    with new_file(merged.path) as temporary:
        temporary.write_bytes(b"".join(_line(record) for record in records))
    merged.refresh()
    return merged


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def pack(values: np.ndarray) -> str:
    """Return (n,) numbers as base64 of little-endian float32, so that a record stays one line."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def unpack(text: str) -> np.ndarray:
    """Return the (n,) numbers that `pack` wrote, as float64."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)
