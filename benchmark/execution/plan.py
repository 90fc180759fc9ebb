"""Turn a suite into cells: pieces of work, each with a key made of everything that decides it.

=========  =========================================================================================
log        simulate a scenario, or check a folder
generator  fit on the log up to the cut, without the held-out users, and sample a log of as many
           users as the log has
data       encode a task's questions from a source: the log itself or a generated one
model      fit on a source's questions, test on the log's
reference  a ceiling on a simulated log: see `benchmark.evaluation.ceilings`
closed_loop  run a simulated shop under a policy, and predict from a log without it what it earns
fidelity   how far a generated log is from the real one, beside the real-vs-real baseline (two
           halves of the real log), and whether the generator copies the users it was fitted on
=========  =========================================================================================

A key holds the keys of the cells that a cell needs, the code it runs, its settings and the versions
of the libraries. Any change gives a new key, so a result is never mistaken for another's, and what
did not change is never run again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.evaluation import ceilings
from benchmark.execution import fingerprint
from benchmark.suite import GeneratorUse, LogSource, Suite, as_table, plugin_name
from eventlog import datasets
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog.log import digest as log_digest

KINDS = ("next_item", "binary", "uplift")  # of questions; a model says which it answers
REAL = "real"
CLOSED_LOOP = "closed-loop"  # what stands for the task in the labels of such cells
CELLS = "benchmark.execution.cells"  # a module per kind of cell
# Of these only their own text counts: what they import for a kind of cell is named beside it.
JOBS = ("benchmark.execution.jobs", f"{CELLS}.loading", f"{CELLS}.facts")
JUDGED = (
    "baselines.base",
    "benchmark.execution.judging.judge",
    "benchmark.execution.judging.model_process",
    "benchmark.execution.judging.refit",
)
SAMPLED_LOG = "benchmark.execution.sampled_log"
ARTIFACTS = frozenset({"log", "generator", "data"})  # kinds that leave a folder for later cells


@dataclass(frozen=True)
class Cell:
    """One piece of work.

    `label` says what it is in words of the suite; `spec` is what `jobs.execute` needs.
    """

    kind: str
    label: dict[str, Any]  # of: log, source, task, model, seed
    spec: dict[str, Any]
    needs: tuple[str, ...]  # keys of the cells that go before it
    code: str  # hash of the code that it runs
    limit_s: float
    # Where a user's own log lies; not in the key, which is made of the log's content.
    folder: str | None = None

    @property
    def key(self) -> str:
        """The content key."""
        text = json.dumps(
            [self.kind, self.spec, self.needs, self.code, fingerprint.versions()], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def __str__(self) -> str:
        named = (self.label.get(f) for f in ("log", "task", "model"))
        parts = [self.kind, *(str(name) for name in named if name is not None)]
        if self.label.get("source") not in (None, REAL):
            parts.append(f"trained on {self.label['source']}")
        if "seed" in self.label:
            parts.append(f"seed {self.label['seed']}")
        return " ".join(parts)


def plan(suite: Suite) -> list[Cell]:
    """Return the cells of a suite, each once; what a cell needs goes before it."""
    cells: dict[str, Cell] = {}
    for cell in _Planner(suite).cells():
        cells.setdefault(cell.key, cell)
    return list(cells.values())


@dataclass(frozen=True)
class _On:
    """A log's cell, with what the suite says about the cells on it."""

    log: Cell
    learn_users: int | None
    tasks: tuple[str, ...]
    source: LogSource

    def skips(self, model: str, task: str) -> bool:
        """Return whether the model is not trained on this log for the task."""
        skipped = {*self.source.skip_models, *self.source.skip_models_of.get(plugin_name(task), ())}
        return plugin_name(model) in skipped


class _Planner:
    """A suite, and the names that are looked up once for all its cells."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.known_models = set(plugins.names("baselines.models"))
        self.known_tasks = {
            *map(plugin_name, suite.tasks),
            *plugins.names("benchmark.tasks"),
            CLOSED_LOOP,
        }

    def cells(self) -> Iterator[Cell]:
        """Yield all cells; some may come twice."""
        suite = self.suite
        for log_name, source in suite.logs.items():
            yield from self._closed_loops(log_name, source)
            tasks = tuple(t for t in suite.tasks if plugin_name(t) not in source.skip_tasks)
            if not tasks:
                continue
            log = self._log(log_name, source)
            on = _On(log, source.learn_users, tasks, source)
            yield log
            yield from self._train_and_test(
                on, log, REAL, suite.models, suite.seeds, simulated=_has_truth(source)
            )
            for name, use in suite.generators.items() if source.generators else ():
                # One generator a seed: the spread over seeds is that of generator and model.
                for seed in suite.generator_seeds or suite.seeds:
                    generator = self._generator(on, name, use, seed)
                    yield generator
                    yield self._fidelity(on, generator)
                    yield from self._train_and_test(
                        on, generator, name, use.models or (), (seed,), simulated=False
                    )

    def _cell(
        self, kind: str, label: dict[str, Any], spec: dict[str, Any], *needs: Cell, code: str
    ) -> Cell:
        keys = tuple(dict.fromkeys(cell.key for cell in needs))
        return Cell(kind, label, spec, keys, code, self.suite.limit_s)

    def _log(self, name: str, source: LogSource) -> Cell:
        spec: dict[str, Any]
        if (folder := _folder(source)) is not None:
            # The key is the log's content: where the folder lies and what made it do not matter.
            spec = {"digest": log_digest(folder)}
            return replace(self._cell("log", {"log": name}, spec, code=""), folder=folder)
        path = plugins.path_of("simulator.scenarios", str(source.scenario), kind="scenario")
        spec = {**self._shop(source), "days": source.days, "seed": source.seed}
        code = fingerprint.package_digest(
            "simulator", without=("__main__.py", "commands", "scenarios", "calibration", "realism")
        ) + fingerprint.digest([path])
        return self._cell("log", {"log": name}, spec, code=code)

    def _closed_loops(self, log_name: str, source: LogSource) -> Iterator[Cell]:
        """Yield the cells of a shop that is run under each policy and each next-item model."""
        suite, loop = self.suite, self.suite.closed_loop
        if loop is None:
            return
        world: dict[str, Any] = self._shop(source)
        lengths = {f: getattr(loop, f) for f in ("learn_days", "trial_days", "run_days")}
        world |= {**lengths, "days": sum(lengths.values())}
        shop = self._log(log_name, source).code
        models = [m for m in suite.models if answers(m, "recommendation")]
        for built_in, package, names in (
            (True, "simulator.policies", loop.policies),
            (False, "baselines.models", models),
        ):
            for name in names:
                code = shop + _code(
                    "closed_loop", "benchmark.adapters.closed_loop", _module(package, name)
                )
                settings = {} if built_in else self._model_settings(name, CLOSED_LOOP)
                for seed in suite.seeds:
                    label: dict[str, Any] = {"log": log_name, "task": CLOSED_LOOP}
                    label |= {"source": REAL, "model": plugin_name(name), "seed": seed}
                    spec = {
                        **world,
                        "model": name,
                        "built_in": built_in,
                        "model_settings": settings,
                        "seed": seed,
                    }
                    yield self._cell("closed_loop", label, spec, code=code)

    @staticmethod
    def _shop(source: LogSource) -> dict[str, Any]:
        """Return what makes a simulated shop, apart from its seed and length."""
        path = plugins.path_of("simulator.scenarios", str(source.scenario), kind="scenario")
        named = path.stem == source.scenario
        scenario = source.scenario if named else os.path.realpath(path)
        return {"scenario": scenario, "users": source.users, "settings": source.settings}

    def _generator(self, on: _On, name: str, use: GeneratorUse, seed: int) -> Cell:
        code = _code(
            "generator",
            "generators.base",
            _module("generators.models", use.model),
            SAMPLED_LOG,
            "benchmark.evaluation.control",
        )
        spec = {k: v for k, v in as_table(use).items() if k != "models"}
        spec |= {"seed": seed, "learn_users": on.learn_users}
        label = {**on.log.label, "model": name, "seed": seed}
        return self._cell("generator", label, spec, on.log, code=code)

    def _fidelity(self, on: _On, generator: Cell) -> Cell:
        code = _code(
            "fidelity",
            "generators.evaluation.fidelity",
            "generators.evaluation.copying",
            SAMPLED_LOG,
            "benchmark.evaluation.control",
        )
        spec = {
            "columns": self.suite.fidelity_columns,
            "users": self.suite.fidelity_users,
            "learn_users": on.learn_users,
        }
        return self._cell("fidelity", generator.label, spec, on.log, generator, code=code)

    def _train_and_test(
        self,
        on: _On,
        source: Cell,
        source_name: str,
        models: tuple[str, ...],
        seeds: tuple[int, ...],
        *,
        simulated: bool,
    ) -> Iterator[Cell]:
        """Yield the cells of all tasks whose models learn from one source."""
        log = on.log
        for task in on.tasks:
            asked = self._with_trivial(models, task) if source_name == REAL else models
            asked = tuple(m for m in asked if not on.skips(m, task))
            answering = [m for m in asked if answers(m, task)]
            if source_name != REAL and not answering:
                continue  # no model would ask for its questions
            label = {**log.label, "task": plugin_name(task), "source": source_name}
            if source.kind == "generator":
                label["seed"] = source.label["seed"]
            spec = {
                "task": task,
                "settings": self.suite.task_settings.get(plugin_name(task), {}),
                "learn_users": on.learn_users,
            }
            code = _code("data", *_task_modules(task), SAMPLED_LOG, "benchmark.evaluation.leakage")
            data = self._cell("data", label, spec, log, source, code=code)
            yield data
            if source_name == REAL and simulated:
                yield from self._ceilings(log, data, task)
            for model in answering:
                yield from self._models(data, model, seeds)

    def _ceilings(self, log: Cell, data: Cell, task: str) -> Iterator[Cell]:
        """Yield the rungs of the ladder on a simulated log, the lowest first."""
        kind = fingerprint.class_facts("benchmark.tasks", task).get("kind")
        path = ceilings.path_of(Path(log.spec.get("scenario", log.label["log"])).stem)
        for rung in ceilings.rungs(str(kind)):
            code: tuple[str | Path, ...] = ("simulator.truth.oracles",)
            spec = {**data.spec, "rung": rung}
            if rung in ceilings.STORED:
                code = ("benchmark.evaluation.ceilings", *([path] if path.exists() else ()))
                spec["stored_in"] = path.stem
            yield self._cell(
                "reference",
                {**data.label, "model": rung},
                spec,
                log,
                data,
                code=_code("reference", *code, *_task_modules(task)),
            )

    def _models(self, data: Cell, model: str, seeds: tuple[int, ...]) -> Iterator[Cell]:
        """Yield a model's cells on the questions of a data cell, one a seed if it draws at all."""
        task = data.spec["task"]
        code = _code("model", *JUDGED, _module("baselines.models", model), *_task_modules(task))
        settings = self._model_settings(model, task)
        seeded = fingerprint.class_facts("baselines.models", model).get("seeded", True)
        if data.label["source"] == REAL:
            seeds = self.suite.model_seeds.get(plugin_name(model), seeds)
        for seed in seeds if seeded else seeds[:1]:
            label = {**data.label, "model": plugin_name(model), "seed": seed}
            spec = {
                **data.spec,
                "model": model,
                "model_settings": settings,
                "seed": seed,
                "shuffled_questions": self.suite.shuffled_questions,
                "refit": seed == seeds[0],  # shows unseeded training, whatever the seed is
            }
            yield self._cell("model", label, spec, data, code=code)

    def _model_settings(self, model: str, task: str) -> dict[str, Any]:
        """Return [settings.budgeted] for a model to which it applies, and [settings.models.NAME].

        What is given for the task goes before what is given for all tasks.
        """
        settings = self.suite.settings
        given = [settings.models.get(plugin_name(model), {})]
        if fingerprint.class_facts("baselines.models", model).get("budgeted", False):
            given.insert(0, settings.budgeted)
        found: dict[str, Any] = {}
        for table in given:
            found |= {k: v for k, v in table.items() if k not in self.known_tasks}
            found |= table.get(plugin_name(task), {})
        return found

    def _with_trivial(self, models: tuple[str, ...], task: str) -> tuple[str, ...]:
        """Return the models and, unless it is among them, first the task's trivial one.

        That one marks 0 % of the headroom.
        """
        trivial = fingerprint.class_facts("benchmark.tasks", task).get("trivial", "base_rate")
        if trivial in models or trivial not in self.known_models:
            return models
        return (trivial, *models)


def answers(model: str, task: str) -> bool:
    """Return whether the model answers the task's kind of question, as far as the source shows.

    True where the source does not show it; the cell then finds out.
    """
    model_facts = fingerprint.class_facts("baselines.models", model)
    kinds, tasks = model_facts.get("kinds"), model_facts.get("tasks")
    if isinstance(kinds, str):
        raise InputError(
            f"{model}: its kinds are the text {kinds!r}; write kinds = frozenset({{{kinds!r}}})."
        )
    for given in kinds or ():
        if given not in KINDS:
            raise UnknownNameError(f"kind of question (kinds of {model})", str(given), KINDS)
    kind = fingerprint.class_facts("benchmark.tasks", task).get("kind")
    right_kind = kinds is None or kind is None or kind in kinds
    return right_kind and (tasks is None or plugin_name(task) in tasks)


def _code(kind: str, *modules: str | Path) -> str:
    """Return the hash of what a kind of cell runs: its own module, and `modules` with imports."""
    return fingerprint.digest(modules, alone=(*JOBS, f"{CELLS}.{kind}"))


def _task_modules(task: str) -> tuple[str | Path, ...]:
    return (
        "benchmark.task",
        "benchmark.execution.prepared_task",
        _module("benchmark.tasks", task),
    )


def _module(package: str, name: str) -> str | Path:
    return fingerprint.file_of(package, name) or f"{package}.{name}"


def _folder(source: LogSource) -> str | None:
    """Return where a log lies that is there already; None for one that is simulated."""
    if source.dataset is not None:
        return str(datasets.folder_of(source.dataset))
    return source.folder


def _has_truth(source: LogSource) -> bool:
    folder = _folder(source)
    return folder is None or (Path(folder) / "truth").is_dir()
