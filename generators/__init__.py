"""Generators learn from a log and sample a new one that can be shared."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generators.base import Generator
    from generators.persistence import fit, load, save

__all__ = ["Generator", "fit", "load", "save"]
_HOME = {"Generator": "base", "fit": "persistence", "load": "persistence", "save": "persistence"}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: `--help` needs neither numpy nor torch."""
    if name == "__version__":
        from eventlog import __version__

        return __version__
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
