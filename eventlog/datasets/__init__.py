"""Real logs that ship with the project: one log folder each, with the attribution beside it."""

from eventlog.datasets.load import folder_of, load, names

__all__ = ["folder_of", "load", "names"]
