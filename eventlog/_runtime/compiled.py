"""Compiled functions (numba): compile few things, keep them, and notice when they are stale.

A function that only other compiled functions call is `@inner`. It gets no entry from Python and is
optimised as a part of its callers, which halves what numba spends on it. Nor does it count
references: numba counts those to each array of a named tuple, by atomic operations, in every
function that receives the tuple, which took two fifths of the time of a simulated session. What
Python calls is `@njit(cache=True)`, as usual.

Numba looks a cached function up by its own file and the types of its arguments. It does not notice
a change in another file whose functions were compiled into it. So name a field of a record that
compiled functions receive after `source_digest`: a changed file changes the record's type, and all
functions that take the record are compiled again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, NoReturn

from numba.core import config as numba_config
from numba.core import event
from numba.core.registry import CPUDispatcher

from eventlog._runtime.console import note

config: Any = numba_config  # its members are made when it is imported
SILENT_S = 1.0  # a user who waits longer for a compilation is told why
SLIGHTLY = 1  # level of optimisation of a function that is optimised again in its callers


class InnerFunction(CPUDispatcher):
    """A compiled function that only compiled functions call."""

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there is no entry from Python."""
        raise TypeError(
            f"{self.py_func.__name__} is called by compiled functions only; decorate it with "
            "@njit(cache=True) to call it from Python."
        )


def inner(function: Callable[..., Any]) -> Any:
    """Compile `function`, when a compiled function first calls it, without an entry from Python.

    It does not count references to arrays: its callers hold them. So it cannot make one or assign
    one to a slice (`inner_with_arrays` can). An array that it got it must return to other `inner`
    functions only: one that counts would release it.
    """
    return _inner(function, counts_references=False)


def inner_with_arrays(function: Callable[..., Any]) -> Any:
    """Compile `function` like `inner`, counting references: it may make arrays and copy them."""
    return _inner(function, counts_references=True)


def _inner(function: Callable[..., Any], *, counts_references: bool) -> Any:
    if config.DISABLE_JIT:
        return function
    options = {
        "nopython": True,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "_nrt": counts_references,
    }
    compiled = InnerFunction(function, targetoptions=options)
    compiled.enable_caching()
    return compiled


class _WhileCompiling(event.Listener):
    """Optimises an inner function little, and says once that the program is compiling."""

    def __init__(self) -> None:
        self.levels: list[Any] = []
        self.began: float | None = None
        self.said = parent_process() is not None  # one process says it for all

    def on_start(self, event: event.Event) -> None:
        self.levels.append(config.OPT)
        if isinstance(event.data["dispatcher"], InnerFunction):
            config.OPT = min(config.OPT, SLIGHTLY)
        now = time.monotonic()
        self.began = self.began or now
        if not self.said and now - self.began > SILENT_S:
            self.said = True
            note(
                "Compiling, which takes up to half a minute and is kept on disk for the next "
                "time; 'python -m shoptwin warmup' does it for everything at once."
            )

    def on_end(self, event: event.Event) -> None:
        config.OPT = self.levels.pop()


event.register("numba:compile", _WhileCompiling())


def source_digest(*modules: str) -> str:
    """Return 16 hex digits for the source text of `modules` (dotted names), importing none."""
    digest = hashlib.blake2b(digest_size=8)
    for name in modules:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"The compiled module {name!r} has no source.")
        digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()
