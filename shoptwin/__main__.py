"""The console script `shoptwin`, and `python -m shoptwin`."""

from __future__ import annotations

from importlib import import_module

from eventlog._runtime import console
from eventlog._runtime.errors import UnknownNameError
from shoptwin.commands import COMMANDS, parser, run_own, spellings


def main(argv: list[str]) -> int:
    """Run one command; the package that it belongs to does the work."""
    console.spell_commands(spellings())
    name = argv[0] if argv else "--help"
    if name.startswith("-"):
        if parser().parse_args([name]).version:
            from eventlog import __version__

            print(f"shoptwin {__version__}")
        return 0
    if name not in COMMANDS:
        raise UnknownNameError("command", name, COMMANDS)
    package, command = COMMANDS[name]
    if package == "shoptwin":
        return run_own(parser().parse_args(argv))
    code: int = import_module(f"{package}.__main__").main([command, *argv[1:]]) or 0
    return code


def script() -> None:
    """Run the console script."""
    console.run(main)


if __name__ == "__main__":
    script()
