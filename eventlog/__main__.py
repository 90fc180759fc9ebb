"""The command line: python -m eventlog import | check | clean | describe | export | ..."""

from __future__ import annotations

from eventlog._runtime.commands import parser_of, run_command
from eventlog._runtime.console import Parser, run

COMMANDS = ("import_", "check", "clean", "describe", "export", "replay", "datasets")
EXAMPLES = """examples:
  python -m eventlog import online_retail.csv.gz --preset online-retail --out mylog
  python -m eventlog check mylog
  python -m eventlog describe mylog"""


def parser() -> Parser:
    """Return the parser of the command line."""
    return parser_of(
        "eventlog",
        COMMANDS,
        description="Import a team's own log, look at it, clean it, export it.",
        examples=EXAMPLES,
    )


def main(argv: list[str]) -> int:
    """Run one command; returns its exit code."""
    return run_command(parser(), argv)


if __name__ == "__main__":
    run(main)
