"""Sequences whose arrays are in files, for a log that memory does not hold.

encoded/
  arrays.json           names, types and the users' rows; written last
  time.bin event_id.bin role.bin column-0.bin ...      one array each, as in memory
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather

from eventlog._runtime.errors import InputError
from eventlog._runtime.files import new_folder, write_json
from eventlog.arrays import Sequences
from eventlog.schema import ROLE_NAMES

GROUPS = ("columns", "raw", "ids")
ROLES = tuple(sorted(ROLE_NAMES))
FLAT = ("time", "event_id", "role")


def write_mapped(parts: Iterable[Sequences], out: Path | str) -> Sequences:
    """Write the sequences of disjoint users, one after another, and return all of them, mapped.

    The folder gets its name when all are written. Raises InputError if `out` exists.
    """
    out = Path(out)
    with new_folder(out, overwrite=False) as folder:
        writer = _Writer(folder)
        for part in parts:
            writer.add(part)
        writer.finish()
    return read_mapped(out)


def read_mapped(folder: Path | str) -> Sequences:
    """Return the sequences that `write_mapped` wrote; their arrays are read as they are used."""
    folder = Path(folder)
    if not (folder / "arrays.json").is_file():
        raise InputError(
            f"{folder} holds no encoded log; Encoder.encode(LOG, out=FOLDER) makes one."
        )
    facts = json.loads((folder / "arrays.json").read_text())

    def array(name: str) -> np.ndarray:
        kind = np.dtype(facts["types"][name])
        path = folder / f"{name}.bin"
        empty = path.stat().st_size == 0  # which cannot be mapped
        return np.zeros(0, kind) if empty else np.memmap(path, dtype=kind, mode="r")

    groups = {group: {name: array(file) for name, file in facts[group].items()} for group in GROUPS}
    users = feather.read_table(folder / "users.arrow")["user"]
    return Sequences(
        offsets=np.asarray(array("offsets")),
        users=users.to_numpy(zero_copy_only=False).astype(object),
        time=array("time"),
        event_id=array("event_id"),
        role=pd.Categorical.from_codes(array("role"), categories=ROLES),
        **groups,
    )


class _Writer:
    """Appends arrays to files; which there are follows from the first part."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, IO[bytes]] = {}
        self.types: dict[str, str] = {}
        self.groups: dict[str, dict[str, str]] = {group: {} for group in GROUPS}
        self.rows = 0
        self.users: list[pa.Array] = []
        self.offsets: list[np.ndarray] = [np.zeros(1, dtype=np.int64)]

    def add(self, part: Sequences) -> None:
        """Append the sequences of further users."""
        role = pd.Categorical(part.role, categories=ROLES).codes
        for name, values in (("time", part.time), ("event_id", part.event_id), ("role", role)):
            self._append(name, values)
        for group in GROUPS:
            for i, (name, values) in enumerate(getattr(part, group).items()):
                self._append(self.groups[group].setdefault(name, f"{group}-{i}"), values)
        self.users.append(pa.array(part.users, pa.large_string()))
        self.offsets.append(self.rows + part.offsets[1:])
        self.rows += part.n_rows

    def _append(self, name: str, values: np.ndarray) -> None:
        if name not in self.files:
            self.files[name] = open(self.folder / f"{name}.bin", "wb")  # noqa: SIM115 - see finish
            self.types[name] = values.dtype.str
        np.ascontiguousarray(values).tofile(self.files[name])

    def finish(self) -> None:
        """Write what describes the arrays."""
        self._append("offsets", np.concatenate(self.offsets))
        for file in self.files.values():
            file.close()
        table = pa.table({"user": pa.chunked_array(self.users, pa.large_string())})
        feather.write_feather(table, self.folder / "users.arrow", compression="lz4")
        facts: dict[str, Any] = {**self.groups, "types": self.types}
        write_json(self.folder / "arrays.json", facts)
