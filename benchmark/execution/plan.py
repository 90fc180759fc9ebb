"""A suite -> cells. A cell is one piece of work with a key made of everything that decides its
result.

    log         simulate a scenario, or check a folder generator   fit on the log up to the cut, but
    for held-out users, and sample a log of as many users as the log has data        a task's
    questions from a source (the log itself or a generated one), encoded model       fit on a
    source's questions, tested on the log's reference   the oracle of a simulated log fidelity
    how far a generated log is from the real one, beside the floor that two real halves have, and
    whether
                the generator copies the users it was fitted on

A cell's key holds the keys of the cells it needs, the code it runs, its settings and the versions
of the libraries: any change gives a new key, so a result is never mistaken for another's, and what
did not change is never run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.execution import fingerprint as code
from benchmark.suite import GeneratorUse, LogSource, Suite, plugin_name
from eventlog._runtime import plugins
from eventlog.log import digest as log_digest

REAL = "real"
ORACLE = "oracle"
CELLS = ("benchmark.execution.jobs",)  # what it imports differs by kind and is named beside it
ARTIFACTS = frozenset({"log", "generator", "data"})  # kinds that leave a folder for later cells


@dataclass(frozen=True)
class Cell:
    """One piece of work. `label` says what it is in words of the suite; `spec` is what
    `cells.execute` needs.
    """

    kind: str
    label: dict[str, Any]  # of: log, source, task, model, seed
    spec: dict[str, Any]
    needs: tuple[str, ...]  # keys
    code: str
    limit_s: float
    # where a given log lies; not in the key, which is made of its content
    folder: str | None = None

    @property
    def key(self) -> str:
        """The content key."""
        text = json.dumps(
            [self.kind, self.spec, self.needs, self.code, code.versions()], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def __str__(self) -> str:
        parts = [
            self.kind,
            *(
                str(self.label[f])
                for f in ("log", "task", "model")
                if self.label.get(f) is not None
            ),
        ]
        if self.label.get("source") not in (None, REAL):
            parts.append(f"trained on {self.label['source']}")
        if "seed" in self.label:
            parts.append(f"seed {self.label['seed']}")
        return " ".join(parts)


def plan(suite: Suite) -> list[Cell]:
    """The cells of a suite; what a cell needs stands before it."""
    cells: dict[str, Cell] = {}
    for cell in _cells(suite):
        cells.setdefault(cell.key, cell)
    return list(cells.values())


def _cells(suite: Suite) -> Iterator[Cell]:
    for log_name, source in suite.logs.items():
        log = _log_cell(suite, log_name, source)
        yield log
        yield from _train_and_test(
            suite, log, log, REAL, suite.models, suite.seeds, simulated=_has_truth(source)
        )
        for name, use in suite.generators.items():
            # Seed by seed: the spread over seeds is that of the generator and the model together.
            for seed in suite.seeds:
                generator = _generator_cell(suite, log, name, use, seed)
                yield generator
                yield _fidelity_cell(suite, log, generator)
                yield from _train_and_test(
                    suite, log, generator, name, use.models or (), (seed,), simulated=False
                )


def _log_cell(suite: Suite, name: str, source: LogSource) -> Cell:
    if source.folder is not None:
        # Its content is its key: where the folder lies and what made it do not matter.
        spec: dict[str, Any] = {"digest": log_digest(source.folder)}
        used = ""
    else:
        path = plugins.path_of("simulator.scenarios", str(source.scenario), kind="scenario")
        spec = {
            **asdict(source),
            "scenario": source.scenario if path.stem == source.scenario else str(path.resolve()),
        }
        used = code.package_digest(
            "simulator", without=("__main__.py", "scenarios", "calibration", "realism")
        ) + code.digest([path])
    return Cell("log", {"log": name}, spec, (), used, suite.limit_s, source.folder)


def _generator_cell(suite: Suite, log: Cell, name: str, use: GeneratorUse, seed: int) -> Cell:
    used = code.digest(
        [
            "generators.base",
            _module("generators.models", use.model),
            "benchmark.task",
            "benchmark.evaluation.control",
        ],
        alone=CELLS,
    )
    spec = {k: v for k, v in asdict(use).items() if k != "models"} | {
        "public": list(use.public),
        "seed": seed,
    }
    return Cell(
        "generator",
        {**log.label, "model": name, "seed": seed},
        spec,
        (log.key,),
        used,
        suite.limit_s,
    )


def _fidelity_cell(suite: Suite, log: Cell, generator: Cell) -> Cell:
    used = code.digest(
        [
            "generators.evaluation.fidelity",
            "generators.evaluation.copying",
            "benchmark.task",
            "benchmark.evaluation.control",
        ],
        alone=CELLS,
    )
    return Cell(
        "fidelity",
        generator.label,
        {"columns": suite.fidelity_columns},
        (log.key, generator.key),
        used,
        suite.limit_s,
    )


def _train_and_test(
    suite: Suite,
    log: Cell,
    source: Cell,
    source_name: str,
    models: tuple[str, ...],
    seeds: tuple[int, ...],
    *,
    simulated: bool,
) -> Iterator[Cell]:
    for task in suite.tasks:
        answering = [
            m
            for m in (_with_trivial(models, task) if source_name == REAL else models)
            if answers(m, task)
        ]
        if source_name != REAL and not answering:
            continue  # no model would ask for its questions
        task_settings = suite.task_settings.get(plugin_name(task), {})
        task_modules = [
            "benchmark.task",
            "benchmark.execution.prepared_task",
            _module("benchmark.tasks", task),
        ]
        label = {**log.label, "task": plugin_name(task), "source": source_name}
        if source.kind == "generator":
            label["seed"] = source.label["seed"]
        spec = {"task": task, "settings": task_settings}
        asked = code.digest([*task_modules, "benchmark.evaluation.leakage"], alone=CELLS)
        data = Cell(
            "data", label, spec, tuple(dict.fromkeys((log.key, source.key))), asked, suite.limit_s
        )
        yield data
        if source_name == REAL and simulated:
            used = code.digest(["simulator.truth.oracles", *task_modules], alone=CELLS)
            yield Cell(
                "reference",
                {**label, "model": ORACLE},
                spec,
                (log.key, data.key),
                used,
                suite.limit_s,
            )
        for model in answering:
            used = code.digest(
                ["baselines.base", _module("baselines.models", model), *task_modules], alone=CELLS
            )
            for seed in seeds:
                yield Cell(
                    "model",
                    {**label, "model": plugin_name(model), "seed": seed},
                    {
                        **spec,
                        "model": model,
                        "model_settings": _settings_for(suite, model, task),
                        "seed": seed,
                    },
                    (data.key,),
                    used,
                    suite.limit_s,
                )


def answers(model: str, task: str) -> bool:
    """Does the model answer the task's kind of question? Read from the source; where that does not
    tell, the cell finds out.
    """
    model_facts, task_facts = (
        code.class_facts("baselines.models", model),
        code.class_facts("benchmark.tasks", task),
    )
    kinds, tasks, kind = model_facts.get("kinds"), model_facts.get("tasks"), task_facts.get("kind")
    return (kinds is None or kind is None or kind in kinds) and (
        tasks is None or plugin_name(task) in tasks
    )


def _with_trivial(models: tuple[str, ...], task: str) -> tuple[str, ...]:
    """The models and, first, the one that marks 0 % of the headroom, whether it was asked for or
    not.
    """
    facts = code.class_facts("benchmark.tasks", task)
    trivial = facts.get("trivial", "base_rate")
    return (
        models
        if trivial in models or trivial not in plugins.names("baselines.models")
        else (trivial, *models)
    )


def _settings_for(suite: Suite, model: str, task: str) -> dict[str, Any]:
    """[settings.models.NAME], and over it [settings.models.NAME.TASK] where TASK is a task's
    name.
    """
    given: Mapping[str, Any] = suite.model_settings.get(plugin_name(model), {})
    tasks = {plugin_name(t) for t in (*suite.tasks, *plugins.names("benchmark.tasks"))}
    common = {k: v for k, v in given.items() if k not in tasks}
    return {**common, **given.get(plugin_name(task), {})}


def _module(package: str, name: str) -> str | Path:
    return code.file_of(package, name) or f"{package}.{name}"


def _has_truth(source: LogSource) -> bool:
    return source.folder is None or (Path(source.folder) / "truth").is_dir()
