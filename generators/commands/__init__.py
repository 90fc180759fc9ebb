"""The commands of `python -m generators`, a module each (see `eventlog._runtime.commands`)."""
