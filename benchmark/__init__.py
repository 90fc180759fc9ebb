"""Train and rank models and generators on event logs.

Example::

    table = benchmark.run(suite="all", log=log)    # a row for each model, task and seed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.api import Results, run

__all__ = ["Results", "run"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from eventlog import __version__

        return __version__
    if name in __all__:
        from benchmark import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
