"""A simulated shop whose logs come with the truth that no real log has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.api import run, simulate

__all__ = ["run", "simulate"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from eventlog import __version__

        return __version__
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("simulator.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
