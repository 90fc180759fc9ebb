"""python -m eventlog export."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime import plugins
from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser, add_out
from eventlog._runtime.errors import InputError

SUMMARY = "write a log for other tools"
DESCRIPTION = """Write a log for other tools: one file with the events (csv, jsonl, parquet), a
DuckDB database, or a folder with users and items too (huggingface, postgres, recbole, rectools,
sdv). In CSV a text that a spreadsheet would run as a formula gets a ' before it, which the import
takes away again."""
EXAMPLES = """examples:
  python -m eventlog export mylog --format recbole --out recbole/mylog
  python -m eventlog export mylog --format csv --out mylog.csv.gz"""
OPTIONS = """
LOG         a log folder
--format    what to write
--formulas  csv: do not protect texts that a spreadsheet would run (= + - @)
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG", type=Path)
    add("--format", required=True, choices=plugins.names("eventlog.formats"))
    add("--formulas", action="store_true")
    add_out(parser, "PATH", "the file or folder to write", type=Path)


def run(arguments: argparse.Namespace) -> None:
    """Export the log and print where to."""
    from eventlog.export import check, export
    from eventlog.log import EventLog

    check(arguments.out, arguments.format, overwrite=arguments.overwrite)
    if arguments.formulas and arguments.format != "csv":
        raise InputError("--formulas is for --format csv; leave it out.")
    settings = {"formulas": True} if arguments.formulas else {}
    log = EventLog.read(arguments.log, truth=False)
    print(f"written to {export(log, arguments.out, format=arguments.format, **settings)}")
