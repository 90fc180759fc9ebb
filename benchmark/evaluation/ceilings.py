"""Ceilings: what a task allows an observer who knows the history, the slate shown, or the truth.

Three rungs, the lowest first:

history
    A strong model that learnt from many more users of the same simulated shop than the suite's
    models do. What it lacks to the next rung, no model of the log can know.
slate
    Next items only: the same with the page that was on the screen, as a shop logs it.
clairvoyant
    The simulator's own state; what it knows differs by task, and no observer can.

The first two are learnt once and stored in `benchmark/ceilings/`, because they cost minutes:
`python -m benchmark ceilings --suite all` makes them anew. A stored rung belongs to exact test
questions with their answers. Where they are others (another seed, other settings, a changed
simulator), it is absent, and the reason is said.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.task import NotApplicable, Task, TaskData
from eventlog._runtime import plugins
from eventlog._runtime.files import read_json, write_json

HISTORY, SLATE, CLAIRVOYANT = "ceiling:history", "ceiling:slate", "ceiling:clairvoyant"
CEILINGS = (HISTORY, SLATE, CLAIRVOYANT)  # the lowest first
STORED = (HISTORY, SLATE)


@dataclass(frozen=True)
class StoredCeiling:
    """A rung on one task of one log: what a results record says of a model, and how it was made."""

    rung: str
    task: str
    questions: str  # identity of the test questions and their answers
    log: str  # in words
    metrics: dict[str, float | None]
    replicates: dict[str, str]  # packed as results do
    chance: float
    provenance: str  # a sentence
    made: dict[str, Any]  # users, model, seed, cpu_s, commit, date


def rungs(kind: str) -> tuple[str, ...]:
    """Return the rungs of a kind of question, the lowest first."""
    return (HISTORY, SLATE, CLAIRVOYANT) if kind == "next_item" else (HISTORY, CLAIRVOYANT)


def identity(task: Task, data: TaskData) -> str:
    """Return a hash of the test questions and answers, whatever the models learn from."""
    test = data.test
    queries, sequences = test.queries, test.sequences
    parts = [queries.time, *(() if test.treatment is None else (test.treatment,))]
    if task.kind == "next_item":
        parts.append(sequences.event_id[queries.end])  # codes of items depend on the encoder
    else:
        parts.append(test.target)
    digest = hashlib.sha256("\n".join(sequences.users[queries.user].astype(str)).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:20]


def path_of(log_name: str) -> Path:
    """Return where the ceilings of a scenario, or of a log of that name, are stored."""
    return plugins.folder("benchmark") / "ceilings" / f"{log_name}.json"


def read(path: Path) -> list[StoredCeiling]:
    """Return what is stored in a file; nothing where there is none."""
    return [StoredCeiling(**entry) for entry in read_json(path)] if path.exists() else []


def store(path: Path, found: list[StoredCeiling]) -> None:
    """Add ceilings to a file; they replace those of the same rung, task and questions."""

    def key(entry: StoredCeiling) -> tuple[str, str, str]:
        return entry.task, entry.rung, entry.questions

    entries = {key(entry): entry for entry in (*read(path), *found)}
    path.parent.mkdir(exist_ok=True)
    write_json(path, [asdict(entries[k]) for k in sorted(entries)])


def stored(path: Path, *, task: str, rung: str, questions: str) -> StoredCeiling:
    """Return the rung of these questions; raise NotApplicable, with the reason, without one."""
    entries = [e for e in read(path) if (e.task, e.rung) == (task, rung)]
    for entry in entries:
        if entry.questions == questions:
            return entry
    logs = "; ".join(dict.fromkeys(e.log for e in entries))
    others = f", only for those of {logs}" if logs else ""
    raise NotApplicable(
        f"no ceiling is stored for these questions of {task}{others}; 'python -m benchmark "
        "ceilings' with this suite makes one"
    )
