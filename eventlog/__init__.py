"""What an event log is, read, checked, cleaned, split and encoded once, for all the other packages."""

from .encode import Encoder, Examples, Queries, Sequences
from .errors import InputError, ShopError, UnknownNameError, WorkError
from .log import EventLog

__all__ = ["Encoder", "EventLog", "Examples", "InputError", "Queries", "Sequences", "ShopError", "UnknownNameError", "WorkError"]
