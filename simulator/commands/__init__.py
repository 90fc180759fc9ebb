"""The commands of `python -m simulator`, a module each (see `eventlog._runtime.commands`)."""
