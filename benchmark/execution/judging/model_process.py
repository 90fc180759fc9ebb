"""The judge's end of a model's cell: start a model in a process of its own, ask it, end it.

Example::

    with private_folder(artifact / "learn") as folder, start(spec, folder) as model:
        facts = model.fit()
        scores = model.score(sequences, queries)
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.execution import descendants
from benchmark.execution.judging.channel import BadReply, Shared, receive_reply, send_request
from benchmark.execution.judging.model_server import LEARN, SCRATCH, ModelSpec, serve
from benchmark.task import NotApplicable
from eventlog._runtime.errors import WorkError
from eventlog._runtime.system import lock, own_folder
from eventlog._runtime.text import one_line
from eventlog.arrays import Examples, Queries, Sequences

NO_REPLY = "its process sent what is no reply"


class PluginError(WorkError):
    """A model raised something that is no sentence for a user; `trace` says where."""

    def __init__(self, text: str, trace: str) -> None:
        super().__init__(text)
        self.trace = trace


class TooSlow(WorkError):
    """A model did not answer in the time that the judge gave it."""


@contextmanager
def private_folder(learn: Path) -> Iterator[Path]:
    """Yield a temporary folder with the files of `learn`, as links where the file system can.

    The model's process removes the names again once it has mapped the files.
    """
    together = own_folder("models")
    together.mkdir(mode=0o700, exist_ok=True)
    _sweep(together)
    folder = Path(tempfile.mkdtemp(dir=together))
    held = lock(folder)
    try:
        shutil.copytree(learn, folder / LEARN, copy_function=_link)
        (folder / SCRATCH).mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


def _sweep(together: Path) -> None:
    """Remove the folders of cells that were killed: nobody holds their lock any more."""
    for folder in together.iterdir():
        if _age_s(folder) > 60 and (held := lock(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)


def _age_s(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0  # it is gone


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


@contextmanager
def start(spec: ModelSpec, folder: Path) -> Iterator[ModelProcess]:
    """Yield a model's process, which ends with the block, and all that it started with it.

    It must be started before any answers are read: the process begins as a copy of this one.
    """
    forks = "fork" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if forks else "spawn")
    here, there = context.Pipe()
    shared = Shared() if forks else None
    process = context.Process(target=serve, args=(there, shared, spec, str(folder), os.getpid()))
    process.start()
    there.close()
    model = ModelProcess(process, here, shared)
    try:
        yield model
    finally:
        model.end()


def kill_group(process: Any) -> None:
    """Kill a process that leads a group, and the group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):
        process.kill()  # it has ended, has no group of its own yet, or there are no groups


def end_and_flag(model: ModelProcess) -> list[str]:
    """End a model and whatever it started; return a sentence for each process that hid.

    Workers in the model's own group are none: a pool waits for its end.
    """
    model.end()
    hidden = (p for p in descendants.end_all() if p.session != model.process.pid)
    return sorted({f"it left a process behind: {process.command[:60]}" for process in hidden})


class ModelProcess:
    """A model in a process of its own. Nothing that comes from there is believed unchecked.

    Raises from every request: NotApplicable, PluginError, WorkError; TooSlow where `patience_s` is
    set and over.
    """

    def __init__(self, process: Any, pipe: Connection, shared: Shared | None) -> None:
        self.process, self.pipe, self.shared = process, pipe, shared
        self.family, self.reads_others, self.observes = "simple", False, True
        self.seeded = True
        self.spent = (0.0, 0.0)
        self.flags: list[str] = []
        self.patience_s: float | None = None

    def load(self) -> None:
        """Import the model."""
        reply, _ = self._request("load")
        self.family = str(reply.get("family"))
        self.reads_others = reply.get("reads_others") is True
        self.observes = reply.get("observes") is True
        self.seeded = reply.get("seeded") is not False

    def fit(self, *, users: int | None = None) -> dict[str, Any]:
        """Fit the model, on a sample of `users` where that is given; return facts for a record."""
        reply, _ = self._request("fit", users)
        return {
            "fit_s": _number(reply.get("fit_s")),
            "fit_cpu_s": _number(reply.get("fit_cpu_s")),
            "parameters": int(_number(reply.get("parameters"))),
            "curve": _checked_curve(reply.get("curve")),
        }

    def end(self) -> None:
        """End the process and its group."""
        self.pipe.close()
        kill_group(self.process)
        self.process.join()

    def observe(self, known: Examples | None) -> None:
        """Hand over answers; None: those of the validation part, which are there."""
        self._request("observe", known, keeps=True)

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Ask the model."""
        reply, scores = self._request("score", sequences, queries)
        if scores is None:
            raise WorkError(NO_REPLY)
        self.spent = (_number(reply.get("wall")), _number(reply.get("cpu")))
        return scores

    def _request(
        self, *message: Any, keeps: bool = False
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        """Send a request and return the reply; `keeps`: the model may keep the arrays."""
        try:
            send_request(self.pipe, message, None if keeps else self.shared)
            if self.patience_s is not None and not self.pipe.poll(self.patience_s):
                raise TooSlow(f"it did not answer within {self.patience_s:g} s")
            reply, scores = receive_reply(self.pipe, self.shared)
        except (EOFError, OSError):
            raise WorkError(self._how_it_ended()) from None
        except BadReply:
            raise WorkError(NO_REPLY) from None
        self.flags = [str(flag)[:200] for flag in reply.get("flags") or ()][:20]
        if "error" in reply:
            raise _error(reply["error"])
        return reply, scores

    def _how_it_ended(self) -> str:
        self.process.join(timeout=5)
        code = self.process.exitcode
        if code is None:
            return NO_REPLY
        return descendants.DIED.get(code or 0, f"its process ended with exit code {code}")


def _error(found: Any) -> WorkError | NotApplicable:
    """Return the exception that a reply describes."""
    found = found if isinstance(found, dict) else {}
    text, kind = one_line(found.get("text"))[:2_000], found.get("kind")
    if kind == "left out":
        return NotApplicable(text)
    if kind == "known":
        return WorkError(text)
    return PluginError(text, str(found.get("traceback"))[:8_000])


def _number(value: Any) -> float:
    """Return a finite number, 0 for anything else."""
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
    except OverflowError:  # an integer beyond the largest float
        return 0.0


def _checked_curve(curve: Any) -> dict[str, Any] | None:
    """Return a learning curve with finite values, None for anything else."""
    try:
        steps = [int(s) for s in curve["steps"]]
        values = [float(v) if math.isfinite(v) else None for v in curve["values"]]
        best = int(curve["best"])
        if len(steps) != len(values) or not 0 <= best < max(len(steps), 1):
            return None
        return {
            "measure": str(curve["measure"])[:100],
            "steps": steps,
            "values": values,
            "best": best,
        }
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
