"""python -m simulator realism."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser
from eventlog._runtime.errors import InputError

SUMMARY = "compare a log with published logs"
DESCRIPTION = "Compare a log with what published e-commerce logs show, fact by fact."
EXAMPLES = """examples:
  python -m simulator realism mylog
  python -m simulator realism mylog --against otherlog
  python -m simulator realism mylog --json > scorecard.json"""
OPTIONS = """
LOG                 a log folder
--against OTHERLOG  also say how well a detector tells the sessions of the two logs apart, and by
                    what
--json              print JSON instead of a table
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG")
    add("--against")
    add("--json", action="store_true")


def run(arguments: argparse.Namespace) -> None:
    """Print the scorecard."""
    from eventlog.log import EventLog
    from simulator.realism import scorecard

    log = EventLog.read(arguments.log)
    if len(log) == 0:
        raise InputError(f"{arguments.log} has no events.")
    found = None
    if arguments.against:
        from simulator.realism.detector import detect

        found = detect(log, EventLog.read(arguments.against))
    facts = scorecard.score(log)
    print(scorecard.to_json(facts, found) if arguments.json else scorecard.table(facts))
    if found is not None and not arguments.json:
        print(f"\n{found.table()}")
