"""python -m benchmark ceilings."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.commands import documented, positive
from eventlog._runtime.console import Parser

SUMMARY = "make the stored ceilings of a suite's simulated logs anew"
DESCRIPTION = (
    "Learn what the history, and the slate, allow on each simulated log of a suite, from many more "
    "users of the same shop, and store the scores beside the program."
)
EXAMPLES = "example:\n  python -m benchmark ceilings --suite all --users 100000"
OPTIONS = """
--suite SUITE      a suite's name or TOML file (default: all)
--profile PROFILE  smoke, default (the default), published or full
--users N          users of the same shop to learn from (default: 30000)
--set KEY=VALUE    override anything in the suite; may be repeated
--out DIR          folder to write to (default: the program's)
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("--suite", default="all")
    add("--profile", default="default")
    add("--users", type=positive, default=30_000)
    add("--set", dest="settings", action="append", default=[])
    add("--out", type=Path)


def run(arguments: argparse.Namespace) -> None:
    """Learn the ceilings and store them."""
    from benchmark import suite as suites
    from benchmark.execution.ceilings import make_ceilings

    suite = suites.load(arguments.suite, profile=arguments.profile, overrides=arguments.settings)
    for line in make_ceilings.make(suite, users=arguments.users, out=arguments.out):
        print(line, flush=True)
