"""The front door: one console script for the command lines of all packages."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from eventlog import __version__

        return __version__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
