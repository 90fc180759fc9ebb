"""python -m generators sample."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from eventlog._runtime.commands import documented, picked
from eventlog._runtime.console import Parser, add_out, note, seed
from eventlog._runtime.errors import InputError
from generators.commands.assignments import condition, once, setting

if TYPE_CHECKING:
    from eventlog import EventLog

DAYS = 30.0  # how long a log is continued

SUMMARY = "sample a log"
DESCRIPTION = "Sample a log from a fitted generator."
EXAMPLES = """examples:
  python -m generators sample mymodel --users 10000 --seed 1 --out twin
  python -m generators sample mymodel --users 10000 --where country=DE --set fraud_rate=0.05 \\
      --out twin
  python -m generators sample mymodel --continue mylog --days 30 --out next_month
  python -m generators sample /shared/mymodel --users 1000000 --engine dask \\
      --address tcp://10.0.0.1:8786 --out twin
"""
OPTIONS = """
MODEL                      a folder that 'fit' wrote
--users USERS              how many users
--where COLUMN=VALUE       only users with this value of a static column (LOW..HIGH for a number)
--set LABEL_rate=SHARE     share of rows with the label, of those that can have it
--continue LOG             instead of new users: what the users of this log do next, under their own
                           ids; no privacy is guaranteed for them, whatever --epsilon was
--days DAYS                with --continue: how many days (default: 30)
--model MODEL              the Python file of the generator, where it was fitted from one
--seed SEED                of all random draws (default: 0)
--engine ENGINE            serial, processes or dask: sample users in parts, which gives the same
                           log (default: all at once)
--workers WORKERS          with --engine: parts at a time on this machine (default: cores)
--address tcp://HOST:PORT  with --engine dask: the scheduler; MODEL must be on shared storage
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("MODEL", dest="fitted")
    add("--users", type=int)
    add("--where", action="append", type=condition, default=[])
    add("--set", dest="rates", action="append", type=setting, default=[])
    add("--continue", dest="past")
    add("--days", type=float)
    add("--model")
    add("--seed", type=seed, default=0)
    add("--engine")
    add("--workers", type=int)
    add("--address")
    add_out(parser, "LOG", "log folder to write")


def run(arguments: argparse.Namespace) -> None:
    """Sample a log and write it."""
    from eventlog._runtime.files import check_replaceable

    where, rates = once(arguments.where, "--where"), once(arguments.rates, "--set")
    _check(arguments)
    check_replaceable(arguments.out, overwrite=arguments.overwrite)
    if arguments.engine is not None:
        log = _in_parts(arguments, where)
    elif arguments.past is not None:
        log = _continued(arguments)
    else:
        from generators.base import SampleConditions, sample_under
        from generators.persistence import load

        model = load(arguments.fitted, model=arguments.model)
        conditions = SampleConditions(where, rates)
        log = sample_under(model, arguments.users, seed=arguments.seed, conditions=conditions)
    _write(log, arguments.out)


def _check(arguments: argparse.Namespace) -> None:
    """Raise InputError where arguments do not go together."""
    if (arguments.users is None) == (arguments.past is None):
        raise InputError(
            "Give either --users (how many new users to draw) or --continue LOG (whose users to "
            "continue)."
        )
    if arguments.users is not None and arguments.users < 1:
        raise InputError(f"--users is {arguments.users}; at least one is needed.")
    if arguments.days is not None and arguments.past is None:
        raise InputError(
            "--days says how long to continue a log; give --continue LOG with it, or leave it out."
        )
    if arguments.past is not None and (arguments.where or arguments.rates):
        raise InputError("--where and --set are for new users; leave them out with --continue.")
    if arguments.engine is None and (arguments.workers, arguments.address) != (None, None):
        raise InputError("--workers and --address need --engine processes or --engine dask.")
    if arguments.engine is not None and (arguments.past is not None or arguments.rates):
        raise InputError(
            "--engine is for new users at their own rates; leave it out with --continue or --set."
        )


def _in_parts(arguments: argparse.Namespace, where: dict[str, str]) -> EventLog:
    from generators.distributed import sample

    how = picked(arguments, "seed", "engine", "workers", "address", "model")
    return sample(arguments.fitted, arguments.users, where=where, **how)


def _continued(arguments: argparse.Namespace) -> EventLog:
    from eventlog import EventLog
    from generators.persistence import load

    model = load(arguments.fitted, model=arguments.model)
    past = EventLog.read(arguments.past, truth=False)
    days = DAYS if arguments.days is None else arguments.days
    log = model.continue_log(past, days=days, seed=arguments.seed)
    note(log.manifest["privacy"]["statement"])
    return log


def _write(log: EventLog, out: str) -> None:
    from eventlog._runtime.terminal import suggest

    log.write(out)
    print(f"{out}: {len(log):,} events of {log.events['user_id'].nunique():,} users")
    suggest(
        {
            f"python -m eventlog describe {out}": "what is in it",
            f"python -m generators report --real LOG --synthetic {out} --out report": (
                "how like the real log it is, and how safe"
            ),
        }
    )
