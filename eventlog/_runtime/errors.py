"""Every exception that the project raises on purpose.

The tree::

    ShopError                  something a person can act on; its text is one sentence
    ├── InputError             the input is wrong: a file, column, row or argument  (exit code 2)
    │   └── UnknownNameError   no such model, task, preset, column, ...; names the nearest one
    └── WorkError              the input was right, but the work failed  (exit code 1)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ShopError(Exception):
    """Base of all errors raised on purpose; a command line ends with `exit_code`."""

    exit_code = 1


class InputError(ShopError):
    """The input or the arguments are wrong; the text says what, where and how to correct it."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that is not among the known ones; the text suggests the nearest."""

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        self.kind, self.given, self.known = kind, given, sorted(known)
        near = difflib.get_close_matches(given, self.known, n=1, cutoff=0.5)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.known) or 'none'}."
        )
        super().__init__(f"No {kind} is called {given!r}; {hint}")

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str]]]:
        """Pickle by the arguments of `__init__`, so that a worker's error reaches the caller."""
        return type(self), (self.kind, self.given, self.known)


class WorkError(ShopError):
    """The work failed although the input was right."""
