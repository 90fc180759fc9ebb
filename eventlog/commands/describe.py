"""python -m eventlog describe."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser

SUMMARY = "show what is in a log"
DESCRIPTION = (
    "Show the span, users, events, funnel, columns and labels of a log, and what stands out in it."
)
EXAMPLES = """examples:
  python -m eventlog describe mylog --html mylog.html
  python -m eventlog describe mylog --against lastyear"""
OPTIONS = """
LOG             a log folder
--html PATH     write a page with pictures, which opens offline
--against LOG2  say how the log differs from another
--overwrite     replace PATH if it exists
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    for name in ("LOG", "--html", "--against"):
        add(name, type=Path)
    add("--overwrite", action="store_true")


def run(arguments: argparse.Namespace) -> None:
    """Print the description, and write the page where one is asked for."""
    from eventlog._runtime.files import check_file_replaceable, new_file
    from eventlog.describe import describe

    page = arguments.html
    if page is not None:
        check_file_replaceable(page, overwrite=arguments.overwrite)
    description = describe(arguments.log, against=arguments.against)
    description.show()
    if page is not None:
        with new_file(page) as temporary:
            temporary.write_text(description.html(), encoding="utf-8")
        print(f"written to {page}")
