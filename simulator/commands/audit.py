"""python -m simulator audit."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser

SUMMARY = "check that a simulated log does not give its fraud away"
DESCRIPTION = (
    "Check whether a single column, an id or the order of rows gives the fraud of a simulated log "
    "away."
)
EXAMPLES = """examples:
  python -m simulator audit mylog
  python -m simulator audit mylog --out docs/results/leak-audit.md
The exit code is 1 if anything leaks."""
OPTIONS = """
LOG            a simulated log folder, with its truth
--out FILE.md  also write the audit as a page
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG")
    add("--out")


def run(arguments: argparse.Namespace) -> int:
    """Print the audit; the exit code is 1 where something leaks."""
    from eventlog._runtime.files import new_file
    from eventlog.log import EventLog
    from simulator.realism import audit

    log = EventLog.read(arguments.log)
    checks = audit.audit(log)
    print(audit.table(checks))
    if arguments.out:
        with new_file(arguments.out) as path:
            path.write_text(audit.markdown(checks, log), encoding="utf-8")
    return 1 if any(c.passed is False for c in checks) else 0
