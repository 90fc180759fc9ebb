"""The command line: python -m eventlog import | check | clean | describe | export."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.console import Parser, run
from eventlog._runtime.errors import InputError
from eventlog._runtime.plugins import names

EXAMPLE = """examples:
  python -m eventlog import online_retail.csv.gz --preset online-retail --out mylog
  python -m eventlog check mylog
  python -m eventlog describe mylog"""


def parser() -> Parser:
    """The command line's arguments."""
    top = Parser(
        prog="python -m eventlog",
        description="Bring a team's own log in, look at it, take it out.",
        epilog=EXAMPLE,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    p = commands.add_parser(
        "import",
        help="a file -> a log folder",
        description=IMPORT_HELP,
        epilog="examples:\n  python -m eventlog import online_retail.csv.gz --preset online-retail --out mylog\n"
        "  python -m eventlog import shop.csv --mapping my.toml --allow-rejects 'missing user_id' --out mylog",
    )
    p.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help=".csv .tsv .txt .jsonl .json (also .gz .bz2 .zst), .parquet, or a log folder",
    )
    how = p.add_mutually_exclusive_group()
    how.add_argument("--preset", metavar="NAME", help=f"a public format: {', '.join(_presets())}")
    how.add_argument(
        "--mapping", metavar="TOML", type=Path, help="a mapping of your own, written like a preset"
    )
    p.add_argument(
        "--allow-rejects",
        metavar="REASON[,REASON]",
        default="",
        help="reasons of which any number of rows may be set aside",
    )
    p.add_argument(
        "--encoding",
        metavar="NAME",
        help="of a text file that is not utf-8, such as latin-1 or cp1252",
    )
    p.add_argument(
        "--currency", help="currency of the prices, such as EUR (goes into the manifest)"
    )
    p.add_argument("--out", type=Path, required=True, metavar="LOG", help="the log folder to write")

    p = commands.add_parser(
        "check",
        help="is a log what the schema says?",
        description="Name errors and oddities; exit code 2 on errors.",
        epilog="example:\n  python -m eventlog check mylog",
    )
    p.add_argument("log", type=Path, metavar="LOG")

    p = commands.add_parser(
        "clean",
        help="remove duplicates, bots and clock errors",
        description=CLEAN_HELP,
        epilog="example:\n  python -m eventlog clean mylog --session-gap 30 --out cleanlog",
    )
    p.add_argument("log", type=Path, metavar="LOG")
    p.add_argument(
        "--keep-duplicates", action="store_true", help="leave rows that equal an earlier one"
    )
    p.add_argument(
        "--clock-gap",
        type=float,
        default=365.0,
        metavar="DAYS",
        help="gap beyond which clocks are broken (365; 0: off)",
    )
    p.add_argument(
        "--bot-minute",
        type=int,
        default=120,
        metavar="N",
        help="more events than this in a minute: a bot (120; 0: off)",
    )
    p.add_argument(
        "--bot-day",
        type=int,
        default=5000,
        metavar="N",
        help="more events than this in 24 hours: a bot (5000; 0: off)",
    )
    p.add_argument(
        "--session-gap",
        type=float,
        metavar="MINUTES",
        help="make the sessions anew by this inactivity",
    )
    p.add_argument(
        "--out", type=Path, required=True, metavar="LOG2", help="the log folder to write"
    )

    p = commands.add_parser(
        "describe",
        help="what is in a log",
        description="Span, users, events, funnel, columns and labels of a log.",
        epilog="example:\n  python -m eventlog describe mylog",
    )
    p.add_argument("log", type=Path, metavar="LOG")

    p = commands.add_parser(
        "export",
        help="a log -> files for other tools",
        description="Write the events as one file (recbole: folder).",
        epilog="example:\n  python -m eventlog export mylog --format recbole --out recbole/mylog",
    )
    p.add_argument("log", type=Path, metavar="LOG")
    p.add_argument("--format", required=True, choices=("csv", "jsonl", "parquet", "recbole"))
    p.add_argument("--out", type=Path, required=True, metavar="PATH")
    return top


IMPORT_HELP = """Read a file of events into a log folder.

Without --preset or --mapping common column names are recognised, and what was assumed is printed.
Rows that cannot be events (no user, a time that cannot be read, a negative price, ...) are set aside
in LOG/rejects.parquet with their row and reason, and counted in the summary. More than 1 % of rows
set aside for reasons that neither the mapping nor --allow-rejects names is an error (exit code 2)."""

CLEAN_HELP = """Remove exact duplicates, events out of the log's span (broken clocks) and users faster than people are,
and print an account of what was changed. The account also stands in the manifest of LOG2."""


def _presets() -> list[str]:
    return names("eventlog.ingest.presets", suffix=".toml")


def main(argv: list[str]) -> int:
    """Run one command; the return value is the exit code."""
    arguments = parser().parse_args(argv)
    commands = {
        "import": _import,
        "check": _check,
        "clean": _clean,
        "describe": _describe,
        "export": _export,
    }
    return commands[arguments.command](arguments)


def _import(arguments: argparse.Namespace) -> int:
    from eventlog.ingest.ingest import import_file
    from eventlog.ingest.mapping import load, preset

    mapping = (
        preset(arguments.preset)
        if arguments.preset
        else load(arguments.mapping)
        if arguments.mapping
        else None
    )
    reasons = [reason.strip() for reason in arguments.allow_rejects.split(",") if reason.strip()]
    print(
        import_file(
            arguments.file,
            arguments.out,
            mapping=mapping,
            allow_rejects=reasons,
            currency=arguments.currency,
            encoding=arguments.encoding,
            made_with=arguments.preset or (arguments.mapping.name if arguments.mapping else None),
        )
    )
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from eventlog.check import check, lines

    findings = check(arguments.log)
    for line in lines(findings):
        print(line)
    return 2 if any(f.level == "error" for f in findings) else 0


def _clean(arguments: argparse.Namespace) -> int:
    from eventlog.clean import Cleaning, clean
    from eventlog.log import EventLog

    if arguments.log.resolve() == arguments.out.resolve():
        raise InputError(f"{arguments.log} cannot be cleaned onto itself; choose another --out.")
    log, account = clean(
        EventLog.read(arguments.log),
        Cleaning(
            duplicates=not arguments.keep_duplicates,
            clock_gap_days=arguments.clock_gap or None,
            bot_events_per_minute=arguments.bot_minute or None,
            bot_events_per_day=arguments.bot_day or None,
            session_gap_minutes=arguments.session_gap,
        ),
    )
    log.write(arguments.out)
    print(account.to_string(index=False, justify="left"))
    print(f"{len(log):,} events left, written to {arguments.out}")
    return 0


def _describe(arguments: argparse.Namespace) -> int:
    from eventlog.describe import describe
    from eventlog.log import EventLog

    describe(EventLog.read(arguments.log, truth=False)).show()
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from eventlog.export import export
    from eventlog.log import EventLog

    path = export(EventLog.read(arguments.log, truth=False), arguments.out, format=arguments.format)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    run(main)
