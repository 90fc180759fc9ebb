"""The commands of `python -m eventlog`, a module each (see `eventlog._runtime.commands`)."""
