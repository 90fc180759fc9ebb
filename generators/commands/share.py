"""python -m generators share."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.commands import documented, names, picked
from eventlog._runtime.console import Parser, seed
from generators.commands.assignments import once, setting

SUMMARY = "make a hand-over: fit, sample, measure, attack, decide"
DESCRIPTION = (
    "Make a synthetic log that may travel, with its statement and data card, and decide whether it "
    "may."
)
EXAMPLES = """examples:
  python -m generators share mylog --epsilon 3 --public event=names.txt --out shared
  python -m generators share mylog --model vae --purpose "course on churn" \\
      --recipient "ACME University" --out shared

DIR/handover/ may travel and exists only after a release: log/, statement.json, data_card.md.

DIR/internal/ stays: model/, report/ (report.html), utility.json, canaries.json, figures.json,
the real log as fitted/ and held_out/, synthetic/. After a kill the same command continues where it
stopped; a finished fit is not repeated. To write the report again (--utility and --canaries where
these were run):
  cd DIR/internal && python -m generators report --real fitted --holdout held_out \\
      --synthetic synthetic --model model --utility utility.json --canaries canaries.json \\
      --out ../../report
Exit code: 0 release, with or without conditions; 1 do not release, or the work failed; 2 wrong
input. Epsilon covers what is handed over. The audit with canaries fits a second model and discards
it; like utility and attacks it stays inside and is not in the budget.
"""
OPTIONS = """
LOG                a log folder
--model MODEL      a name from 'list', or a Python file that defines a Generator (default: markov)
--epsilon EPSILON  guarantee (epsilon, delta)-differential privacy for every user; without it the
                   attacks alone decide
--delta DELTA      default: min(1e-6, users^-1.5)
--public A,B       as for 'fit': what is public anyway
--users N          users of the synthetic log (default: as many as the log has)
--holdout SHARE    share of the users who are held out of the fit, for attacks and tests (default:
                   0.2)
--tasks A,B|none   tasks by which utility is measured (default: all that the log can answer)
--canaries N       canaries for the audit; 0 for none (default: a tenth of the users, at most 200)
--set NAME=VALUE   a setting of the generator
--budget FILE      budget book of this log: the fit is refused where it would exceed it
--purpose TEXT     what the log is for; shown on the report and the data card
--recipient TEXT   who gets the log; shown on the report and the data card
--seed SEED        of everything but the noise, which is drawn anew (default: 0)
--out DIR          folder to write
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG", type=Path)
    add("--model", default="markov")
    add("--epsilon", type=float)
    add("--delta", type=float)
    add("--public", default=[], type=names)
    add("--users", type=int)
    add("--holdout", type=float, default=0.2)
    add("--tasks", type=_tasks)
    add("--canaries", type=int)
    add("--set", dest="settings", action="append", type=setting, default=[])
    add("--budget", type=Path)
    add("--purpose", default="")
    add("--recipient", default="")
    add("--seed", type=seed, default=0)
    add("--out", required=True, type=Path)


def run(arguments: argparse.Namespace) -> int:
    """Make the hand-over; the exit code is 1 where there is none."""
    from generators.handover.request import Request
    from generators.handover.share import share

    outcome = share(
        Request(
            public=tuple(arguments.public),
            settings=once(arguments.settings, "--set"),
            **picked(arguments, "log", "out", "model", "epsilon", "delta", "users", "seed"),
            **picked(arguments, "budget", "purpose", "recipient", "holdout", "canaries", "tasks"),
        )
    )
    _show(arguments.out, outcome.sentence)
    return outcome.exit_code


def _show(out: Path, sentence: str) -> None:
    """Print what the report says, the decision, where the files are and what to do with them."""
    from eventlog._runtime import terminal
    from eventlog._runtime.files import read_json
    from generators.report.terminal import show

    report = out / "internal" / "report"
    if (report / "report.json").exists():
        show(read_json(report / "report.json"))
    released = (out / "handover").exists()
    travels = {"may travel": out / "handover"} if released else {}
    terminal.files({**travels, "the page to read and sign": report / "report.html"})
    print(sentence)
    if released:
        log = out / "handover" / "log"
        terminal.suggest(
            {
                f"python -m eventlog describe {log}": "what the recipient gets",
                f"python -m benchmark run --log {log}": "rank models on it",
            }
        )


def _tasks(text: str) -> tuple[str, ...]:
    """Return ('a', 'b') for 'a,b', and () for 'none'."""
    return () if text == "none" else tuple(names(text))
