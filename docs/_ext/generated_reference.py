"""Write the pages of the reference that follow from the code: command lines, settings, schemas.

``conf.py`` calls ``write(folder)``. Pages include what it writes, so that a new option, setting or
column appears in the docs with the next build.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

PACKAGES = ("eventlog", "simulator", "generators", "benchmark")


def write(folder: Path) -> None:
    """Write every generated page into `folder`; a file that would not change is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        _put(folder / f"command-line-{package}.md", "\n".join(_command_lines(package)))
    _put(folder / "scenario-settings.md", "\n".join(_scenario_settings()))
    _put(folder / "scenarios.md", "\n".join(_scenarios()))
    _put(folder / "columns.md", "\n".join(_columns()))
    _put(folder / "names.md", "\n".join(_names()))
    for name, schema in schemas().items():
        _put(folder / f"{name}.schema.json", json.dumps(schema, indent=2))


def _put(path: Path, text: str) -> None:
    text = text.rstrip() + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


# --- command lines ------------------------------------------------------------------------------


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _command_lines(package: str) -> Iterator[str]:
    parser = importlib.import_module(f"{package}.__main__").parser()
    for name, command in _commands(parser).items():
        yield f"### `python -m {package} {name}`\n"
        yield f"{_text(command.description or '')}\n"
        yield "```text"
        with mock.patch.dict("os.environ", {"COLUMNS": "90"}):
            yield command.format_usage().rstrip()
        yield "```\n"
        rows = [row for action in command._actions if (row := _option(action)) is not None]
        if rows:
            yield "| argument | what it is |\n|---|---|"
            yield from rows
            yield ""
        if command.epilog:
            yield "```text"
            yield textwrap.dedent(command.epilog % {"prog": command.prog}).strip()
            yield "```\n"


def _option(action: argparse.Action) -> str | None:
    if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS:
        return None
    metavar = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    if action.choices is not None:
        metavar = "|".join(map(str, action.choices))
    if isinstance(metavar, tuple):
        metavar = " ".join(metavar)
    shown = metavar if action.nargs != 0 else ""
    names = ", ".join(action.option_strings)
    left = f"{names} {shown}".strip() if names else metavar
    text = action.help or ""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        text = text % {**vars(action), "prog": ""}
    if action.required and action.option_strings:
        text = f"{text}{'; ' if text else ''}required"
    left = left.replace("|", "\\|")
    return f"| `{left}` | {_cell(text)} |"


def _text(text: str) -> str:
    return _escaped(" ".join(text.split()))


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    for sign in ("<", "*", "_", "[", "$"):
        text = text.replace(sign, "\\" + sign)
    return text


# --- settings, columns, names -------------------------------------------------------------------


def _scenario_settings() -> Iterator[str]:
    from simulator import scenario

    section = None
    for key, default, low, high, doc in scenario.settings():
        group, name = key.split(".", 1)
        if group != section:
            section = group
            yield f"\n## `[{group}]`\n"
            yield "| setting | default | range | what it is |\n|---|---|---|---|"
        bounds = "" if low is None else f"{low:g} to {high:g}"
        yield f"| `{name}` | {_cell(str(default))} | {bounds} | {_cell(doc)} |"


def _scenarios() -> Iterator[str]:
    from simulator import scenario

    yield "| scenario | what it is |\n|---|---|"
    for name in scenario.names():
        yield f"| `{name}` | {_cell(scenario.load(name).description)} |"


def _columns() -> Iterator[str]:
    from eventlog import schema

    yield "| column | kind | |\n|---|---|---|"
    for name, column in schema.COLUMNS.items():
        notes = [
            *(["required"] if column.required else []),
            *(["not below 0"] if column.nonnegative and column.kind != "integer" else []),
        ]
        yield f"| `{name}` | {column.kind} | {', '.join(notes)} |"
    yield "\n| event name | role |\n|---|---|"
    for name, role in schema.ROLES.items():
        yield f"| `{name}` | {role} |"


def _names() -> Iterator[str]:
    from eventlog._runtime.plugins import names

    yield "| what | names | folder |\n|---|---|---|"
    for what, package, suffix in (
        ("models", "baselines.models", ".py"),
        ("generators", "generators.models", ".py"),
        ("tasks", "benchmark.tasks", ".py"),
        ("suites", "benchmark.suites", ".toml"),
        ("scenarios", "simulator.scenarios", ".toml"),
        ("fraud typologies", "simulator.typologies", ".py"),
        ("import presets", "eventlog.ingest.presets", ".toml"),
    ):
        found = ", ".join(f"`{name}`" for name in names(package, suffix=suffix))
        yield f"| {what} | {found} | `{package.replace('.', '/')}/` |"


def schemas() -> dict[str, dict]:
    """Return the JSON schema of each file that a person may write, by name."""
    from benchmark.suite import SuiteFile
    from eventlog._runtime.settings import json_schema
    from eventlog.ingest import mapping
    from simulator import scenario

    return {
        "mapping": mapping.schema(),
        "scenario": scenario.file_schema(),
        "suite": json_schema(SuiteFile),
    }
