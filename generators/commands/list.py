"""python -m generators list."""

from __future__ import annotations

import argparse

from eventlog._runtime.console import Parser

SUMMARY = "the generators that are installed"
DESCRIPTION = "List the generators that are installed."
EXAMPLES = """example:
  python -m generators list
"""


def add_arguments(parser: Parser) -> None:
    """Add nothing: the command has no arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Print the names."""
    from eventlog._runtime.plugins import names

    print("\n".join(names("generators.models")))
