"""python -m generators fit."""

from __future__ import annotations

import argparse

from eventlog._runtime.commands import documented, picked
from eventlog._runtime.console import Parser, add_out, note, seed
from generators.commands.assignments import once, setting

SUMMARY = "learn a generator from a log"
DESCRIPTION = "Learn a generator from a log."
EXAMPLES = """example:
  python -m generators fit mylog --model vae --epsilon 3 --public items,event=names.txt \\
      --set epochs=5 --seed 1 --out mymodel
With --epsilon the noise that protects the users is drawn anew each time, whatever --seed is.
"""
OPTIONS = """
LOG                      a log folder
--model MODEL            a name from 'list', or a Python file that defines a Generator (default:
                         vae)
--epsilon EPSILON        guarantee (epsilon, delta)-differential privacy for every user
--delta DELTA            default: min(1e-6, users^-1.5), with a noisy number of users
--public A,B=FILE        what is public anyway: 'items' (the catalogue), a column of it, or
                         NAME=FILE with a list from elsewhere
--set NAME=VALUE         a setting of the generator
--seed SEED              of everything but the noise of --epsilon (default: 0)
--noise-seed NOISE_SEED  with --epsilon: makes the noise repeatable, for tests; voids the guarantee
                         against anyone who knows it
--budget BOOK            with --epsilon: record the fit in this budget book, which refuses to be
                         exceeded
--structure FILE         what is determined in the log: a file that 'structure' wrote, or SDV's
                         metadata.json; with --epsilon only what it declares is used
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG")
    add("--model", default="vae")
    add("--epsilon", type=float)
    add("--delta", type=float)
    add("--public", default="")
    add("--set", dest="settings", action="append", type=setting, default=[])
    add("--seed", type=seed, default=0)
    add("--noise-seed", type=seed)
    add("--budget")
    add("--structure")
    add_out(parser, "MODEL", "folder to write")


def run(arguments: argparse.Namespace) -> None:
    """Fit a generator and save it."""
    from eventlog import EventLog
    from eventlog._runtime.files import check_replaceable
    from eventlog._runtime.terminal import suggest
    from generators.persistence import fit, save

    out = arguments.out
    check_replaceable(out, overwrite=arguments.overwrite)
    model = fit(
        EventLog.read(arguments.log, truth=False),
        settings=once(arguments.settings, "--set"),
        **picked(arguments, "model", "epsilon", "delta", "public", "seed", "noise_seed"),
        **picked(arguments, "budget", "structure"),
    )
    save(model, out)
    note(model.privacy["statement"])
    for line in model.changes():
        note(line)
    print(out)
    suggest(
        {
            f"python -m generators sample {out} --users 1000 --out twin": "draw a log from it",
            f"python -m generators report --real {arguments.log} --synthetic twin --model {out} "
            "--out report": "then judge that log",
        }
    )
