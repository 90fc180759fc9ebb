"""Options of `python -m generators report`, apart from the report itself: help must not wait for pandas and matplotlib."""

from __future__ import annotations

import argparse

from eventlog.console import seed

EXAMPLE = "python -m generators report --real shop --synthetic twin --holdout held-out --model model --out report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m generators report`."""
    parser.description = "Compare a synthetic log with the real one, attack it, and say what is proved about its privacy."
    parser.epilog = f"example:\n  {EXAMPLE}"
    parser.add_argument("--real", required=True, metavar="LOG", help="the log that the generator was fitted on")
    parser.add_argument("--synthetic", required=True, metavar="LOG", help="the log that it made")
    parser.add_argument("--holdout", metavar="LOG", help="real users that it never saw: the control group of the attacks")
    parser.add_argument("--model", metavar="MODEL", help="the saved generator, for its privacy statement")
    parser.add_argument("--utility", metavar="JSON", help="benchmark results of training on synthetic and testing on real")
    parser.add_argument("--canaries", metavar="JSON", help="result of an audit with planted canaries")
    parser.add_argument("--seed", type=seed, default=0, help="of the random draws of users and guesses (default 0)")
    parser.add_argument("--out", required=True, metavar="REPORT", help="folder to write")
