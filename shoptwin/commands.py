"""Which command of which package each command of the front door is, and the parser of them all."""

from __future__ import annotations

import argparse
import textwrap
from importlib import import_module
from shutil import get_terminal_size

from eventlog._runtime.console import Parser, filled

# Title of a group -> name of a command -> the package and the subcommand that do the work.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "your own log": {
        "import": ("eventlog", "import"),
        "check": ("eventlog", "check"),
        "describe": ("eventlog", "describe"),
        "clean": ("eventlog", "clean"),
        "export": ("eventlog", "export"),
        "replay": ("eventlog", "replay"),
        "datasets": ("eventlog", "datasets"),
    },
    "a simulated shop whose truth is known": {
        "simulate": ("simulator", "run"),
        "scenarios": ("simulator", "scenarios"),
        "realism": ("simulator", "realism"),
        "calibrate": ("simulator", "calibrate"),
        "audit": ("simulator", "audit"),
    },
    "a synthetic log that can be shared": {
        "share": ("generators", "share"),
        "structure": ("generators", "structure"),
        "fit": ("generators", "fit"),
        "sample": ("generators", "sample"),
        "report": ("generators", "report"),
        "budget": ("generators", "budget"),
    },
    "which model is best": {
        "run": ("benchmark", "run"),
        "list": ("benchmark", "list"),
        "leaderboard": ("benchmark", "leaderboard"),
        "view": ("benchmark", "view"),
        "compare": ("benchmark", "compare"),
        "merge": ("benchmark", "merge"),
        "ceilings": ("benchmark", "ceilings"),
    },
    "this program": {
        "warmup": ("shoptwin", "warmup"),
        "completion": ("shoptwin", "completion"),
    },
}
COMMANDS = {name: where for group in GROUPS.values() for name, where in group.items()}
DESCRIPTION = """Synthetic e-commerce logs that can be shared, and a fair ranking of the models
trained on them."""
EXAMPLES = """examples:
  shoptwin simulate --users 2000 --days 60 --seed 7 --out shoplog
  shoptwin import orders.csv --out mylog
  shoptwin run --log mylog --models popularity,lstm,./mine.py
  shoptwin share mylog --epsilon 3 --out shared
'shoptwin COMMAND --help' explains a command."""


def spellings() -> dict[str, str]:
    """Return how each command is typed here, by how it is typed with `python -m`."""
    typed = {
        f"python -m {package} {command}": f"shoptwin {name}"
        for name, (package, command) in COMMANDS.items()
    }
    own = {f"python -m shoptwin {name}": f"shoptwin {name}" for name in GROUPS["this program"]}
    return {**typed, **own, "python -m generators list": "shoptwin list"}


class _FrontParser(Parser):
    """Lists its commands by what they are for."""

    def format_help(self) -> str:
        width = get_terminal_size().columns - 2
        lines = ["usage: shoptwin [--help] [--version] COMMAND ...", ""]
        lines += filled(DESCRIPTION, width)
        commands, beside = self.subcommands(), " " * 16
        for title, group in GROUPS.items():
            lines += [f"{title}:"]
            for name in group:
                entry = f"  {name:13} {commands[name].summary}"
                lines += textwrap.wrap(entry, width, subsequent_indent=beside)
            lines += [""]
        return "\n".join([*lines, EXAMPLES, ""])


def parser() -> Parser:
    """Return the parser of the front door, with every option of every command."""
    top = _FrontParser(prog="shoptwin")
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    packages = {
        name: import_module(f"{name}.__main__").parser().subcommands()
        for name in ("eventlog", "simulator", "generators", "benchmark")
    }
    packages["shoptwin"] = _own_commands()
    for name, (package, command) in COMMANDS.items():
        found = packages[package][command]
        commands.add_parser(
            name,
            parents=[found],
            add_help=False,
            help=found.summary,
            description=found.description,
            epilog=found.epilog,
        )
    return top


def _own_commands() -> dict[str, Parser]:
    top = Parser(prog="shoptwin")
    commands = top.add_subparsers(dest="command")
    commands.add_parser(
        "warmup",
        help="compile everything now, so that no later command has to",
        description="Compile the functions of the simulator and the generators and keep them on "
        "disk. A command that finds one missing compiles it by itself; this does all of it at "
        "once, on all cores. Needed again after an update.",
        epilog="example:\n  shoptwin warmup",
    )
    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands with the tab key",
        description="Print a completion script for a shell.",
        epilog='examples:\n  eval "$(shoptwin completion bash)"      # in ~/.bashrc\n'
        "  shoptwin completion zsh > ~/.zfunc/_shoptwin",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    return top.subcommands()


def run_own(arguments: argparse.Namespace) -> int:
    """Run a command that belongs to the front door itself."""
    if arguments.command == "completion":
        import shtab

        print(shtab.complete(parser(), shell=arguments.shell))
        return 0
    from shoptwin.warmup import warm_up

    return warm_up()
