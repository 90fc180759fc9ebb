"""When the garbage collector of Python need not run, and freed memory need not be given back."""

from __future__ import annotations

import gc
import os
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


def keep_freed_memory() -> None:
    """Let Arrow keep memory that it freed for two seconds; call it before Arrow is imported.

    By itself it gives memory back after 10 ms and gets it again for the next batch, in pages of
    2 MiB that the system fills with zeros: that is a fifth of the processor time of an import.
    """
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "2000")  # ms
    os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")


@contextmanager
def importing() -> Iterator[None]:
    """Import libraries inside; what they hold is never looked through for garbage.

    Neither now nor at each later collection nor at the end of the process.
    """
    with no_garbage_collection():
        yield
        gc.freeze()
