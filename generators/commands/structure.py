"""python -m generators structure."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser, add_out, note

SUMMARY = "find what is determined in a log"
DESCRIPTION = "Find what is determined in a log, and write it to a file to confirm or edit."
EXAMPLES = """example:
  python -m generators structure mylog --out structure.toml
  python -m generators fit mylog --structure structure.toml --out mymodel
"""
OPTIONS = """
LOG            a log folder
--min-users N  values that fewer users have are not written (default: 5)
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG")
    add("--min-users", type=int, default=5)
    add_out(parser, "FILE", "TOML file to write")


def run(arguments: argparse.Namespace) -> None:
    """Find the structure and write it."""
    from eventlog import EventLog
    from eventlog._runtime.files import check_file_replaceable, new_file
    from generators.structure.declared import as_toml
    from generators.structure.finding.finder import find_structure

    check_file_replaceable(arguments.out, overwrite=arguments.overwrite)
    log = EventLog.read(arguments.log, truth=False).ordered()
    found = find_structure(log, min_users=arguments.min_users)
    with new_file(arguments.out) as temporary:
        temporary.write_text(as_toml(found), encoding="utf-8")
    for line in found.sentences():
        note(line)
    print(arguments.out)
