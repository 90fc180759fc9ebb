"""Load what several kinds of cells need: a task with its settings, a log, its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmark.execution.artifact_store import fetch
from benchmark.task import Task
from eventlog._runtime import plugins
from eventlog._runtime.settings import check_arguments

LOG, MODEL = "log", "model"  # folders inside an artefact


def load_task_class(spec: Mapping[str, Any]) -> Task:
    """Return the task that a cell is about, with its settings."""
    class_ = plugins.load("benchmark.tasks", spec["task"], Task, kind="task")
    task: Task = make(class_, spec["settings"], where=f"task {Path(spec['task']).stem}")
    return task


def make(class_: Callable[..., Any], settings: Mapping[str, Any], *, where: str) -> Any:
    """Return `class_(**settings)`, checked against the annotations of its `__init__`.

    Args:
        class_: a model or a task.
        settings: values as TOML gives them.
        where: what the settings are of, e.g. "model lstm".

    Raises:
        UnknownNameError: there is no such setting; the nearest is named.
        InputError: a value has the wrong type or lies outside its range.
    """
    return class_(**check_arguments(class_, settings, where=where))


def log_folder(needed: str) -> Path:
    """Return the log's folder in an artefact; that of a user's own log is the artefact itself."""
    folder = fetch(needed)
    return folder / LOG if (folder / LOG).is_dir() else folder
