"""python -m benchmark view."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser, note

SUMMARY = "open the leaderboard of a results folder in the browser"
DESCRIPTION = (
    "Write the leaderboard of a results folder into it and open it in the browser: "
    "RESULTS/leaderboard/index.html, which needs no network."
)
EXAMPLES = "example:\n  python -m benchmark view results"
OPTIONS = "results  a results folder (default: results)"


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    documented(parser, OPTIONS)("results", nargs="?", default="results")


def run(arguments: argparse.Namespace) -> None:
    """Write the page, print its path and open it."""
    import webbrowser

    from benchmark.execution.results import Store
    from benchmark.report import leaderboard

    folder = Path(arguments.results)
    leaderboard.write(Store(folder), folder)
    page = (folder / "leaderboard" / "index.html").resolve()
    print(page)
    if not webbrowser.open(page.as_uri()):
        note("No browser was found; open the file above yourself.")
