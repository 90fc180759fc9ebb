"""python -m generators report."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser, seed

SUMMARY = "compare a synthetic log with the real one"
DESCRIPTION = (
    "Compare a synthetic log with the real one, attack it, and say whether it may be handed over."
)
EXAMPLES = """examples:
  python -m generators share mylog --model markov --epsilon 3 --out shared
      makes all inputs below, and this report
  python -m generators report --real mylog --synthetic twin --model model \\
      --purpose teaching --recipient "ACME Research" --out report

It ends in one sentence: release, release with conditions, or do not release. The exit code is 0,
0 or 1.
"""
OPTIONS = """
--real LOG             the log that the generator was fitted on ('python -m eventlog import' makes
                       one)
--synthetic LOG        the log that it made ('python -m generators sample')
--holdout LOG          real users that the generator never saw: the control group of the attacks
                       ('python -m generators share' splits them off)
--model MODEL          the saved generator, for its privacy statement, settings and checksum
                       ('python -m generators fit')
--utility JSON         results of training on synthetic and testing on real ('python -m generators
                       share')
--canaries JSON        result of an audit with planted canaries ('python -m generators share')
--purpose PURPOSE      what the log is for; shown on the page to sign and on the data card
--recipient RECIPIENT  who gets the log; also shown there
--seed SEED            of the random draws of users and guesses (default 0)
--out REPORT           folder to write
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("--real", required=True)
    add("--synthetic", required=True)
    for name in ("--holdout", "--model", "--utility", "--canaries"):
        add(name)
    add("--purpose", default="")
    add("--recipient", default="")
    add("--seed", type=seed, default=0)
    add("--out", required=True)


def run(arguments: argparse.Namespace) -> int:
    """Write the report; the exit code is 1 where the log may not be released."""
    from generators.report.build import main

    return int(main(arguments) or 0)
