"""Commands: every module of a `commands` folder is a command, and its table is what it takes."""

from __future__ import annotations

import argparse
import pkgutil
from importlib import import_module

import pytest

from eventlog._runtime.commands import documented, picked, positive, seeds
from eventlog._runtime.console import Parser

PACKAGES = ("eventlog", "simulator", "generators", "benchmark")
TABLE = """
LOG             a log folder
--users N       how many users, which
                may take two lines
--overwrite     replace it
--format
"""


def commands_of(package: str) -> dict[str, object]:
    folder = import_module(f"{package}.commands").__path__
    modules = [import_module(f"{package}.commands.{m.name}") for m in pkgutil.iter_modules(folder)]
    return {m.__name__.rpartition(".")[2]: m for m in modules if hasattr(m, "SUMMARY")}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_of_the_folder_is_a_command(package: str) -> None:
    assert set(import_module(f"{package}.__main__").COMMANDS) == set(commands_of(package))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_command_takes_all_that_its_table_shows(package: str) -> None:
    for name, module in commands_of(package).items():
        lines = getattr(module, "OPTIONS", "").splitlines()
        shown = {line.split()[0] for line in lines if line.strip() and not line.startswith(" ")}
        found = Parser(prog=name)
        module.add_arguments(found)  # type: ignore[attr-defined]
        taken = {s for a in found._actions for s in a.option_strings or (a.metavar or a.dest,)}
        assert shown <= taken, name


def test_arguments_have_the_names_values_and_help_of_their_table() -> None:
    parser = Parser(prog="try")
    add = documented(parser, TABLE)
    add("LOG", dest="log_folder")
    add("--users", type=int, default=3)
    add("--overwrite", action="store_true")
    add("--format", choices=("csv", "jsonl"))
    found = parser.parse_args(["mylog", "--users", "5", "--format", "csv"])
    assert picked(found, "users", "overwrite") == {"users": 5, "overwrite": False}
    assert (found.log_folder, found.format) == ("mylog", "csv")
    said = " ".join(parser.format_help().split())
    for expected in ("LOG a log folder", "--users N how many users, which may take two lines"):
        assert expected in said
    with pytest.raises(KeyError):
        add("--forgotten")


def test_a_table_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="no line of a table"):
        documented(Parser(prog="try"), "--users N how many users")


def test_seeds_are_a_number_of_them_or_a_list() -> None:
    assert (seeds("3"), seeds("3,7"), positive("2")) == ([0, 1, 2], [3, 7], 2)


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "", "x"])
def test_what_is_no_positive_number_is_refused(given: str) -> None:
    for kind in (seeds, positive):
        with pytest.raises(argparse.ArgumentTypeError, match=r"asks for no seed|is not"):
            kind(given)
