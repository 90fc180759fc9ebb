"""python -m benchmark leaderboard."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser

SUMMARY = "write the leaderboard of a results folder as pages"
DESCRIPTION = (
    "Write the leaderboard of a results folder: DIR/leaderboard.md and DIR/leaderboard/index.html."
)
EXAMPLES = "example:\n  python -m benchmark leaderboard results --out docs"
OPTIONS = """
results    a results folder (default: results)
--out DIR  folder for leaderboard.md (default: docs)
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("results", nargs="?", default="results")
    add("--out", default="docs")


def run(arguments: argparse.Namespace) -> None:
    """Write the page and print its path."""
    from benchmark.execution.results import Store
    from benchmark.report import leaderboard

    print(leaderboard.write(Store(arguments.results), Path(arguments.out)))
