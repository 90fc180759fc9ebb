"""Train and rank models and generators on event logs.

Example::

    table = benchmark.run(suite="all", log=log)    # a row for each model, task and seed
"""

from __future__ import annotations

from typing import Any

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from eventlog import __version__

        return __version__
    if name == "run":
        from benchmark.api import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
