"""python -m eventlog import."""

from __future__ import annotations

import argparse
from pathlib import Path

from eventlog._runtime import plugins
from eventlog._runtime.commands import documented, names, picked
from eventlog._runtime.console import Parser, add_out

SUMMARY = "read files into a log folder"
DESCRIPTION = """Read files of events into a log folder.

Without --preset or --mapping common column names are recognised, and what was assumed is printed.
Rows that cannot be events (no user, an unreadable time, a negative price, ...) are set aside in
LOG/rejects.parquet with their row number and reason, and counted in the summary. If more than 1 %
of the rows are set aside for reasons that neither the mapping nor --allow-rejects names, the import
fails (exit code 2)."""
EXAMPLES = """examples:
  python -m eventlog import online_retail.csv.gz --preset online-retail --out mylog
  python -m eventlog import 2024-*.csv.gz --items products.csv --out mylog
  python -m eventlog import shop.csv --mapping my.toml --allow-rejects 'missing user_id' --out mylog
  python -m eventlog import --schema > mapping.schema.json"""
OPTIONS = """
FILE                             .csv .tsv .txt .jsonl .json (also .gz .bz2 .zst .xz), .parquet,
                                 .zip, a folder, a pattern of files of one layout, an address
                                 (s3://...), - for standard input, or a log folder
--preset NAME                    a public format: PRESETS
--mapping TOML                   a mapping of your own, written like a preset
--schema                         print the JSON schema of a mapping, for editors, and exit
--allow-rejects REASON[,REASON]  reasons for which any number of rows may be set aside
--encoding NAME                  encoding of text or JSON lines that are not utf-8, such as
                                 latin-1 or cp1252
--sql QUERY                      the query that gives the rows, of a database (.sqlite, .duckdb,
                                 postgresql://...) or, by DuckDB, of the files, as tables that are
                                 named like them
--decimal                        the mark before decimals, where the numbers of the file leave it
                                 open
--items FILE                     a file with a row for each item, for items.parquet
--users FILE                     a file with a row for each user, for users.parquet
--currency CURRENCY              currency of the prices, such as EUR (goes into the manifest)
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    presets = ", ".join(plugins.names("eventlog.ingest.presets", suffix=".toml"))
    add = documented(parser, OPTIONS.replace("PRESETS", presets))
    add("FILE", nargs="+")
    how = parser.add_mutually_exclusive_group()
    add("--preset", to=how)
    add("--mapping", to=how, type=Path)
    add("--schema", action=_PrintSchema, nargs=0)
    add("--allow-rejects", type=names, default=[])
    add("--encoding")
    add("--sql")
    add("--decimal", choices=(".", ","))
    for name in ("--items", "--users", "--currency"):
        add(name)
    add_out(parser, "LOG", "the log folder to write", type=Path)


def run(arguments: argparse.Namespace) -> None:
    """Import the files and print what was read."""
    from eventlog._runtime.files import check_replaceable
    from eventlog._runtime.garbage import importing, keep_freed_memory
    from eventlog._runtime.terminal import suggest

    keep_freed_memory()
    with importing():
        from eventlog.ingest.ingest import import_file
        from eventlog.ingest.mapping import load, preset

    out, mapping, made_with = arguments.out, None, None
    check_replaceable(out, overwrite=arguments.overwrite)
    if arguments.preset:
        mapping, made_with = preset(arguments.preset), arguments.preset
    elif arguments.mapping:
        mapping, made_with = load(arguments.mapping), arguments.mapping.name
    summary = import_file(
        arguments.file,
        out,
        mapping=mapping,
        **picked(arguments, "allow_rejects", "currency", "encoding", "decimal"),
        **picked(arguments, "items", "users", "sql"),
        made_with=made_with,
    )
    print(summary)
    suggest(
        {
            f"python -m eventlog describe {out}": "what is in it",
            f"python -m benchmark run --log {out} --profile smoke": "rank models on it",
            f"python -m generators share {out} --epsilon 3 --out shared": "a log that may leave",
        }
    )


class _PrintSchema(argparse.Action):
    """Print the schema and exit, before required arguments are asked for, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *args: object, **kwargs: object) -> None:
        import json

        from eventlog.ingest.mapping import schema

        print(json.dumps(schema(), indent=2, ensure_ascii=False))
        parser.exit()
