"""A simulated shop whose logs come with the truth that no real log has."""

from typing import TYPE_CHECKING

from eventlog._runtime.lazy import lazy_names

if TYPE_CHECKING:
    from simulator.api import run, simulate

__all__ = ["run", "simulate"]

__getattr__, __dir__ = lazy_names(__name__, {"run": "api", "simulate": "api"})
