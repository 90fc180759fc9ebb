"""The command line: python -m eventlog import | check | clean | describe | export | datasets."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime.console import run
from eventlog._runtime.errors import InputError
from eventlog._runtime.files import check_replaceable
from eventlog.arguments import parser


def main(argv: list[str]) -> int:
    """Run one command and return the exit code."""
    arguments = parser().parse_args(argv)
    commands = {
        "import": _import,
        "check": _check,
        "clean": _clean,
        "describe": _describe,
        "export": _export,
        "replay": _replay,
        "datasets": _datasets,
    }
    return commands[arguments.command](arguments)


def _import(arguments: argparse.Namespace) -> int:
    from eventlog.ingest.ingest import import_file
    from eventlog.ingest.mapping import load, preset

    check_replaceable(arguments.out, overwrite=arguments.overwrite)
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
            decimal=arguments.decimal,
            items=arguments.items,
            users=arguments.users,
            sql=arguments.sql,
            made_with=arguments.preset or (arguments.mapping.name if arguments.mapping else None),
        )
    )
    _suggest(arguments.out)
    return 0


def _suggest(log: Path) -> None:
    from eventlog._runtime.terminal import suggest

    suggest(
        {
            f"python -m eventlog describe {log}": "what is in it",
            f"python -m benchmark run --log {log} --profile smoke": "rank models on it",
            f"python -m generators share {log} --epsilon 3 --out shared": "a log that may leave",
        }
    )


def _check(arguments: argparse.Namespace) -> int:
    from eventlog.check import check, lines

    findings = check(arguments.log)
    for line in lines(findings):
        print(line)
    return 2 if any(f.level == "error" for f in findings) else 0


def _clean(arguments: argparse.Namespace) -> int:
    from eventlog.clean import Cleaning, clean_folder

    if arguments.log.resolve() == arguments.out.resolve():
        raise InputError(f"{arguments.log} cannot be cleaned in place; choose another --out.")
    check_replaceable(arguments.out, overwrite=arguments.overwrite)
    left, account = clean_folder(
        arguments.log,
        arguments.out,
        Cleaning(
            duplicates=not arguments.keep_duplicates,
            repeated_orders=not arguments.keep_repeated_orders,
            clock_gap_days=arguments.clock_gap or None,
            bot_events_per_minute=arguments.bot_minute or None,
            bot_events_per_day=arguments.bot_day or None,
            session_gap_minutes=arguments.session_gap,
        ),
    )
    print(account.to_string(index=False, justify="left"))
    print(f"{left:,} events left; written to {arguments.out}")
    return 0


def _describe(arguments: argparse.Namespace) -> int:
    from eventlog._runtime.files import check_file_replaceable, new_file
    from eventlog.describe import describe

    if arguments.html is not None:
        check_file_replaceable(arguments.html, overwrite=arguments.overwrite)
    description = describe(arguments.log, against=arguments.against)
    description.show()
    if arguments.html is not None:
        with new_file(arguments.html) as temporary:
            temporary.write_text(description.html(), encoding="utf-8")
        print(f"written to {arguments.html}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from eventlog.export import check, export
    from eventlog.log import EventLog

    check(arguments.out, arguments.format, overwrite=arguments.overwrite)
    if arguments.formulas and arguments.format != "csv":
        raise InputError("--formulas is for --format csv; leave it out.")
    settings = {"formulas": True} if arguments.formulas else {}
    log = EventLog.read(arguments.log, truth=False)
    path = export(log, arguments.out, format=arguments.format, **settings)
    print(f"written to {path}")
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    from eventlog._runtime.console import note
    from eventlog.log import EventLog
    from eventlog.replay import replay, sender

    with sender(arguments.to) as send:
        done = replay(
            EventLog.read(arguments.log, truth=False),
            send,
            speed=arguments.speed,
            first=arguments.first,
            state=arguments.state,
        )
    note(str(done))
    return 0


def _datasets(arguments: argparse.Namespace) -> int:
    from eventlog import datasets
    from eventlog.manifest import read_manifest

    for name in datasets.names():
        folder = datasets.folder_of(name)
        facts = read_manifest(folder)
        print(f"{name:16} {facts['title']}, {facts['licence']}  {folder}")
    return 0


if __name__ == "__main__":
    run(main)
