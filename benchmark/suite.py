"""Suites: logs x tasks x models x generators x seeds, as data.

A suite is one TOML file in suites/, or a file of your own; `python -m benchmark list --schema`
prints the JSON schema of such a file, for an editor that completes and checks it.

Example::

    description = "Next item on a simulated shop."
    tasks = ["recommendation"]
    models = ["popularity", "lstm", "./mine.py"]    # "*" (the default): all that fit the task
    seeds = [0]

    [logs.shop]
    scenario = "shop"                 # or folder = "my/log", or dataset = "online-retail"
    users = 4000

    [settings.models.lstm]
    epochs = 3

    [profiles.smoke.logs.shop]                      # a profile overrides any of this
    users = 200
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog._runtime.files import read_toml
from eventlog._runtime.seeds import LARGEST_SEED
from eventlog._runtime.settings import Range, Settings, convert

BASELINE = "trending"  # the policy that the others of a closed loop are compared with
MODELS = ("baselines.models", "model")
PROFILES = ("smoke", "default", "published", "full")

Above0 = Annotated[float, msgspec.Meta(gt=0)]
Seed = Annotated[int, Range(0, LARGEST_SEED)]
Names = tuple[str, ...]


class LogSource(Settings, frozen=True):
    """A log to run on: a scenario that is simulated, a folder, or a dataset that ships.

    With `learn_users`, models and generators learn from so many users, drawn once for all of them
    from those known before the cut, and are tested on all.
    """

    scenario: str | None = None
    folder: str | None = None
    dataset: str | None = None
    learn_users: Annotated[int, Range(1)] | None = None
    skip_tasks: Names = ()  # tasks of the suite that are not asked of this log
    skip_models: Names = ()  # models of the suite that are not trained on this log
    # task -> further ones, for this task alone
    skip_models_of: dict[str, Names] = msgspec.field(default_factory=dict)
    generators: bool = True  # whether the suite's generators learn from this log
    users: Annotated[int, Range(1)] = 1000
    days: Annotated[int, Range(1)] = 60
    seed: Seed = 7
    settings: dict[str, Any] = msgspec.field(default_factory=dict)


class GeneratorUse(Settings, frozen=True):
    """A generator in a suite.

    Several entries may use one model with different settings, e.g. with and without epsilon.
    """

    model: str = ""  # "": the name of the entry
    epsilon: Above0 | None = None
    delta: Above0 | None = None
    public: Names = ()
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    models: Names | None = None  # trained on its logs; None: the suite's synthetic_models


class ClosedLoop(Settings, frozen=True):
    """Which policies run a shop, beside the suite's models that predict next items.

    The shop's own recommender is at work for `learn_days` and `trial_days`, then the policy for
    `run_days`. Models learn from the first of these, and what is predicted of a policy is of the
    second. Each seed is another shop with other shoppers.
    """

    policies: Names = ()  # of `simulator.policies`, or files; BASELINE always takes part
    learn_days: Annotated[int, Range(2)] = 28
    trial_days: Annotated[int, Range(1)] = 14
    run_days: Annotated[int, Range(1)] = 28


class PluginSettings(Settings, frozen=True):
    """Keyword arguments of models and tasks by name; those of a model also by task.

    `budgeted` holds those of all models that are trained within a budget (`Model.budgeted`), a
    plug-in's too.
    """

    budgeted: dict[str, Any] = msgspec.field(default_factory=dict)

    models: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


class Profile(Settings, frozen=True):
    """What a suite file says; under [profiles.NAME], what it says for that profile."""

    description: str = ""
    tasks: Names = ()
    models: Names = ("*",)
    skip_models: Names = ()  # of those that "*" names
    seeds: tuple[Seed, ...] = (0,)
    # of single models, by name; the others have `seeds`
    model_seeds: dict[str, tuple[Seed, ...]] = msgspec.field(default_factory=dict)
    generator_seeds: tuple[Seed, ...] = ()  # none: `seeds`
    limit_s: Above0 = 1200.0  # of a cell; one that takes longer is stopped, and is a timeout
    logs: dict[str, LogSource] = msgspec.field(default_factory=dict)
    generators: dict[str, GeneratorUse] = msgspec.field(default_factory=dict)
    fidelity_columns: bool = True  # with the two sdmetrics scores, which are slow
    fidelity_users: Annotated[int, Range(2)] | None = None  # compared on each side; None: all
    synthetic_models: Names = ("*",)  # which of the models are trained on generated logs too
    # asked again with shuffled histories, at most; of models that read the order of events
    shuffled_questions: Annotated[int, Range(0)] = 4_000
    closed_loop: ClosedLoop | None = None  # runs each simulated log's shop under each policy
    settings: PluginSettings = PluginSettings()


class Profiles(Settings, frozen=True):
    """What each profile overrides."""

    smoke: Profile = Profile()
    default: Profile = Profile()
    published: Profile = Profile()
    full: Profile = Profile()


class SuiteFile(Profile, frozen=True):
    """A whole suite file."""

    profiles: Profiles = Profiles()


class Suite(Profile, frozen=True, kw_only=True):
    """What to run: a suite file under one profile, with all names found and paths absolute."""

    name: str

    @property
    def model_settings(self) -> dict[str, dict[str, Any]]:
        """Keyword arguments of models by name."""
        return self.settings.models

    @property
    def task_settings(self) -> dict[str, dict[str, Any]]:
        """Keyword arguments of tasks by name."""
        return self.settings.tasks


def names() -> list[str]:
    """Return the names of the suites in the folder."""
    return plugins.names("benchmark.suites", suffix=".toml")


def describe(name: str) -> str:
    """Return a suite's own description."""
    return str(_read(name).get("description", ""))


def as_table(settings: Settings) -> dict[str, Any]:
    """Return settings as plain data: dicts, lists, texts and numbers."""
    table: dict[str, Any] = msgspec.to_builtins(settings)
    return table


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
    """Read a suite under a profile, and apply what the caller overrides.

    Args:
        name: of a suite in the folder, or the path of a TOML file.
        profile: one of PROFILES.
        log: a log folder that replaces the suite's logs.
        tasks, models, seeds, generators: replace those of the suite; names, or paths of files.
            With tasks or models alone no generator is trained.
        overrides: further settings, such as "settings.models.lstm.budget=5".

    Raises:
        UnknownNameError: for a wrong key, suite, profile or plug-in name.
        InputError: for a wrong value, or where a log, a task or a seed is missing.
    """
    data = _read(name)
    where = f"suite {Path(name).stem}"
    convert(SuiteFile, data, where=where)  # every profile is checked, whichever is asked for
    if profile not in PROFILES:
        raise UnknownNameError("profile", profile, PROFILES)
    data = _merged(data, data.pop("profiles", {}).get(profile, {}))
    for text in overrides:
        data = _merged(data, _override(text))
    if log is not None:
        data["logs"] = {Path(os.path.realpath(log)).name: {"folder": str(log)}}
    if tasks is not None:
        data["tasks"] = list(tasks)
    if models is not None:
        data["models"], data["synthetic_models"] = list(models), list(models)
        data["skip_models"] = []
        for source in data.get("logs", {}).values():
            source.pop("skip_models", None)
            source.pop("skip_models_of", None)
    if seeds is not None:
        data["seeds"], data["generator_seeds"], data["model_seeds"] = list(seeds), [], {}
    if generators is not None:
        data["generators"] = _chosen_generators(generators, data.get("generators", {}))
    elif tasks is not None or models is not None:
        data["generators"] = {}
    chosen = convert(Profile, data, where=where)
    return _resolved(Suite(name=Path(name).stem, **msgspec.structs.asdict(chosen)))


def plugin_name(given: str) -> str:
    """Return what a plug-in is called in tables: of a file, its name without the suffix."""
    return Path(given).stem if given.endswith(".py") or "/" in given else given


def expand(given: Sequence[str], package: str, kind: str) -> Names:
    """Return names with "*" replaced by all in the package, and paths made absolute.

    `kind` is what a name names, for messages: "model". Raises UnknownNameError for a wrong name,
    InputError for a file that is not there and for two plug-ins of one name.
    """
    known = plugins.names(package)
    out: dict[str, None] = {}  # in order, each once
    for name in given:
        if name == "*":
            out.update(dict.fromkeys(known))
        elif name.endswith(".py") or "/" in name:
            out[_file(name, kind)] = None
        elif name in known:
            out[name] = None
        else:
            raise UnknownNameError(kind, name, known)
    by_name: dict[str, str] = {}
    for name in out:
        other = by_name.setdefault(plugin_name(name), name)
        if other != name:
            raise InputError(
                f"Two {kind}s would be called {plugin_name(name)!r} in the tables: {other} and "
                f"{name}; rename the file."
            )
    return tuple(out)


def _file(name: str, kind: str) -> str:
    if not Path(name).is_file():
        what = "is a folder, not a Python file" if Path(name).is_dir() else "does not exist"
        raise InputError(f"The {kind} file {name} {what}.")
    return os.path.realpath(name)


def _read(name: str) -> dict[str, Any]:
    return read_toml(plugins.path_of("benchmark.suites", name, kind="suite"), "suite")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`; a table is merged, anything else replaced."""
    out = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if both else value
    return out


def _override(text: str) -> dict[str, Any]:
    """Return "a.b=3" as {"a": {"b": 3}}; a value that is not TOML is a text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"--set takes KEY=VALUE, as in settings.models.lstm.budget=5; got {text!r}."
        )
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return parsed  # type: ignore[no-any-return]


def _chosen_generators(given: Sequence[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of the suite that are called so, and new ones for other names."""
    if len({plugin_name(g) for g in given}) < len(set(given)):
        raise InputError(
            f"Two generators would have one name in the tables: {', '.join(given)}; "
            "rename the file."
        )
    return {plugin_name(g): known.get(g, {"model": g}) for g in given}


def _resolved(suite: Suite) -> Suite:
    """Check what no type says, and find every plug-in. Raises InputError, UnknownNameError."""
    for what in ("logs", "tasks", "seeds"):
        if not getattr(suite, what) and not (what == "tasks" and suite.closed_loop):
            raise InputError(f"suite {suite.name} names no {what.removesuffix('s')}.")
    for name, log in suite.logs.items():
        if sum(given is not None for given in (log.scenario, log.folder, log.dataset)) != 1:
            raise InputError(
                f"suite {suite.name}, [logs.{name}]: give either scenario, folder or dataset."
            )
    models = expand(suite.models, *MODELS)
    loop = _resolved_loop(suite, models)
    known = [*plugins.names(MODELS[0]), *map(plugin_name, models)]
    named: dict[str, Collection[str]] = {
        "[settings.models]": suite.model_settings,
        "[model_seeds]": suite.model_seeds,
        "skip_models": [
            *suite.skip_models,
            *(m for g in suite.logs.values() for m in g.skip_models),
            *(m for g in suite.logs.values() for of in g.skip_models_of.values() for m in of),
        ],
    }
    for where, given in named.items():
        for plugin in given:
            if plugin not in known:
                raise UnknownNameError(f"model of suite {suite.name}, {where}", plugin, known)
    models = tuple(m for m in models if plugin_name(m) not in suite.skip_models)
    synthetic = expand(suite.synthetic_models, *MODELS)
    return msgspec.structs.replace(
        suite,
        tasks=expand(suite.tasks, "benchmark.tasks", "task"),
        models=models,
        synthetic_models=tuple(m for m in synthetic if m in models),
        closed_loop=loop,
        generators={
            key: _resolved_generator(key, use, models, synthetic)
            for key, use in suite.generators.items()
        },
    )


def _resolved_loop(suite: Suite, models: Names) -> ClosedLoop | None:
    """Find the policies, and check that their logs are simulated and no two share a name."""
    loop = suite.closed_loop
    if loop is None:
        return None
    for name, log in suite.logs.items():
        if log.scenario is None:
            raise InputError(
                f"suite {suite.name}, [logs.{name}]: a closed loop runs a simulated shop; give a "
                "scenario."
            )
    policies = expand(loop.policies, "simulator.policies", "policy")
    if BASELINE not in policies:
        policies = (BASELINE, *policies)
    twice = {*map(plugin_name, policies)} & {*map(plugin_name, models)}
    if twice:
        raise InputError(
            f"suite {suite.name}: {', '.join(sorted(twice))} is a policy of the simulator and a "
            "model; name one of the two."
        )
    return msgspec.structs.replace(loop, policies=policies)


def _resolved_generator(
    name: str, use: GeneratorUse, models: Names, synthetic: Names
) -> GeneratorUse:
    trained = synthetic if use.models is None else expand(use.models, *MODELS)
    return msgspec.structs.replace(
        use,
        model=expand([use.model or name], "generators.models", "generator")[0],
        models=tuple(m for m in models if m in trained),
    )
