"""What an event log is: reading, checking, cleaning, splitting and encoding it for all packages."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventlog._runtime.errors import InputError, ShopError, UnknownNameError, WorkError
    from eventlog.arrays import Examples, Queries, Sequences
    from eventlog.datasets.load import load
    from eventlog.encode import Encoder
    from eventlog.log import EventLog

__all__ = [
    "Encoder",
    "EventLog",
    "Examples",
    "InputError",
    "Queries",
    "Sequences",
    "ShopError",
    "UnknownNameError",
    "WorkError",
    "load",
]
_MODULE_OF = {
    "Encoder": "encode",
    "Examples": "arrays",
    "Queries": "arrays",
    "Sequences": "arrays",
    "EventLog": "log",
    "load": "datasets.load",
}


def __getattr__(name: str) -> Any:
    """Import a name at its first use: pandas takes half a second, and `--help` does not need it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("shoptwin")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_MODULE_OF.get(name, '_runtime.errors')}", __name__), name)


def __dir__() -> list[str]:
    """Return what a notebook offers after a dot: the public names."""
    return [*__all__, "__version__"]
