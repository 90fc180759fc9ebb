"""Write a prepared task to a disk and map it again: what a data cell leaves for its models' cells.

A task is encoded once per log and source. Every model cell maps the arrays from the disk, so that
cells share the pages and none encodes again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.task import TaskData
from eventlog._runtime.files import read_json, write_json
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

SMALL = 4096  # bytes of a file that is read rather than mapped


def save_task(folder: Path, data: TaskData) -> None:
    """Write `data` into an existing folder as .npy files and JSON.

    Nothing is pickled, so loading runs no code.
    """
    write_json(folder / "encoder.json", data.encoder.to_json())
    _save_sequences(folder / "train", data.train.sequences)
    _save_sequences(folder / "test", data.test.sequences)
    parts = {f: getattr(data, f) for f in ("train", "valid", "test", "arriving")}
    for name, examples in parts.items():
        if examples is not None:
            _save_examples(folder, name, examples)
    if data.effect is not None:
        np.save(folder / "test_effect.npy", data.effect)
    facts = {f"has_{name}": examples is not None for name, examples in parts.items()}
    write_json(folder / "task.json", {"catalogue": data.catalogue, **facts})


def load_task(folder: Path) -> TaskData:
    """Return what `save_task` wrote, mapped copy-on-write.

    Pages are read when they are touched, and a write stays private to the process.
    """
    facts = read_json(folder / "task.json")
    train, test = _load_sequences(folder / "train"), _load_sequences(folder / "test")
    return TaskData(
        encoder=Encoder.from_json(read_json(folder / "encoder.json")),
        train=_load_examples(folder, "train", train),
        valid=_load_examples(folder, "valid", train) if facts["has_valid"] else None,
        test=_load_examples(folder, "test", test),
        catalogue=facts["catalogue"],
        effect=_load_optional(folder / "test_effect.npy"),
        arriving=_load_examples(folder, "arriving", test) if facts["has_arriving"] else None,
    )


def _save_examples(folder: Path, name: str, examples: Examples) -> None:
    for field in ("user", "end", "time"):
        np.save(folder / f"{name}_{field}.npy", getattr(examples.queries, field))
    np.save(folder / f"{name}_target.npy", examples.target)
    for field in ("treatment", "known_at"):
        if (values := getattr(examples, field)) is not None:
            np.save(folder / f"{name}_{field}.npy", values)


def _load_examples(folder: Path, name: str, sequences: Sequences) -> Examples:
    user, end, time = (_load(folder / f"{name}_{field}.npy") for field in ("user", "end", "time"))
    treatment, known_at = (
        _load_optional(folder / f"{name}_{field}.npy") for field in ("treatment", "known_at")
    )
    return Examples(
        sequences,
        Queries(user, end, time),
        _load(folder / f"{name}_target.npy"),
        treatment,
        known_at,
    )


def _save_sequences(folder: Path, sequences: Sequences) -> None:
    folder.mkdir()
    roles, code = np.unique(sequences.role.astype(str), return_inverse=True)
    arrays = {
        "offsets": sequences.offsets,
        "time": sequences.time,
        "event_id": sequences.event_id,
        "role": code.astype(np.uint8),
        "users": sequences.users.astype(str),
    }
    # A team's own column may have any name: files are numbered, and the JSON holds the names.
    named = {group: list(getattr(sequences, group)) for group in ("columns", "raw", "ids")}
    for group, columns in named.items():
        arrays |= {
            f"{group}_{i}": getattr(sequences, group)[name] for i, name in enumerate(columns)
        }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    write_json(folder / "sequences.json", {**named, "roles": roles.tolist()})


def _load_sequences(folder: Path) -> Sequences:
    facts = read_json(folder / "sequences.json")
    arrays = {name: _load(folder / f"{name}.npy") for name in ("offsets", "time", "event_id")}
    groups = {
        group: {name: _load(folder / f"{group}_{i}.npy") for i, name in enumerate(facts[group])}
        for group in ("columns", "raw", "ids")
    }
    roles = np.array([*facts["roles"]], dtype=object)
    return Sequences(
        users=np.load(folder / "users.npy").astype(object),
        role=roles[np.load(folder / "role.npy")],
        **arrays,  # type: ignore[arg-type]
        **groups,  # type: ignore[arg-type]
    )


def _load(path: Path) -> np.ndarray:
    large = path.stat().st_size > SMALL
    values: np.ndarray = np.load(path, mmap_mode="c") if large else np.load(path)
    return values.view(np.ndarray)


def _load_optional(path: Path) -> np.ndarray | None:
    return _load(path) if path.exists() else None
