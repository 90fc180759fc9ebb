"""Train and rank models and generators on event logs."""

from __future__ import annotations

from eventlog._runtime.commands import parser_of, run_command
from eventlog._runtime.console import Parser, run

COMMANDS = ("run", "leaderboard", "view", "ceilings", "compare", "merge", "list")


def parser() -> Parser:
    """Return the parser of the command line."""
    return parser_of(
        "benchmark",
        COMMANDS,
        description=__doc__,
        examples="example:\n  python -m benchmark run --suite all --profile smoke",
    )


def main(argv: list[str]) -> int:
    """Run one command; returns its exit code."""
    return run_command(parser(), argv)


if __name__ == "__main__":
    run(main)
