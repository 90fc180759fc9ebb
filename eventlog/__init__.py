"""What an event log is, read, checked, cleaned, split and encoded once, for all the other
packages.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventlog._runtime.errors import InputError, ShopError, UnknownNameError, WorkError
    from eventlog.encode import Encoder, Examples, Queries, Sequences
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
]
_HOME = {
    "Encoder": "encode",
    "Examples": "encode",
    "Queries": "encode",
    "Sequences": "encode",
    "EventLog": "log",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: pandas takes half a second, and `--help` does
    not need it.
    """
    if name == "__version__":
        from importlib.metadata import version

        return version("shoptwin")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOME.get(name, '_runtime.errors')}", __name__), name)
