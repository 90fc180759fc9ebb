"""python -m eventlog clean."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser, add_out
from eventlog._runtime.errors import InputError

SUMMARY = "remove duplicates, bots and clock errors"
DESCRIPTION = """Remove exact duplicates, orders that were sent twice, events far from the rest of
the log (wrong clocks) and users who are faster than people can be, and print what was changed. The
manifest of LOG2 keeps the account."""
EXAMPLES = "example:\n  python -m eventlog clean mylog --session-gap 30 --out cleanlog"
OPTIONS = """
LOG                     a log folder
--keep-duplicates       leave rows that equal an earlier one
--keep-repeated-orders  leave lines of an order that come again at a later time
--clock-gap DAYS        a longer gap in the log means a wrong clock (365; 0: off)
--bot-minute N          more events than this in a minute: a bot (120; 0: off)
--bot-day N             more events than this in 24 hours: a bot (5000; 0: off)
--session-gap MINUTES   recompute the sessions with this gap of inactivity
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("LOG", type=Path)
    add("--keep-duplicates", action="store_true")
    add("--keep-repeated-orders", action="store_true")
    add("--clock-gap", type=float, default=365.0)
    add("--bot-minute", type=int, default=120)
    add("--bot-day", type=int, default=5000)
    add("--session-gap", type=float)
    add_out(parser, "LOG2", "the log folder to write", type=Path)


def run(arguments: argparse.Namespace) -> None:
    """Clean the log and print what was changed."""
    from eventlog._runtime.files import check_replaceable
    from eventlog.clean import Cleaning, clean_folder

    source, out = arguments.log, arguments.out
    if os.path.realpath(source) == os.path.realpath(out):
        raise InputError(f"{source} cannot be cleaned in place; choose another --out.")
    check_replaceable(out, overwrite=arguments.overwrite)
    rules = Cleaning(
        duplicates=not arguments.keep_duplicates,
        repeated_orders=not arguments.keep_repeated_orders,
        clock_gap_days=arguments.clock_gap or None,
        bot_events_per_minute=arguments.bot_minute or None,
        bot_events_per_day=arguments.bot_day or None,
        session_gap_minutes=arguments.session_gap,
    )
    left, account = clean_folder(source, out, rules)
    print(account.to_string(index=False, justify="left"))
    print(f"{left:,} events left; written to {out}")
