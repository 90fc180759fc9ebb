"""The model's end of a model's cell: a process that holds what may be learnt from, and no answers.

It is forked before the judge reads any data, maps a private copy of the folder `learn`, locks
itself in (`benchmark.execution.judging.sandbox`), and only then imports the model. Requests come as
pickles from the judge, whom it trusts; replies go out as JSON and raw bytes, because the judge
trusts nothing that comes from here.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from multiprocessing import current_process, heap
from multiprocessing.connection import Connection
from os import times  # the clocks by name, so that a model cannot replace them
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from baselines.base import LearningCurve, Model
from benchmark.execution import descendants
from benchmark.execution.judging import namespaces, sandbox
from benchmark.execution.judging.blocks import of_users
from benchmark.execution.judging.channel import PLAIN, Shared, receive_request, send_reply
from benchmark.execution.prepared_task import LEARN, load_learn
from benchmark.execution.seeding import seed_everything
from benchmark.task import NotApplicable
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, ShopError
from eventlog.arrays import Examples, Queries, Sequences

SCRATCH = "scratch"  # the folder beside LEARN that a model may write
FAMILIES = ("simple", "sequence", "hybrid")
MOST_FILES = 1_048_576
SAMPLE_BUDGET_S = 0.2  # of a model that is fitted on a sample of users within a budget
READ_ONLY = (
    "it writes into an array that it was given: these are read-only, since the judge and other "
    "models read them too; change a copy instead (values = values.copy())"
)


@dataclass(frozen=True)
class ModelSpec:
    """A model that is to be fitted and asked: plain data."""

    name: str  # of the model, or the path of its file
    settings: dict[str, Any]
    seed: int
    kind: str  # of questions
    task: str  # the task's name
    label: str  # the model's name in words, for messages
    hidden: tuple[str, ...] = ()  # folders and files that it may not read


def serve(
    pipe: Connection, shared: Shared | None, spec: ModelSpec, folder: str, parent: int
) -> None:
    """Answer requests until the judge ends the conversation: the main function of the process."""
    _detach(pipe, parent)
    server = _Server(spec, Path(folder), own_network=namespaces.separate())
    while True:
        try:
            request, *arguments = receive_request(pipe, shared)
        except EOFError:
            return
        try:
            facts, values = getattr(server, f"do_{request}")(*arguments)
        except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything, or exit
            facts, values = {"error": _described(error)}, None
        try:
            send_reply(pipe, {**facts, "flags": server.flags()}, values, shared)
        except (BrokenPipeError, ConnectionResetError):
            return  # the judge has stopped waiting


def _detach(pipe: Connection, parent: int) -> None:
    """Leave the judge's process group, close its files, and end when it ends."""
    descendants.end_with_parent(parent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "setsid"):
        os.setsid()
        _close_files(keep=pipe.fileno())
    sys.dont_write_bytecode = True
    # torch says so of every array that it may not change; a write raises or crashes all the same.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def _close_files(*, keep: int) -> None:
    """Close every file but the standard ones and `keep`; forget helpers that were reached by one.

    The pipe to the runner is among them: a record is written by the judge alone.
    """
    from multiprocessing import forkserver, resource_tracker

    os.closerange(3, keep)
    os.closerange(keep + 1, min(os.sysconf("SC_OPEN_MAX"), MOST_FILES))
    resource_tracker._resource_tracker._fd = None  # type: ignore[attr-defined]
    forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]
    forkserver._forkserver._forkserver_address = None  # type: ignore[attr-defined]


class _Server:
    """One model: each `do_...` answers one kind of request with facts and, for `score`, scores."""

    def __init__(self, spec: ModelSpec, folder: Path, *, own_network: bool) -> None:
        self.spec, self.folder, self.own_network = spec, folder, own_network
        self.guard: sandbox.Guard | None = None

    def flags(self) -> list[str]:
        """Return what the model tried and may not."""
        return [] if self.guard is None else self.guard.flags

    def do_load(self) -> tuple[dict[str, Any], None]:
        """Map the data, lock the process in, and import the model."""
        self.encoder, self.train, self.valid = load_learn(self.folder / LEARN)
        # What is mapped stays; the names go, so that nothing leads to the shared files.
        shutil.rmtree(self.folder / LEARN, ignore_errors=True)  # Windows keeps what is mapped
        self._lock_in()
        self.model_class = _load_class(self.spec)
        return {
            "family": self.model_class.family,
            "reads_others": bool(self.model_class.reads_others),
            "observes": self.model_class.observe is not Model.observe,
            "seeded": bool(self.model_class.seeded),
        }, None

    def _lock_in(self) -> None:
        scratch = str(self.folder / SCRATCH)
        os.environ.update(
            {"TMPDIR": scratch, "NUMBA_CACHE_DIR": scratch, "JOBLIB_TEMP_FOLDER": scratch}
        )
        tempfile.tempdir = scratch
        # What multiprocessing shares goes there, too, instead of into shared memory.
        current_process()._config["tempdir"] = scratch  # type: ignore[attr-defined]
        heap.Arena._dir_candidates = []  # type: ignore[attr-defined]
        if "numba" in sys.modules:
            sys.modules["numba"].config.CACHE_DIR = scratch
        # Other models' folders lie beside this one.
        hidden = (*self.spec.hidden, str(self.folder.parent))
        self.guard = sandbox.enter(
            hidden, _needed(self.spec), scratch, own_network=self.own_network
        )

    def do_fit(self, users: int | None) -> tuple[dict[str, Any], None]:
        """Fit a new model, on a sample of `users` where that is given."""
        train, valid, settings = self.train, self.valid, self.spec.settings
        if users is not None:
            train, valid = _sample(train, valid, users)
            if self.model_class.budgeted:
                settings = {**settings, "budget": SAMPLE_BUDGET_S}
        seed_everything(self.spec.seed)
        self.model = self.model_class.from_settings(settings, where=f"model {self.spec.label}")
        wall, cpu = perf_counter(), cpu_seconds()
        self.model.fit(train, valid, encoder=self.encoder, seed=self.spec.seed)
        wall, cpu = perf_counter() - wall, cpu_seconds() - cpu
        return {
            "fit_s": round(wall, 3),
            "fit_cpu_s": round(cpu, 3),
            "parameters": _whole(self.model.n_parameters()),
            "curve": _plain_curve(self.model.learning_curve()),
        }, None

    def do_observe(self, known: Examples | None) -> tuple[dict[str, Any], None]:
        """Hand answers to the model; None: those of the validation part."""
        known = self.valid if known is None else _read_only(known)
        if known is not None:
            self.model.observe(known)
        return {}, None

    def do_score(self, sequences: Sequences, queries: Queries) -> tuple[dict[str, Any], np.ndarray]:
        """Ask the model."""
        sequences, queries = _read_only(sequences), _read_only(queries)
        wall, cpu = perf_counter(), cpu_seconds()
        given = self.model.score(sequences, queries)
        wall, cpu = perf_counter() - wall, cpu_seconds() - cpu
        scores = np.asarray(given)
        if scores.dtype.kind not in PLAIN:
            what = "None" if given is None else f"an array of {scores.dtype}"
            raise TypeError(f"score returns {what}, expected numbers")
        if scores.size > len(queries) * self.encoder.n_items:
            raise ValueError(
                f"score returns an array of shape {scores.shape}, too large for {len(queries)} "
                "questions"
            )
        return {"wall": wall, "cpu": cpu}, scores


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its workers that have ended."""
    return process_time() + sum(times()[2:4])


def _load_class(spec: ModelSpec) -> type[Model]:
    """Import the model. Raises NotApplicable where it does not answer the task's questions."""
    found = plugins.load("baselines.models", spec.name, Model, kind="model")  # type: ignore
    if not getattr(found, "kinds", None) or isinstance(found.kinds, str):
        raise InputError(
            f"{spec.name}: the model {found.__name__} does not say which questions it answers; "
            'add kinds = frozenset({"next_item"}) to the class (or "binary", "uplift").'
        )
    if found.family not in FAMILIES:
        raise InputError(
            f"{spec.name}: the family of the model {found.__name__} is {found.family!r}, but it "
            f"must be one of {', '.join(FAMILIES)}."
        )
    if spec.kind not in found.kinds or (found.tasks is not None and spec.task not in found.tasks):
        raise NotApplicable(f"{spec.label} does not answer {spec.kind} questions of {spec.task}")
    return found


def _needed(spec: ModelSpec) -> list[str]:
    """Return the folders and files without which no model runs."""
    code = [plugins.folder(package) for package in ("eventlog", "baselines", "benchmark")]
    own = [Path(spec.name)] if plugins.is_file(spec.name) else []
    return [sys.prefix, sys.base_prefix, *map(str, [*code, *own])]


def _sample(
    train: Examples, valid: Examples | None, users: int
) -> tuple[Examples, Examples | None]:
    """Return the parts of some users, half of them with an answer above 0 where there are such."""
    rng = np.random.default_rng(0)
    asked = np.unique(train.queries.user)
    some = rng.permutation(asked)[:users]
    positive = np.unique(train.queries.user[train.target > 0])
    some = np.unique(np.concatenate([some[: users // 2], rng.permutation(positive)[: users // 2]]))
    if valid is None:
        return _read_only(of_users(train, some)), None
    held_out = rng.permutation(np.unique(valid.queries.user))[: users // 4]
    some = np.union1d(some, held_out)
    return _read_only(of_users(train, some)), _read_only(of_users(valid, some))


def _read_only(value: Any) -> Any:
    """Make every array in `value`, a dataclass, a dict or an array, read-only; return `value`."""
    for array in _arrays(value):
        array.flags.writeable = False
    return value


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _arrays(part)
    elif is_dataclass(value):
        for part in fields(value):
            yield from _arrays(getattr(value, part.name))


def _whole(parameters: Any) -> int:
    try:
        return int(parameters)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"n_parameters returns {parameters!r}, expected a whole number") from None


def _plain_curve(curve: LearningCurve | None) -> dict[str, Any] | None:
    if curve is None:
        return None
    if not isinstance(curve, LearningCurve):
        name = type(curve).__name__
        raise TypeError(f"learning_curve returns a {name}, expected a LearningCurve or None")
    return {
        "measure": str(curve.measure),
        "steps": [int(s) for s in curve.steps],
        "values": [float(v) for v in curve.values],
        "best": int(curve.best),
    }


def _described(error: BaseException) -> dict[str, str]:
    """Return what a record says about what a model raised."""
    if isinstance(error, NotApplicable):
        return {"kind": "left out", "text": str(error)}
    if isinstance(error, ShopError):
        return {"kind": "known", "text": str(error)}
    text = _in_words(error)
    if isinstance(error, ValueError) and "read-only" in str(error):
        text = f"{READ_ONLY}. {_place(error)}"
    if isinstance(error, PermissionError) and "a model may" in str(error):
        text = str(error)
    return {"kind": "other", "text": text, "traceback": traceback.format_exc(limit=-6)}


def _in_words(error: BaseException) -> str:
    name = type(error).__name__
    try:
        return f"{name}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001 - a plug-in's exception may fail to say what it is
        return name


def _place(error: BaseException) -> str:
    """Return where an exception was raised, as "line 12 of mine.py"."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"It does so in line {last.lineno} of {Path(last.filename).name}."
