"""Each command is found at the front door, explains itself at once, and does what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shoptwin.commands import COMMANDS, parser


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shoptwin", *arguments], capture_output=True, text=True, timeout=120
    )


def test_every_command_of_the_packages_has_a_name() -> None:
    from importlib import import_module

    for package in ("eventlog", "simulator", "generators", "benchmark"):
        commands = set(import_module(f"{package}.__main__").parser().subcommands())
        named = {command for where, command in COMMANDS.values() if where == package}
        assert named >= commands - {"list"}


def test_the_help_lists_every_command_with_what_it_is_for() -> None:
    lines = call("--help").stdout.splitlines()
    for name, command in parser().subcommands().items():
        assert any(line.split()[:1] == [name] and command.summary in line for line in lines), name
    assert call().stdout.splitlines() == lines


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_help_has_an_example_of_this_command(name: str) -> None:
    text = parser().subcommands()[name].format_help()
    from eventlog._runtime import console
    from shoptwin.commands import spellings

    for module, typed in spellings().items():
        text = text.replace(module, typed)
    assert "example" in text
    assert f"shoptwin {name}" in text
    assert console.as_typed("python -m eventlog check x").endswith("check x")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom shoptwin.__main__ import main\ntry:\n    main(['--help'])\n"
        "except SystemExit:\n    print([m for m in ('numpy', 'pandas', 'torch', 'pyarrow', "
        "'shtab') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_commands_are_shown_as_they_are_typed() -> None:
    out = call("simulate", "--help").stdout
    assert out.startswith("usage: shoptwin simulate")
    assert "python -m" not in out
    wrong = call("import", "nothing.csv", "--out")
    assert wrong.returncode == 2
    assert "shoptwin import --help" in wrong.stderr


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    wrong = call("simulat")
    assert wrong.returncode == 2
    assert "did you mean 'simulate'" in wrong.stderr


def test_version() -> None:
    from eventlog import __version__

    assert call("--version").stdout == f"shoptwin {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command(shell: str) -> None:
    script = call("completion", shell).stdout
    for name in COMMANDS:
        assert name in script


@pytest.mark.parametrize("width", [60, 80, 100])
def test_help_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    top = parser()
    for name, found in {"": top, **top.subcommands()}.items():
        for line in found.format_help().splitlines():
            assert len(line) <= width or line.startswith("  "), (name, line)  # commands are typed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("describe mylog --htm x", "unrecognized arguments: --htm x (did you mean '--html'?)."),
        ("datasets extra", "unrecognized arguments: extra."),
        ("simulate --users ten", "argument --users: not a whole number: 'ten'."),
        ("fit mylog --epsilon x", "argument --epsilon: not a number: 'x'."),
    ],
)
def test_a_wrong_argument_is_an_error_of_the_command_that_was_typed(given: str, said: str) -> None:
    command = f"shoptwin {given.split()[0]}"
    done = subprocess.run(
        [sys.executable, "-m", "shoptwin", *given.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"{command}: {said} Try '{command} --help'.\n"
