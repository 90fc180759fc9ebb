"""python -m benchmark list."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from eventlog._runtime.commands import documented
from eventlog._runtime.console import Parser

SUMMARY = "suites, tasks, models, generators and scenarios, one line each"
DESCRIPTION = (
    "Everything that is registered, one line each; with --suite, which differences between models "
    "its tables can tell apart."
)
EXAMPLES = """examples:
  python -m benchmark list
  python -m benchmark list --suite churn --profile full
  python -m benchmark list --schema > suite.schema.json"""
OPTIONS = """
--schema           print the JSON schema of a suite file, for an editor that completes and checks it
--suite SUITE      say which difference each table of this suite resolves at 80 %% power
--profile PROFILE  with --suite: smoke, default (default), published or full
--results DIR      with --suite: take it from these results, where they are of it (default: results)
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    add = documented(parser, OPTIONS)
    add("--schema", action="store_true")
    add("--suite")
    add("--profile", default="default")
    add("--results", default="results")


def run(arguments: argparse.Namespace) -> None:
    """Print what is asked for."""
    for line in _lines(arguments):
        print(line)


def _lines(arguments: argparse.Namespace) -> Iterable[str]:
    if arguments.schema:
        import json

        from benchmark.suite import SuiteFile
        from eventlog._runtime.settings import json_schema

        return [json.dumps(json_schema(SuiteFile), indent=2)]
    if arguments.suite:
        from benchmark.report import resolution

        return resolution.lines(
            arguments.suite, profile=arguments.profile, results=arguments.results
        )
    from benchmark.report import listing

    return listing.lines()
