"""Structure that a person declares or confirms: a TOML file, or the metadata of SDV.

`shoptwin structure LOG --out structure.toml` writes what was found; edited, `fit --structure FILE`
reads it. A declared relation replaces what would be found for its column::

    free = ["rank"]          # columns that are learnt as they are
    find = true              # look for more
    public = true            # nothing here comes from the users' rows

    [[relation]]
    kind = "formula"
    column = "total"
    product = ["price", "quantity"]

A file that was found in a log says `public = false`: it holds values of the log, and a fit under a
privacy budget refuses it until a person says otherwise.

Of SDV's metadata.json it is read which numbers are names (sdtype "categorical" or "id").
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from eventlog import EventLog
from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import read_json, read_toml
from eventlog._runtime.settings import Settings, convert
from generators.structure.relations.breaches import Breach
from generators.structure.relations.forms import Name
from generators.structure.structure import AnyRelation, Structure
from generators.structure.tables import is_number

NAMES = ("categorical", "id")  # sdtypes of SDV


class Declared(Settings, frozen=True):
    """What a file says about the structure of a log."""

    relation: list[AnyRelation] = msgspec.field(default_factory=list)
    free: list[str] = msgspec.field(default_factory=list)  # columns that are learnt as they are
    find: bool = True  # look for more?
    public: bool = True  # does nothing in it come from the users' rows?


def read_declared(path: Path | str, log: EventLog) -> Declared:
    """Read structure.toml, or SDV's metadata.json, for `log`.

    Raises InputError where it is not valid, and UnknownNameError for a column that `log` lacks.
    """
    if Path(path).suffix == ".json":
        return _of_sdv(read_json(Path(path)), path, log)
    declared = convert(Declared, read_toml(path, "structure"), where=f"structure {path}")
    made = {n for r in declared.relation for n in (r.column, *r.uses_up())}
    for relation in declared.relation:
        columns = () if isinstance(relation, Breach) else (relation.column, *relation.needs())
        for name in columns:
            if name not in log.events and name not in made:
                raise UnknownNameError("column", name, map(str, log.events.columns))
    for name in declared.free:
        if name not in log.events:
            raise UnknownNameError("column", name, map(str, log.events.columns))
    return declared


def _of_sdv(data: Any, path: Path | str, log: EventLog) -> Declared:
    tables = data.get("tables", {"events": data}) if isinstance(data, dict) else {}
    events = tables.get("events") if isinstance(tables, dict) else None
    columns = events.get("columns") if isinstance(events, dict) else None
    if not isinstance(columns, dict):
        raise InputError(
            f"{path} is no metadata of SDV: there is no tables.events.columns; write it with "
            "'eventlog export LOG --format sdv'."
        )
    kinds = {n: said.get("sdtype") for n, said in columns.items() if isinstance(said, dict)}
    return Declared(
        relation=[
            Name(column=name)
            for name, kind in kinds.items()
            if kind in NAMES
            and name in log.events
            and name != "event_id"
            and is_number(log.events[name])
        ]
    )


def as_toml(structure: Structure) -> str:
    """Return the text of a file that declares `structure`, with a sentence before each relation."""
    parts = [
        "# What is determined in the log. Edit it, then: fit LOG --structure FILE",
        "find = true",
        "free = []",
        "# It holds values of the log, and a budget refuses it: say true if you knew them before.",
        "public = false",
    ]
    for relation in structure.relations:
        data = msgspec.to_builtins(relation)
        parts += ["", f"# {relation.sentence()}", "[[relation]]"]
        parts += [f"{key} = {_toml(value)}" for key, value in data.items() if value is not None]
    return "\n".join(parts) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = (f"{_quoted(k)} = {_toml(v)}" for k, v in value.items() if v is not None)
        return "{ " + ", ".join(inner) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
