"""python -m simulator calibrate."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.commands import documented, names, picked
from eventlog._runtime.console import Parser, add_out, seed
from eventlog._runtime.errors import InputError

SUMMARY = "fit a scenario to your own log"
DESCRIPTION = (
    "Fit a scenario to a log by matching its stylised facts. Run the same command again to "
    "continue an interrupted run."
)
EXAMPLES = """examples:
  python -m simulator calibrate mylog --out my.toml
  python -m simulator calibrate mylog --out my.toml --epsilon 3 --public items
  python -m simulator run --scenario ./my.toml --users 10000 --days 60 --seed 1 --out synthetic"""
OPTIONS = """
LOG                      a log folder
--trials TRIALS          number of simulations at most (default: 60)
--days DAYS              match the last DAYS days of the log (default: all, up to 120)
--users USERS            shoppers in each simulation (default: by the size of the log)
--seed SEED              seed of the simulations (default: 0)
--epsilon EPSILON        privacy budget: learn the log's facts under differential privacy for every
                         user
--delta DELTA            with --epsilon (default: min(1e-6, users^-1.5), of a noisy number of users)
--public A,B             with --epsilon: what is public; 'items' = the catalogue, if the import was
                         given one
--noise-seed NOISE_SEED  with --epsilon: makes the noise repeatable; no guarantee against anyone who
                         knows it
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG", type=Path)
    add_out(parser, "FILE.toml", "scenario file to write", type=Path)
    add("--trials", type=int, default=60)
    add("--days", type=int)
    add("--users", type=int)
    add("--seed", type=seed, default=0)
    add("--epsilon", type=float)
    add("--delta", type=float)
    add("--public", type=names, default=[])
    add("--noise-seed", type=seed)


def run(arguments: argparse.Namespace) -> None:
    """Calibrate a scenario and write it."""
    from eventlog._runtime.files import check_file_replaceable
    from eventlog.log import EventLog
    from simulator.calibration.calibrate import calibrate
    from simulator.calibration.result import ledger_path

    out = arguments.out
    if out.suffix != ".toml":
        raise InputError(f"--out is {out}; a scenario file ends in .toml.")
    check_file_replaceable(out, overwrite=arguments.overwrite)
    fit = calibrate(
        EventLog.read(arguments.log, truth=False),
        public=tuple(arguments.public),
        **picked(arguments, "trials", "days", "users", "seed"),
        **picked(arguments, "epsilon", "delta", "noise_seed"),
        keep=out.with_suffix(".trials.jsonl"),
        name=arguments.log.name,
    )
    fit.write(out)
    print(fit.table())
    distances = f"distance {fit.distance_before:.2f} before, {fit.distance:.2f} after"
    print(f"{out}: {distances} {fit.trials} trials")
    if fit.privacy:
        print(f"{ledger_path(out)}: {fit.privacy['statement']}")
