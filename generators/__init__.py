"""Generators learn from a log and sample a new one that can be shared."""

from typing import TYPE_CHECKING

from eventlog._runtime.lazy import lazy_names

if TYPE_CHECKING:
    from generators.base import Generator
    from generators.persistence import fit, load, save

__all__ = ["Generator", "fit", "load", "save"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {"Generator": "base", "fit": "persistence", "load": "persistence", "save": "persistence"},
)
