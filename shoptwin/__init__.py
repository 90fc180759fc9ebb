"""The front door: one console script for the command lines of all packages."""

from eventlog._runtime.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__, {})
