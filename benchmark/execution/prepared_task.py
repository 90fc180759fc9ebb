"""Write a prepared task to a disk and map it again: what a data cell leaves for its models' cells.

A task is encoded once per log and source. Every model cell maps the arrays from the disk, so that
cells share the pages and none encodes again. What a model learns from and what only the judge may
see lie in folders of their own:

=========  =========================================================================================
learn      the encoder, and the training and validation part
answers    the test part with its answers, and the answers that arrive during the test
=========  =========================================================================================
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.execution.judging.blocks import renumbered
from benchmark.task import TaskData
from eventlog._runtime.files import read_json, write_json
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

LEARN, ANSWERS = "learn", "answers"  # folders of a prepared task
SMALL = 4096  # bytes of a file that is read rather than mapped


def save_task(folder: Path, data: TaskData) -> None:
    """Write `data` into an existing folder as .npy files and JSON.

    Nothing is pickled, so loading runs no code.
    """
    learn, answers = folder / LEARN, folder / ANSWERS
    learn.mkdir()
    answers.mkdir()
    write_json(learn / "encoder.json", data.encoder.to_json())
    _save_sequences(learn / "sequences", renumbered(data.train.sequences))
    _save_examples(learn, {"train": data.train, "valid": data.valid})
    _save_sequences(answers / "sequences", data.test.sequences)
    _save_examples(answers, {"test": data.test, "arriving": data.arriving})
    if data.effect is not None:
        np.save(answers / "test_effect.npy", data.effect)
    write_json(answers / "task.json", {"catalogue": data.catalogue})


def load_task(folder: Path) -> TaskData:
    """Return what `save_task` wrote, mapped from the disk and read-only.

    Pages are read when they are touched.
    """
    encoder, train, valid = load_learn(folder / LEARN)
    answers = folder / ANSWERS
    sequences = _load_sequences(answers / "sequences")
    test = _load_examples(answers, "test", sequences)
    assert test is not None
    return TaskData(
        encoder=encoder,
        train=train,
        valid=valid,
        test=test,
        catalogue=read_json(answers / "task.json")["catalogue"],
        effect=_load_optional(answers / "test_effect.npy"),
        arriving=_load_examples(answers, "arriving", sequences),
    )


def load_learn(folder: Path) -> tuple[Encoder, Examples, Examples | None]:
    """Return the encoder, the training and the validation part from the folder LEARN, read-only."""
    sequences = _load_sequences(folder / "sequences")
    train = _load_examples(folder, "train", sequences)
    assert train is not None
    encoder = Encoder.from_json(read_json(folder / "encoder.json"))
    return encoder, train, _load_examples(folder, "valid", sequences)


def _save_examples(folder: Path, parts: dict[str, Examples | None]) -> None:
    for name, examples in parts.items():
        if examples is None:
            continue
        for field in ("user", "end", "time"):
            np.save(folder / f"{name}_{field}.npy", getattr(examples.queries, field))
        for field in ("target", "treatment", "known_at"):
            if (values := getattr(examples, field)) is not None:
                np.save(folder / f"{name}_{field}.npy", values)


def _load_examples(folder: Path, name: str, sequences: Sequences) -> Examples | None:
    if not (folder / f"{name}_target.npy").exists():
        return None
    user, end, time = (_load(folder / f"{name}_{field}.npy") for field in ("user", "end", "time"))
    treatment, known_at = (
        _load_optional(folder / f"{name}_{field}.npy") for field in ("treatment", "known_at")
    )
    target = _load(folder / f"{name}_target.npy")
    return Examples(sequences, Queries(user, end, time), target, treatment, known_at)


def _save_sequences(folder: Path, sequences: Sequences) -> None:
    folder.mkdir()
    code, roles = pd.factorize(sequences.role, sort=True)
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
    write_json(folder / "sequences.json", {**named, "roles": list(roles)})


def _load_sequences(folder: Path) -> Sequences:
    facts = read_json(folder / "sequences.json")
    arrays = {name: _load(folder / f"{name}.npy") for name in ("offsets", "time", "event_id")}
    groups = {
        group: {name: _load(folder / f"{group}_{i}.npy") for i, name in enumerate(facts[group])}
        for group in ("columns", "raw", "ids")
    }
    roles = np.array([*facts["roles"]], dtype=object)
    return Sequences(
        users=_read_only(np.load(folder / "users.npy").astype(object)),
        role=_read_only(roles[np.load(folder / "role.npy")]),
        **arrays,  # type: ignore[arg-type]
        **groups,  # type: ignore[arg-type]
    )


def _load(path: Path) -> np.ndarray:
    large = path.stat().st_size > SMALL
    values: np.ndarray = np.load(path, mmap_mode="r") if large else np.load(path)
    return _read_only(values.view(np.ndarray))


def _read_only(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values


def _load_optional(path: Path) -> np.ndarray | None:
    return _load(path) if path.exists() else None
