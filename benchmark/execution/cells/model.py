"""Let a model learn and answer in a process of its own, and judge its answers in this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.execution.artifact_store import fetch
from benchmark.execution.cells.facts import finite, scores, task_facts
from benchmark.execution.cells.loading import load_task_class
from benchmark.execution.jobs import Job
from benchmark.execution.judging.judge import NOT_REPEATABLE, Shuffled, judge
from benchmark.execution.judging.model_process import (
    ModelProcess,
    PluginError,
    end_and_flag,
    private_folder,
    start,
)
from benchmark.execution.judging.model_server import ModelSpec
from benchmark.execution.judging.refit import FITS_DIFFER, fits_differ
from benchmark.execution.prepared_task import LEARN, load_task
from benchmark.execution.results import pack
from benchmark.task import Task
from eventlog._runtime import plugins
from eventlog._runtime.errors import WorkError
from eventlog._runtime.system import peak_memory


def work(job: Job) -> dict[str, Any]:
    """Fit and judge a model, and return its scores, flags and cost."""
    spec = job.spec
    task = load_task_class(spec)
    folder = fetch(job.needs[0])
    wanted = ModelSpec(
        name=spec["model"],
        settings=spec["model_settings"],
        seed=spec["seed"],
        kind=task.kind,
        task=job.label["task"],
        label=job.label["model"],
        hidden=(*job.hidden, str(folder.parent), str(plugins.folder("simulator"))),
    )
    # It starts before any answer is read.
    with private_folder(folder / LEARN) as private, start(wanted, private) as model:
        try:
            found = _judged(task, model, folder, spec)
        except PluginError as error:
            found = {"status": "error", "error": str(error), "traceback": error.trace}
        except WorkError as error:
            found = {"status": "error", "error": str(error)}
        flags = [*model.flags, *found.get("flags", ()), *end_and_flag(model)]
    return {
        **found,
        "flags": flags,
        "family": model.family,
        "peak_mb": peak_memory(of_children=True),
    }


def _judged(task: Task, model: ModelProcess, folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """Fit a model and return what the judge found. Raises NotApplicable and WorkError."""
    model.load()
    fitted = model.fit()
    data = load_task(folder)
    found = judge(task, model, data, shuffled_questions=spec["shuffled_questions"])
    flags = list(found.flags)
    repeatable = NOT_REPEATABLE not in flags
    if spec["refit"] and repeatable and fits_differ(model, data, fitted["fit_s"]):
        flags.append(FITS_DIFFER)
    return {
        **scores(found.scored),
        **task_facts(task),
        **fitted,
        "seeded": model.seeded,
        "shuffled": _shuffled(task, found.shuffled),
        "flags": flags,
        "answers": found.answers,
        "queries": len(data.test),
        "score_cpu_s": round(found.cpu_s, 3),
        "us_per_query": round(found.wall_s / max(len(data.test), 1) * 1e6, 2),
    }


def _shuffled(task: Task, found: Shuffled | None) -> dict[str, Any] | None:
    """Return what a record says about the headline on shuffled histories."""
    if found is None:
        return None
    name = task.headline
    return {
        "metrics": {name: finite(found.shuffled.metrics[name])},
        "true": {name: finite(found.true.metrics[name])},
        "replicates": {name: pack(found.shuffled.replicates[name])},
        "true_replicates": {name: pack(found.true.replicates[name])},
        "questions": found.questions,
    }
