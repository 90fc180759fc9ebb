"""python -m simulator scenarios."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser

SUMMARY = "list the scenarios, or every setting with its range"
DESCRIPTION = "List the scenarios, their files and what they are."
EXAMPLES = """examples:
  python -m simulator scenarios
  python -m simulator scenarios --keys
  python -m simulator scenarios --schema > scenario.schema.json"""
OPTIONS = """
--keys    list every setting with its default and range instead
--schema  print the JSON schema of a scenario file instead, for editors that check TOML
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add, what = documented(parser, OPTIONS), parser.add_mutually_exclusive_group()
    add("--keys", to=what, action="store_true")
    add("--schema", to=what, action="store_true")


def run(arguments: argparse.Namespace) -> None:
    """Print what is asked for."""
    from simulator import scenario

    if arguments.schema:
        import json

        print(json.dumps(scenario.file_schema(), indent=2))
    elif arguments.keys:
        for key, default, low, high, doc in scenario.settings():
            bounds = "" if low is None else f"{low:g} to {high:g}"
            print(f"{key:<30}{default!s:<12}{bounds:<20}{doc}")
    else:
        for name in scenario.names():
            made = scenario.load(name)
            print(f"{name:<14}{made.description}\n{'':<14}{scenario.file_of(name)}")
