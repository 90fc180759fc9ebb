"""What a record of a results folder looks like; others are refused where they are read.

Only fields that reports rely on are described. A record may hold more, and older ones hold fewer:
a field that is missing or null is as if it was never measured, unless its kind of cell needs it.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any

STATUSES = ("ok", "left out", "error", "timeout")


def problem(record: Any) -> str | None:
    """Return what is wrong with a record, a part of a sentence, or None."""
    if not isinstance(record, dict):
        return "is not an object"
    if not isinstance(record.get("kind"), str):
        return "has no kind"
    if record["kind"] == "plan":
        found = _wrong(record, PLAN)
        for cell in record["cells"] if found is None else []:
            wrong = _cell(cell) or _wrong(cell, {"needs": (_texts, True)})
            found = found or (wrong and f"has a cell that {wrong}")
        return found or _without_data(record["cells"])
    found = _cell(record) or _wrong(record, RECORD)
    if found is None and record["status"] == "ok":
        needed = {**FINISHED, **NEEDED.get(record["kind"], {})}
        found = _wrong(record, needed) or _wrong(record, MEASURED)
    elif found is None:
        found = _wrong(record, {"error": (_text, True)})
    return found


def unlike_others(records: list[dict[str, Any]]) -> str | None:
    """Return what is wrong with a record beside others: replicates of one table are as many."""
    sizes: dict[str, int] = {}
    for record in records:
        if record.get("status") != "ok" or not record["needs"]:
            continue
        for text in (record.get("replicates") or {}).values():
            if sizes.setdefault(record["needs"][0], len(text)) != len(text):
                return "has more or fewer replicates than others of its table"
    return None


def _without_data(cells: list[dict[str, Any]]) -> str | None:
    """Return what is wrong with a plan in which a model's task on a log has no data."""
    tasks: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}  # is data -> (log, task)
    for cell in cells:
        if cell["kind"] in ("data", "model", "reference") and cell["label"]["source"] == "real":
            tasks[cell["kind"] == "data"].add((cell["label"]["log"], cell["label"]["task"]))
    lost = sorted(tasks[False] - tasks[True])
    return f"has a model of {lost[0][1]!r} on {lost[0][0]!r}, but no data of it" if lost else None


def _cell(cell: Any) -> str | None:
    if not isinstance(cell, dict):
        return "is not an object"
    found = _wrong(cell, CELL)
    if found is None:
        label = cell["label"]
        wanted = LABELS.get(cell["kind"], ())
        missing = next((name for name in wanted if not isinstance(label.get(name), str)), None)
        found = None if missing is None else f"has no {missing} in its label"
        if cell["kind"] in ("model", "closed_loop") and not isinstance(label.get("seed"), int):
            found = "has no seed in its label"
    return found


def _wrong(record: Mapping[str, Any], fields: Fields) -> str | None:
    for name, (fits, required) in fields.items():
        value = record.get(name)
        if value is None and not required:
            continue
        if not fits(value):
            return f"has {name} {repr(value)[:40]}"
    return None


# --- what a value may be --------------------------------------------------------------------------


def _text(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:  # half of a pair
        return False


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _list(value: Any) -> bool:
    return isinstance(value, list)


def _label(value: Any) -> bool:
    plain = (str, int, float, bool, type(None))
    return isinstance(value, dict) and all(
        _text(v) if isinstance(v, str) else isinstance(v, plain) for v in value.values()
    )


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(v is None or _number(v) for v in value.values())


def _packed(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_unpackable, value.values()))


def _unpackable(text: Any) -> bool:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        return len(data) > 0 and len(data) % 4 == 0
    except (binascii.Error, ValueError):
        return False


def _score(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _numbers(value.get("metrics"))
        and _packed(value.get("replicates") or {})
    )


def _environment(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and {"python", "machine", "cores", "commit", "dirty"} <= set(value)
        and isinstance(value.get("versions"), dict)
        and (value.get("speed") is None or _numbers(value["speed"]))
    )


def _of(*allowed: str) -> Callable[[Any], bool]:
    return lambda value: value in allowed if isinstance(value, str) else False


Fields = Mapping[str, tuple[Callable[[Any], bool], bool]]  # name -> (what fits, required)

PLAN: Fields = {
    "cells": (_list, True),
    "suite": (_text, True),
    "profile": (_text, True),
    "command": (_text, True),
}
CELL: Fields = {
    "key": (_text, True),
    "kind": (_text, True),
    "label": (_label, True),
    "needs": (_texts, False),
}
RECORD: Fields = {
    "status": (_of(*STATUSES), True),
    "environment": (_environment, True),
    "error": (_text, False),
    "code": (_text, False),
}
LABELS = {
    "log": ("log",),
    "data": ("log", "task", "source"),
    "model": ("log", "task", "source", "model"),
    "reference": ("log", "task", "source", "model"),
    "closed_loop": ("log", "task", "source", "model"),
}
SCORED: Fields = {"metrics": (_numbers, True), "chance": (_number, True), "code": (_text, True)}
FINISHED: Fields = {"needs": (_texts, True), "spec": (_object, True), "code": (_text, True)}
NEEDED: Mapping[str, Fields] = {
    "log": {
        **dict.fromkeys(("events", "users", "items", "purchases"), (_number, True)),
        **dict.fromkeys(("first", "last", "cut", "digest"), (_text, True)),
    },
    "data": {
        **dict.fromkeys(("headline", "trivial", "questions"), (_text, True)),
        "shown": (_texts, True),
        **dict.fromkeys(("train", "test", "test_users"), (_number, True)),
    },
    "model": SCORED,
    "reference": SCORED,
    "closed_loop": SCORED,
}
MEASURED: Fields = {
    **dict.fromkeys(("headline", "trivial", "family", "digest", "questions"), (_text, False)),
    **dict.fromkeys(("first", "last", "cut"), (_text, False)),
    **dict.fromkeys(("seeded", "truth"), (_flag, False)),
    **dict.fromkeys(
        ("chance", "base_rate", "train", "test", "test_users", "events", "users", "items",
         "purchases", "fit_cpu_s", "score_cpu_s", "sample_cpu_s", "parameters", "epsilon"),
        (_number, False),
    ),
    **dict.fromkeys(("shown", "flags"), (_texts, False)),
    "metrics": (_numbers, False),
    "replicates": (_packed, False),
    "shuffled": (_score, False),
    "curve": (_object, False),
    "spec": (_object, False),
}  # fmt: skip
