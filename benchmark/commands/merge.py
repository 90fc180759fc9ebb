"""python -m benchmark merge."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser

SUMMARY = "put the results of several machines together"
DESCRIPTION = (
    "Make one results folder of several, such as those of machines that ran a part of a plan each."
)
EXAMPLES = "example:\n  python -m benchmark merge results-a results-b --out results"
OPTIONS = """
RESULTS    results folders; the first good record of a cell is kept
--out DIR  a new results folder
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("RESULTS", nargs="+")
    add("--out", required=True)


def run(arguments: argparse.Namespace) -> None:
    """Merge the folders and say how many cells are finished."""
    from benchmark.execution import results

    store = results.merge(arguments.results, arguments.out)
    cells = store.plan()["cells"]
    finished = sum(store.finished(cell["key"]) is not None for cell in cells)
    print(f"{arguments.out}: {finished} of {len(cells)} cells finished")
