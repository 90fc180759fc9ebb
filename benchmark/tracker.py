"""Experiment trackers: what they are given of a finished cell, and how a run calls them.

Example::

    tracking = Tracking(["mlflow"], Path("results"))
    tracking.log(record)  # after the record was stored
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventlog._runtime import plugins
from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError, ShopError

PACKAGE = "benchmark.tracking"
PROJECT = "shoptwin"  # the experiment or project, where the tracker's own settings name none
TRACKED = ("model", "closed_loop")  # kinds of cells
COSTS = ("fit_s", "fit_cpu_s", "score_cpu_s", "us_per_query", "parameters", "peak_mb", "wall_s")

Value = str | int | float | bool


@dataclass(frozen=True)
class TrackedRun:
    """One finished cell: a model that was trained and tested on one task with one seed.

    `curve` is what the model measured while it learnt: (step, value) pairs of `curve_name`, empty
    for a model without steps.
    """

    key: str  # of the cell in the results folder
    name: str
    params: dict[str, Value]
    metrics: dict[str, float]  # and the costs
    tags: dict[str, str]
    curve_name: str
    curve: list[tuple[int, float]]


class Tracker(ABC):
    """A tracker. `folder` is for one that writes to disk; it need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def log(self, run: TrackedRun) -> None:
        """Pass on one finished cell; whatever is raised ends the tracking, not the run."""


class Tracking:
    """The trackers of a run.

    Args:
        names: of trackers, or paths of files that define one.
        folder: the results folder, inside which each tracker has a folder of its own.

    Raises InputError where a name is unknown, a package is missing or a tracker cannot start.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self._trackers = {name: _start(name, folder) for name in dict.fromkeys(names)}

    def log(self, record: Mapping[str, Any]) -> None:
        """Pass a stored record to every tracker, if it is that of a finished model.

        A tracker that fails is named on the console and left out from then on.
        """
        if record["kind"] not in TRACKED or record["status"] != "ok":
            return
        run = tracked_run(record)
        for name, tracker in list(self._trackers.items()):
            try:
                tracker.log(run)
            except Exception as error:  # noqa: BLE001 - a server may be gone; the result is stored
                del self._trackers[name]
                note(
                    f"The tracker {name} failed and is left out from here on; results are kept "
                    f"as always: {type(error).__name__}: {str(error)[:200]}"
                )


def _start(name: str, folder: Path) -> Tracker:
    found = plugins.load(PACKAGE, name, Tracker, kind="tracker")
    try:
        return found(folder / Path(name).stem)
    except ShopError:
        raise
    except Exception as error:
        raise InputError(
            f"The tracker {name} cannot start: {type(error).__name__}: {error}."
        ) from error


def tracked_run(record: Mapping[str, Any]) -> TrackedRun:
    """Return what trackers are given of the record of a finished model."""
    label, spec, curve = record["label"], record["spec"], record.get("curve") or {}
    of_model = {f"settings.{k}": v for k, v in (spec.get("model_settings") or {}).items()}
    of_task = {f"task.{k}": v for k, v in (spec.get("settings") or {}).items()}
    params = {**label, **of_model, **of_task}
    measured = {**record["metrics"], **{name: record.get(name) for name in COSTS}}
    steps = zip(curve.get("steps", ()), curve.get("values", ()), strict=True)
    return TrackedRun(
        key=record["key"],
        name="/".join(str(value) for value in label.values()),
        params={k: v if isinstance(v, Value) else json.dumps(v) for k, v in params.items()},
        metrics={name: float(v) for name, v in measured.items() if v is not None},
        tags={
            "cell": record["key"],
            "kind": record["kind"],
            "code": record["code"],
            "commit": str(record["environment"]["commit"]),
            "headline": record["headline"],
        },
        curve_name=f"validation {curve.get('measure', '')}",
        curve=[(int(step), float(v)) for step, v in steps if v is not None],
    )
