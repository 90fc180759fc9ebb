"""Keep what was computed of a log until another is asked about: models score batch by batch."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from eventlog.arrays import Sequences

T = TypeVar("T")


class LastLog(Generic[T]):
    """What was computed of the log asked about last; the log itself is held weakly."""

    def __init__(self) -> None:
        self._kept: tuple[weakref.ref[Sequences], Hashable, T] | None = None

    def get(self, sequences: Sequences, compute: Callable[[], T], *, variant: Hashable = None) -> T:
        """Return what is kept of `sequences`, or compute it and keep that instead.

        `variant` is what the value depends on beside the log.
        """
        if self._kept is None or self._kept[0]() is not sequences or self._kept[1] != variant:
            self._kept = (weakref.ref(sequences), variant, compute())
        return self._kept[2]

    def forget(self) -> None:
        """Keep nothing."""
        self._kept = None
