"""Suites: logs x tasks x models x generators x seeds, as data. A suite is one TOML file in suites/,
or a file of one's own.

Example::

    description = "Next item on a simulated shop." tasks = ["recommendation"] models =
    ["popularity", "lstm", "./mine.py"]     # "*" (the default): every model that fits the task
    seeds = [0] [logs.shop] scenario = "shop"                                # or folder = "my/log"
    users = 4000 [settings.models.lstm] epochs = 3 [profiles.smoke.logs.shop]
    # a profile overrides any of this users = 200
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, UnknownNameError

MODELS = ("baselines.models", "model")
PROFILES = ("smoke", "default", "full")


@dataclass(frozen=True)
class LogSource:
    """A log to run on: a scenario that is simulated, or a folder."""

    scenario: str | None = None
    folder: str | None = None
    users: int = 1000
    days: int = 60
    seed: int = 7
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GeneratorUse:
    """A generator in a suite. Several entries may use one model with different settings, e.g. with
    and without epsilon.
    """

    model: str
    epsilon: float | None = None
    delta: float | None = None
    public: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    # which models are trained on its logs; None: the suite's synthetic_models
    models: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Suite:
    """What to run; see the module's docstring."""

    name: str
    description: str = ""
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ("*",)
    seeds: tuple[int, ...] = (0,)
    # of a cell; one that takes longer is stopped and recorded as a timeout
    limit_s: float = 1200.0
    logs: dict[str, LogSource] = field(default_factory=dict)
    generators: dict[str, GeneratorUse] = field(default_factory=dict)
    fidelity_columns: bool = True  # with the two sdmetrics scores, which are slow
    # which of the models are trained on generated logs too
    synthetic_models: tuple[str, ...] = ("*",)
    model_settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    task_settings: dict[str, dict[str, Any]] = field(default_factory=dict)


def names() -> list[str]:
    """Suites in the folder."""
    return plugins.names("benchmark.suites", suffix=".toml")


def describe(name: str) -> str:
    """The suite's own description."""
    return str(_read(name).get("description", ""))


def load(
    name: str,
    *,
    profile: str = "default",
    log: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    generators: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
) -> Suite:
    """Read a suite under a profile, then apply what the caller overrides; `overrides` are
    "settings.models.lstm.epochs=3".

    Raises InputError for unknown keys and wrong values, UnknownNameError for a wrong suite, profile
    or plugin name.
    """
    data = _read(name)
    profiles = data.pop("profiles", {})
    if profile not in PROFILES:
        raise UnknownNameError("profile", profile, PROFILES)
    if extra := set(profiles) - set(PROFILES):
        raise UnknownNameError("profile", min(extra), PROFILES)
    data = _merged(data, profiles.get(profile, {}))
    for text in overrides:
        data = _merged(data, _override(text))
    if log is not None:
        folder = Path(log)
        data["logs"] = {folder.resolve().name: {"folder": str(folder)}}
    if tasks is not None:
        data["tasks"] = list(tasks)
    if models is not None:
        data["models"], data["synthetic_models"] = list(models), list(models)
    if seeds is not None:
        data["seeds"] = list(seeds)
    if generators is not None:
        known = data.get("generators", {})
        if len({plugin_name(g) for g in generators}) < len(set(generators)):
            raise InputError(
                f"Two generators would have one name in the tables: {', '.join(generators)}; "
                "rename the file."
            )
        data["generators"] = {plugin_name(g): known.get(g, {"model": g}) for g in generators}
    return _checked(_build(Path(name).stem, data))


def plugin_name(given: str) -> str:
    """What a plugin is called in tables: its file's name."""
    return Path(given).stem if given.endswith(".py") or "/" in given else given


def expand(given: Sequence[str], package: str, kind: str) -> tuple[str, ...]:
    """Names with "*" replaced by all in the package; a path becomes absolute. Raises
    UnknownNameError.
    """
    known = plugins.names(package)
    out: list[str] = []
    for name in given:
        if name == "*":
            out += known
        elif name.endswith(".py") or "/" in name:
            if not Path(name).is_file():
                what = "is a folder, not a Python file" if Path(name).is_dir() else "does not exist"
                raise InputError(f"The {kind} file {name} {what}.")
            out.append(str(Path(name).resolve()))
        elif name in known:
            out.append(name)
        else:
            raise UnknownNameError(kind, name, known)
    out = list(dict.fromkeys(out))
    for i, name in enumerate(out):
        twin = next((other for other in out[:i] if plugin_name(other) == plugin_name(name)), None)
        if twin is not None:
            raise InputError(
                f"Two {kind}s would be called {plugin_name(name)!r} in the tables: {twin} and "
                f"{name}; rename the file."
            )
    return tuple(out)


def _read(name: str) -> dict[str, Any]:
    path = plugins.path_of("benchmark.suites", name, kind="suite")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The suite {path} is not valid TOML: {error}.") from None


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if both else value
    return out


def _override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"--set takes KEY=VALUE, as in settings.models.lstm.epochs=3; got {text!r}."
        )
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return parsed  # type: ignore[no-any-return]


def _build(name: str, data: dict[str, Any]) -> Suite:
    settings = data.pop("settings", {})
    _known(f"suite {name}, [settings]", settings, ("models", "tasks"))
    _known(
        f"suite {name}",
        data,
        [
            f.name
            for f in dataclasses.fields(Suite)
            if f.name not in ("name", "model_settings", "task_settings")
        ],
    )
    for key in ("models", "tasks"):
        for plugin, values in settings.get(key, {}).items():
            if not isinstance(values, Mapping):
                raise InputError(
                    f"suite {name}, [settings.{key}.{plugin}] must be a table, it is {values!r}."
                )
    data["logs"] = {
        key: _typed(LogSource, f"suite {name}, [logs.{key}]", value)
        for key, value in data.get("logs", {}).items()
    }
    data["generators"] = {
        key: _typed(GeneratorUse, f"suite {name}, [generators.{key}]", {"model": key, **value})
        for key, value in data.get("generators", {}).items()
    }
    flat = {key: value for key, value in data.items() if key not in ("logs", "generators")}
    return Suite(
        name=name,
        model_settings=settings.get("models", {}),
        task_settings=settings.get("tasks", {}),
        logs=data["logs"],
        generators=data["generators"],
        **_values(Suite, f"suite {name}", flat),
    )


def _typed(kind: type, where: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be a table, it is {value!r}.")
    _known(where, value, [f.name for f in dataclasses.fields(kind)])
    return kind(**_values(kind, where, value))


def _values(kind: type, where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a dataclass' fields, lists as tuples. Raises InputError for a wrong type."""
    hints = typing.get_type_hints(kind)
    out = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    for key, value in out.items():
        if not _fits(hints[key], value):
            raise InputError(
                f"{where}: {key} is {given[key]!r}; it must be {_TYPES[str(hints[key])]}."
            )
    return out


_TYPES = {
    "<class 'str'>": "a text",
    "str | None": "a text",
    "<class 'int'>": "a whole number from 0",
    "<class 'float'>": "a number above 0",
    "float | None": "a number above 0",
    "<class 'bool'>": "true or false",
    "tuple[str, ...]": "a list of texts",
    "tuple[str, ...] | None": "a list of texts",
    "tuple[int, ...]": "a list of whole numbers from 0",
    "dict[str, typing.Any]": "a table",
}


def _fits(hint: Any, value: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return any(_fits(option, value) for option in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(inner[0], v) for v in value)
    if hint in (int, float):
        number = isinstance(value, int if hint is int else int | float) and not isinstance(
            value, bool
        )
        return number and (value >= 0 if hint is int else value > 0)
    return isinstance(value, origin or hint)


def _known(where: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            raise UnknownNameError(f"key of {where}", key, known)


def _checked(suite: Suite) -> Suite:
    if not suite.logs or not suite.tasks or not suite.seeds:
        raise InputError(
            f"suite {suite.name} names no "
            f"{'log' if not suite.logs else 'task' if not suite.tasks else 'seed'}."
        )
    for name, log in suite.logs.items():
        if (log.scenario is None) == (log.folder is None):
            raise InputError(f"suite {suite.name}, [logs.{name}]: give either scenario or folder.")
    models = expand(suite.models, *MODELS)
    for plugin in suite.model_settings:
        if plugin not in (known := [*plugins.names(MODELS[0]), *map(plugin_name, models)]):
            raise UnknownNameError(f"model of suite {suite.name}, [settings.models]", plugin, known)
    synthetic = expand(suite.synthetic_models, *MODELS)
    return dataclasses.replace(
        suite,
        tasks=expand(suite.tasks, "benchmark.tasks", "task"),
        models=models,
        synthetic_models=tuple(m for m in synthetic if m in models),
        generators={
            key: dataclasses.replace(
                use,
                model=expand([use.model], "generators.models", "generator")[0],
                models=tuple(
                    m
                    for m in models
                    if m in (synthetic if use.models is None else expand(use.models, *MODELS))
                ),
            )
            for key, use in suite.generators.items()
        },
    )
