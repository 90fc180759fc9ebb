"""A command line made of modules, one a command.

The commands of a package are modules of its folder `commands`. Each of them has

- SUMMARY, DESCRIPTION and EXAMPLES: what the list of commands says of it, and what its help says
  above and below the options;
- OPTIONS: a table of its arguments as its help shows them, which `documented` reads;
- add_arguments(parser): of what type they are, and their defaults;
- run(arguments): does the work and returns the exit code, or None for 0.

What does the work is imported by `run`, so that help is quick.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from eventlog._runtime.console import Parser, seed

# An argument and what the help calls its value, then two spaces or more, then what it is for.
_ENTRY = re.compile(r"^(\S+)(?: (\S+))?(?: {2,}(.+))?$")


def parser_of(package: str, names: Iterable[str], *, description: str, examples: str) -> Parser:
    """Return the parser of `python -m PACKAGE`, whose commands are `names`, in this order.

    A name that is a keyword of Python has an underscore behind it in the module's name.
    """
    top = Parser(prog=f"python -m {package}", description=description, epilog=examples)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in names:
        module = import_module(f"{package}.commands.{name}")
        command = commands.add_parser(
            name.rstrip("_"),
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=module.EXAMPLES,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top


def run_command(parser: Parser, argv: list[str]) -> int:
    """Run the command that `argv` asks for; return its exit code."""
    arguments = parser.parse_args(argv)
    return int(arguments.run(arguments) or 0)


def documented(parser: Parser, options: str) -> Callable[..., None]:
    """Return a function that adds an argument of the table `options` to `parser`.

    A line of the table is an argument, the name of its value if it has one, and after two spaces
    its help, which may go on in lines that begin with spaces. The function takes the argument as
    the table spells it and the keywords of `add_argument`; with `to` it adds to a group instead. A
    positional argument (LOG) becomes an attribute in lower case (`log`), unless `dest` names one.
    """
    table = _read(options)

    def add(name: str, *, to: Any = None, dest: str | None = None, **kind: Any) -> None:
        metavar, text = table[name]
        if name.startswith("-"):
            kind |= {"dest": dest} if dest else {}
            kind |= {"metavar": metavar} if metavar else {}
            (to or parser).add_argument(name, help=text, **kind)
        else:
            (to or parser).add_argument(dest or name.lower(), metavar=name, help=text, **kind)

    return add


def _read(options: str) -> dict[str, tuple[str | None, str | None]]:
    """Return the name of the value and the help of each argument in a table."""
    found = {}
    for entry in re.split(r"\n(?=\S)", options.strip()):
        match = _ENTRY.match(re.sub(r"\n +", " ", entry))
        if match is None:
            raise ValueError(f"{entry!r} is no line of a table of options.")
        name, metavar, text = match.groups()
        found[name] = metavar, text
    return found


def picked(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return some of the arguments by name, to hand them on as they are."""
    return {name: getattr(arguments, name) for name in names}


# --- types of arguments ---------------------------------------------------------------------------


def names(text: str) -> list[str]:
    """Return ['a', 'b'] for 'a, b'."""
    return [name for name in (part.strip() for part in text.split(",")) if name]


def positive(text: str) -> int:
    """Return a whole number that is at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def seeds(text: str) -> list[int]:
    """Return the seeds that '3' (0, 1, 2) or '3,7' means."""
    given = [seed(part) for part in text.split(",") if part.strip()]
    if "," in text and given:
        return given
    if not given or given[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} asks for no seed")
    return list(range(given[0]))
