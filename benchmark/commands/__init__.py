"""The commands of `python -m benchmark`, a module each (see `eventlog._runtime.commands`)."""
