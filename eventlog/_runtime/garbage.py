"""When the garbage collector of Python need not run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect no garbage inside: for what makes many objects, few of them in cycles.

    Scanning the objects of a shard costs a third of the time of its simulation.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def importing() -> Iterator[None]:
    """Import libraries inside; what they hold is never looked through for garbage.

    Neither now nor at each later collection nor at the end of the process.
    """
    with no_garbage_collection():
        yield
        gc.freeze()
