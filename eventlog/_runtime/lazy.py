"""Import the public names of a package at their first use.

pandas takes half a second and torch two, which `--help` and most notebooks' first cell do not need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

DISTRIBUTION = "shoptwin"


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package.

    Args:
        package: its `__name__`.
        homes: public name -> the module of the package that defines it.

    Example::

        __getattr__, __dir__ = lazy_names(__name__, {"simulate": "api", "run": "api"})
    """

    def find(name: str) -> Any:
        if name == "__version__":
            from importlib import metadata  # also takes its time

            return metadata.version(DISTRIBUTION)
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f".{homes[name]}", package), name)

    def names() -> list[str]:
        defined = getattr(sys.modules[package], "__all__", ())
        return sorted({*homes, *defined, "__version__"})

    return find, names
