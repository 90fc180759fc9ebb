"""Command line: python -m generators share | fit | structure | sample | report | budget | list."""

from __future__ import annotations

from eventlog._runtime.commands import parser_of, run_command
from eventlog._runtime.console import Parser, run

COMMANDS = ("share", "fit", "structure", "sample", "report", "budget", "list")
EXAMPLES = """example:
  python -m generators share mylog --epsilon 3 --out shared
  python -m generators fit mylog --model vae --seed 1 --out mymodel
  python -m generators sample mymodel --users 10000 --seed 1 --out twin
  python -m generators report --real mylog --synthetic twin --out report
"""


def parser() -> Parser:
    """Return the parser of the command line."""
    return parser_of(
        "generators",
        COMMANDS,
        description="Learn from an event log, sample a new one that can be shared.",
        examples=EXAMPLES,
    )


def main(argv: list[str]) -> int:
    """Run one command; returns its exit code."""
    return run_command(parser(), argv)


if __name__ == "__main__":
    run(main)
