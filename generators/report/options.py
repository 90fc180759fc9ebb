"""Options of `python -m generators report`.

They are apart from the report itself, so that --help need not import pandas and matplotlib.
"""

from __future__ import annotations

import argparse

from eventlog._runtime.console import seed

EXAMPLE = """examples:
  python -m generators share mylog --model markov --epsilon 3 --out shared
      makes all inputs below, and this report
  python -m generators report --real mylog --synthetic twin --model model \\
      --purpose teaching --recipient "ACME Research" --out report

It ends in one sentence: release, release with conditions, or do not release. The exit code is 0,
0 or 1.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `python -m generators report`."""
    parser.description = (
        "Compare a synthetic log with the real one, attack it, "
        "and say whether it may be handed over."
    )
    parser.epilog = EXAMPLE
    parser.add_argument(
        "--real",
        required=True,
        metavar="LOG",
        help="the log that the generator was fitted on ('python -m eventlog import' makes one)",
    )
    parser.add_argument(
        "--synthetic",
        required=True,
        metavar="LOG",
        help="the log that it made ('python -m generators sample')",
    )
    parser.add_argument(
        "--holdout",
        metavar="LOG",
        help="real users that the generator never saw: the control group of the attacks "
        "('python -m generators share' splits them off)",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="the saved generator, for its privacy statement, settings and checksum "
        "('python -m generators fit')",
    )
    parser.add_argument(
        "--utility",
        metavar="JSON",
        help="results of training on synthetic and testing on real ('python -m generators share')",
    )
    parser.add_argument(
        "--canaries",
        metavar="JSON",
        help="result of an audit with planted canaries ('python -m generators share')",
    )
    parser.add_argument(
        "--purpose",
        default="",
        help="what the log is for; shown on the page to sign and on the data card",
    )
    parser.add_argument("--recipient", default="", help="who gets the log; also shown there")
    parser.add_argument(
        "--seed", type=seed, default=0, help="of the random draws of users and guesses (default 0)"
    )
    parser.add_argument("--out", required=True, metavar="REPORT", help="folder to write")
