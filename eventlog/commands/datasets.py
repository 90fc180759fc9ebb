"""python -m eventlog datasets."""

from __future__ import annotations

import argparse

from eventlog._runtime.console import Parser

SUMMARY = "list the real logs that ship with the program"
DESCRIPTION = "List the real logs that ship with the program: name, title, licence, folder."
EXAMPLES = "example:\n  python -m eventlog datasets"


def add_arguments(parser: Parser) -> None:
    """Add nothing: the command has no arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Print a line for each log."""
    from eventlog import datasets
    from eventlog.manifest import read_manifest

    for name in datasets.names():
        folder = datasets.folder_of(name)
        facts = read_manifest(folder)
        print(f"{name:16} {facts['title']}, {facts['licence']}  {folder}")
