"""Train and rank models and generators on event logs.

Example::

    table = benchmark.run(suite="all", log=log)    # a row for each model, task and seed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlog._runtime.lazy import lazy_names

if TYPE_CHECKING:
    from benchmark.api import Results, run

__all__ = ["Results", "run"]

__getattr__, __dir__ = lazy_names(__name__, {"Results": "api", "run": "api"})
