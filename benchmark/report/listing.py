"""List everything that is registered: one line each that says what it is for.

Nothing is imported for it: models and tasks are read from their source, settings from their TOML.
"""

from __future__ import annotations

import sys
import textwrap
import tomllib
from collections.abc import Iterator
from shutil import get_terminal_size

from benchmark import suite as suites
from benchmark.execution import fingerprint
from eventlog._runtime import plugins

ANSWERS = {
    "next_item": "which item comes next",
    "binary": "yes or no: churn, fraud",
    "uplift": "whom a coupon moves",
}


def lines() -> Iterator[str]:
    """Yield the page, group by group."""
    yield from _group("suites: what 'run --suite' takes", _suites())
    yield from _group("tasks: what models are asked", _plugins("benchmark.tasks"))
    yield from _group("models: what 'run --models' takes, by what they answer", ())
    for kind, question in ANSWERS.items():
        yield from _group(f"  {question}", _models(kind))
    yield from _group("generators: what 'fit --model' takes", _plugins("generators.models"))
    yield from _group(
        "scenarios: what 'simulate --scenario' takes",
        _toml("simulator.scenarios", "scenario", "description"),
    )
    yield from _group("policies: what 'simulate --policy' takes", _plugins("simulator.policies"))
    yield from _group("trackers: what 'run --track' takes", _plugins("benchmark.tracking"))
    yield from _group(
        "presets: what 'import --preset' takes",
        _toml("eventlog.ingest.presets", "preset", "title"),
    )


Rows = Iterator[tuple[str, str]]


def _group(title: str, rows: Rows | tuple[()]) -> Iterator[str]:
    yield title
    for name, text in rows:
        line = f"  {name:20} {text}"
        if sys.stdout.isatty():  # in a pipe each thing stays on a line
            width = get_terminal_size().columns
            yield from textwrap.wrap(line, width, subsequent_indent=" " * 23)
        else:
            yield line


def _suites() -> Rows:
    for name in suites.names():
        yield name, suites.describe(name)


def _plugins(package: str) -> Rows:
    for name in plugins.names(package):
        yield name, _summary(package, name)


def _models(kind: str) -> Rows:
    """Yield the models that answer `kind`; one that answers several is named in each."""
    for name in plugins.names("baselines.models"):
        facts = fingerprint.class_facts("baselines.models", name)
        if kind in (facts.get("kinds") or ()):
            yield name, _summary("baselines.models", name)


def _summary(package: str, name: str) -> str:
    """Return the first line of a plug-in, without its own name before it."""
    text = str(fingerprint.class_facts(package, name).get("summary", ""))
    return text.removeprefix(f"{name}: ")


def _toml(package: str, kind: str, key: str) -> Rows:
    for name in plugins.names(package, suffix=".toml"):
        path = plugins.path_of(package, name, kind=kind)
        yield name, str(tomllib.loads(path.read_text(encoding="utf-8")).get(key, ""))
