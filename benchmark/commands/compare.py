"""python -m benchmark compare."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser

SUMMARY = "what changed between two results folders"
DESCRIPTION = "What changed between two results folders, and whether it is more than noise."
EXAMPLES = "example:\n  python -m benchmark compare results-monday results-friday"
OPTIONS = """
A  a results folder
B  the results folder that is compared with it
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("A")
    add("B")


def run(arguments: argparse.Namespace) -> None:
    """Print what changed."""
    from benchmark.execution.results import Store
    from benchmark.report import compare

    for line in compare.lines(Store(arguments.a), Store(arguments.b)):
        print(line)
