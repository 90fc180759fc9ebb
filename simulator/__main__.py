"""The command line `python -m simulator`: run, scenarios, realism, calibrate, audit."""

from __future__ import annotations

from eventlog._runtime.commands import parser_of, run_command
from eventlog._runtime.console import Parser, run

COMMANDS = ("run", "scenarios", "realism", "calibrate", "audit")


def parser() -> Parser:
    """Return the parser of the command line."""
    return parser_of(
        "simulator",
        COMMANDS,
        description="Simulate a shop, its shoppers and its fraudsters, with the truth.",
        examples="example:\n"
        "  python -m simulator run --users 2000 --days 60 --seed 7 --out shoplog",
    )


def main(argv: list[str]) -> int:
    """Run one command; returns its exit code."""
    return run_command(parser(), argv)


if __name__ == "__main__":
    run(main)
