"""What an event log is: reading, checking, cleaning, splitting and encoding it for all packages."""

from typing import TYPE_CHECKING

from eventlog._runtime.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Encoder": "encode",
        "EventLog": "log",
        "Examples": "arrays",
        "InputError": "_runtime.errors",
        "Queries": "arrays",
        "Sequences": "arrays",
        "ShopError": "_runtime.errors",
        "UnknownNameError": "_runtime.errors",
        "WorkError": "_runtime.errors",
        "load": "datasets.load",
    },
)
