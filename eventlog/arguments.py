"""The arguments of the command line of eventlog, one function a command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from eventlog._runtime.console import Parser, add_out
from eventlog._runtime.plugins import names

EXAMPLE = """examples:
  python -m eventlog import online_retail.csv.gz --preset online-retail --out mylog
  python -m eventlog check mylog
  python -m eventlog describe mylog"""
IMPORT_HELP = """Read files of events into a log folder.

Without --preset or --mapping common column names are recognised, and what was assumed is printed.
Rows that cannot be events (no user, an unreadable time, a negative price, ...) are set aside in
LOG/rejects.parquet with their row number and reason, and counted in the summary. If more than 1 %
of the rows are set aside for reasons that neither the mapping nor --allow-rejects names, the import
fails (exit code 2)."""

IMPORT_EXAMPLE = """examples:
  python -m eventlog import online_retail.csv.gz --preset online-retail --out mylog
  python -m eventlog import 2024-*.csv.gz --items products.csv --out mylog
  python -m eventlog import shop.csv --mapping my.toml --allow-rejects 'missing user_id' --out mylog
  python -m eventlog import --schema > mapping.schema.json"""

EXPORT_HELP = """Write a log for other tools: one file with the events (csv, jsonl, parquet), a
DuckDB database, or a folder with users and items too (huggingface, postgres, recbole, rectools,
sdv). In CSV a text that a spreadsheet would run as a formula gets a ' before it, which the import
takes away again."""

REPLAY_HELP = """Send the events of a log in the order of their times, as JSON lines. The receiver
sets the pace where it is slower; nothing is dropped. A replay that was stopped goes on with the
same --state; the events since the state was last written are then sent again. Over HTTP up to 500
events that are due together are one POST (application/x-ndjson); 429 and 503 are waited for, and
Retry-After counts. In Kafka the key of a message is the user."""

REPLAY_EXAMPLE = """examples:
  python -m eventlog replay mylog --speed 60 | my-pipeline
  python -m eventlog replay mylog --speed 3600 --to http://127.0.0.1:8000/events --state replay.json
  python -m eventlog replay mylog --speed 0 --to kafka://localhost:9092/events"""

CLEAN_HELP = """Remove exact duplicates, orders that were sent twice, events far from the rest of
the log (wrong clocks) and users who are faster than people can be, and print what was changed. The
manifest of LOG2 keeps the account."""


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(
        prog="python -m eventlog",
        description="Import a team's own log, look at it, clean it, export it.",
        epilog=EXAMPLE,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_import(commands)
    _add_check(commands)
    _add_clean(commands)
    _add_describe(commands)
    _add_export(commands)
    _add_replay(commands)
    _add_datasets(commands)
    return top


def _add_import(commands: Any) -> None:
    p = commands.add_parser(
        "import",
        help="read files into a log folder",
        description=IMPORT_HELP,
        epilog=IMPORT_EXAMPLE,
    )
    p.add_argument(
        "file",
        nargs="+",
        metavar="FILE",
        help=".csv .tsv .txt .jsonl .json (also .gz .bz2 .zst .xz), .parquet, .zip, a folder, a "
        "pattern of files of one layout, an address (s3://...), - for standard input, or a log "
        "folder",
    )
    how = p.add_mutually_exclusive_group()
    how.add_argument("--preset", metavar="NAME", help=f"a public format: {', '.join(_presets())}")
    how.add_argument(
        "--mapping", metavar="TOML", type=Path, help="a mapping of your own, written like a preset"
    )
    p.add_argument(
        "--schema",
        action=_PrintSchema,
        nargs=0,
        help="print the JSON schema of a mapping, for editors, and exit",
    )
    p.add_argument(
        "--allow-rejects",
        metavar="REASON[,REASON]",
        default="",
        help="reasons for which any number of rows may be set aside",
    )
    p.add_argument(
        "--encoding",
        metavar="NAME",
        help="encoding of a text file that is not utf-8, such as latin-1 or cp1252",
    )
    p.add_argument(
        "--sql",
        metavar="QUERY",
        help="the query that gives the rows, of a database (.sqlite, .duckdb, postgresql://...) or,"
        " by DuckDB, of the files, as tables that are named like them",
    )
    p.add_argument(
        "--decimal",
        choices=(".", ","),
        help="the mark before decimals, where the numbers of the file leave it open",
    )
    p.add_argument(
        "--items", metavar="FILE", help="a file with a row for each item, for items.parquet"
    )
    p.add_argument(
        "--users", metavar="FILE", help="a file with a row for each user, for users.parquet"
    )
    p.add_argument(
        "--currency", help="currency of the prices, such as EUR (goes into the manifest)"
    )
    add_out(p, "LOG", "the log folder to write", type=Path)


def _add_check(commands: Any) -> None:
    p = commands.add_parser(
        "check",
        help="compare a log with the schema",
        description="Print errors and warnings; the exit code is 2 if there are errors.",
        epilog="example:\n  python -m eventlog check mylog",
    )
    p.add_argument("log", type=Path, metavar="LOG")


def _add_clean(commands: Any) -> None:
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
        "--keep-repeated-orders",
        action="store_true",
        help="leave lines of an order that come again at a later time",
    )
    p.add_argument(
        "--clock-gap",
        type=float,
        default=365.0,
        metavar="DAYS",
        help="a longer gap in the log means a wrong clock (365; 0: off)",
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
        help="recompute the sessions with this gap of inactivity",
    )
    add_out(p, "LOG2", "the log folder to write", type=Path)


def _add_describe(commands: Any) -> None:
    p = commands.add_parser(
        "describe",
        help="show what is in a log",
        description="Show the span, users, events, funnel, columns and labels of a log, and what "
        "stands out in it.",
        epilog="examples:\n  python -m eventlog describe mylog --html mylog.html\n"
        "  python -m eventlog describe mylog --against lastyear",
    )
    p.add_argument("log", type=Path, metavar="LOG")
    p.add_argument(
        "--html", type=Path, metavar="PATH", help="write a page with pictures, which opens offline"
    )
    p.add_argument(
        "--against", type=Path, metavar="LOG2", help="say how the log differs from another"
    )
    p.add_argument("--overwrite", action="store_true", help="replace PATH if it exists")


def _add_export(commands: Any) -> None:
    p = commands.add_parser(
        "export",
        help="write a log for other tools",
        description=EXPORT_HELP,
        epilog="examples:\n  python -m eventlog export mylog --format recbole --out recbole/mylog\n"
        "  python -m eventlog export mylog --format csv --out mylog.csv.gz",
    )
    p.add_argument("log", type=Path, metavar="LOG")
    p.add_argument("--format", required=True, choices=names("eventlog.formats"))
    p.add_argument(
        "--formulas",
        action="store_true",
        help="csv: do not protect texts that a spreadsheet would run (= + - @)",
    )
    add_out(p, "PATH", "the file or folder to write", type=Path)


def _add_replay(commands: Any) -> None:
    p = commands.add_parser(
        "replay",
        help="send a log's events in event time",
        description=REPLAY_HELP,
        epilog=REPLAY_EXAMPLE,
    )
    p.add_argument("log", type=Path, metavar="LOG")
    p.add_argument(
        "--speed",
        type=float,
        default=1.0,
        metavar="N",
        help="seconds of the log in a second (1); 0: as fast as the receiver takes them",
    )
    p.add_argument(
        "--to",
        default="stdout",
        metavar="WHERE",
        help="stdout (default), http://HOST:PORT/PATH or kafka://HOST:PORT/TOPIC",
    )
    p.add_argument(
        "--from", dest="first", type=int, metavar="EVENT_ID", help="the event to begin with"
    )
    p.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="where to keep how far the replay came; if it exists, the replay goes on from there",
    )


def _add_datasets(commands: Any) -> None:
    commands.add_parser(
        "datasets",
        help="list the real logs that ship with the program",
        description="List the real logs that ship with the program: name, title, licence, folder.",
        epilog="example:\n  python -m eventlog datasets",
    )


class _PrintSchema(argparse.Action):
    """Print the schema and exit, before required arguments are asked for, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *args: object, **kwargs: object) -> None:
        import json

        from eventlog.ingest.mapping import schema

        print(json.dumps(schema(), indent=2, ensure_ascii=False))
        parser.exit()


def _presets() -> list[str]:
    return names("eventlog.ingest.presets", suffix=".toml")
