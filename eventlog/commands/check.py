"""python -m eventlog check."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.console import Parser

SUMMARY = "compare a log with the schema"
DESCRIPTION = "Print errors and warnings; the exit code is 2 if there are errors."
EXAMPLES = "example:\n  python -m eventlog check mylog"


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("log", type=Path, metavar="LOG", help="a log folder")


def run(arguments: argparse.Namespace) -> int:
    """Print what is wrong with the log; the exit code is 2 where there are errors."""
    from eventlog.check import check, lines

    findings = check(arguments.log)
    for line in lines(findings):
        print(line)
    return 2 if any(f.level == "error" for f in findings) else 0
