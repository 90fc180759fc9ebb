"""Do the work of each kind of cell; see `benchmark.execution.plan` for the kinds.

A job runs in a process of its own, which imports what is heavy when it needs it.
"""

from __future__ import annotations

import hashlib
import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.evaluation import ceilings, leakage
from benchmark.evaluation.control import hold_out
from benchmark.execution.artifact_store import fetch, is_url, publish
from benchmark.execution.judge import NOT_REPEATABLE, Shuffled, judge
from benchmark.execution.model_process import (
    ModelProcess,
    PluginError,
    end_and_flag,
    private_folder,
    start,
)
from benchmark.execution.model_server import ModelSpec
from benchmark.execution.prepared_task import LEARN, load_task, save_task
from benchmark.execution.refit import FITS_DIFFER, fits_differ
from benchmark.execution.results import pack
from benchmark.execution.sampled_log import SEED, SampledLog
from benchmark.execution.seeding import seed_everything
from benchmark.task import ASKED_COLUMNS, NotApplicable, Scored, Task
from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog._runtime.errors import ShopError, WorkError
from eventlog._runtime.settings import check_arguments
from eventlog._runtime.system import peak_memory
from eventlog.arrays import Queries
from eventlog.log import digest
from eventlog.split import draw_users

LOG, MODEL = "log", "model"  # folders inside an artefact


@dataclass(frozen=True)
class Job:
    """A cell with the locations of its artefacts, as it is sent to a worker: plain data."""

    kind: str
    key: str
    spec: dict[str, Any]
    needs: tuple[str, ...]  # locations of the artefacts it needs, in the order of Cell.needs
    artifact: str  # location of its own
    limit_s: float
    label: dict[str, Any] = field(default_factory=dict)
    name: str = ""  # for the console
    hidden: tuple[str, ...] = ()  # folders that no model may read: results, artefacts, logs


def execute(job: Job) -> dict[str, Any]:
    """Do the work and return what the record says about it.

    `status` is "ok", "left out" or "error", the last two with the reason as `error`. Every
    exception of the work is caught; only SystemExit and its like pass.
    """
    began, cpu = time.perf_counter(), _cpu_seconds()
    seed_everything(job.spec.get("seed", 0))
    try:
        found = {"status": "ok", **WORK[job.kind](job)}
    except NotApplicable as reason:
        found = {"status": "left out", "error": str(reason)}
    except ShopError as error:
        found = {"status": "error", "error": str(error)}
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; the others go on
        found = {
            "status": "error",
            "error": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(limit=-6),
        }
    return {
        "peak_mb": peak_memory(),
        **found,
        "wall_s": round(time.perf_counter() - began, 3),
        "cpu_s": round(_cpu_seconds() - cpu, 3),
    }


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _log(job: Job) -> dict[str, Any]:
    from simulator import run

    spec = job.spec

    def write(temporary: Path) -> None:
        run(
            spec["scenario"],
            users=spec["users"],
            days=spec["days"],
            seed=spec["seed"],
            out=temporary / LOG,
            workers=1,
            settings=spec["settings"] or None,
        )

    return describe_log(publish(job.artifact, write) / LOG)


def describe_log(folder: Path) -> dict[str, Any]:
    """Return what a record says about a log.

    Raises InputError where the log cannot be split in time or has fewer than two users.
    """
    log = EventLog.read(folder, truth=False, verify=True, columns=ASKED_COLUMNS)
    if not log.manifest.get("files"):
        raise WorkError(f"{folder} has no manifest of files")
    split = Task.split(log)
    users = int(log.events["user_id"].nunique())
    if users < 2:
        raise NotApplicable(
            f"{folder} has {users} user; models are compared over users, so at least two are "
            "needed."
        )
    roles = log.role()
    return {
        "digest": digest(folder),
        "events": len(log),
        "users": users,
        "first": str(log.span[0]),
        "last": str(log.span[1]),
        "cut": str(split.cut),
        "purchases": int((roles == "purchase").sum()),
        "items": int(log.events["item_id"].nunique()) if "item_id" in log.events else 0,
        "truth": (folder / "truth").is_dir(),
    }


def _generator(job: Job) -> dict[str, Any]:
    import generators

    spec = job.spec
    sampled = SampledLog(_log_folder(job.needs[0]), spec["learn_users"])
    known = sampled.learnt().before(sampled.split.cut)
    # As many users are sampled as the log has, those held out included.
    users = int(known.events["user_id"].nunique())
    train, _ = hold_out(known)
    cost: dict[str, Any] = {}

    def write(temporary: Path) -> None:
        cpu = time.process_time()
        generator = generators.fit(
            train,
            model=spec["model"],
            epsilon=spec["epsilon"],
            delta=spec["delta"],
            public=tuple(spec["public"]),
            seed=spec["seed"],
            settings=spec["settings"] or None,
        )
        cost["fit_cpu_s"] = round(time.process_time() - cpu, 3)
        cpu = time.process_time()
        sample = generator.sample(users=users, seed=spec["seed"])
        cost["sample_cpu_s"] = round(time.process_time() - cpu, 3)
        generators.save(generator, temporary / MODEL)
        sample.write(temporary / LOG)
        arrays, _ = generator.state()
        privacy = getattr(generator, "privacy", {}) or {}
        cost.update(
            events=len(sample),
            parameters=int(sum(a.size for a in arrays.values())),
            epsilon=privacy.get("epsilon"),
            delta=privacy.get("delta"),
        )

    folder = publish(job.artifact, write)
    return {
        **cost,
        "users": users,
        "train_users": int(train.events["user_id"].nunique()),
        "train_events": len(train),
        "digest": digest(folder / LOG),
    }


def _data(job: Job) -> dict[str, Any]:
    task = load_task_class(job.spec)
    sampled = SampledLog(_log_folder(job.needs[0]), job.spec["learn_users"])
    split, log = sampled.split, sampled.asked(task)
    learnt = log if sampled.learners is None else log.only_users(sampled.learners)
    generated = len(job.needs) > 1
    source = EventLog.read(_log_folder(job.needs[1]), truth=False) if generated else learnt
    data = task.prepare(source, log, split)
    leakage.check(task, data, source, learnt, split)
    publish(job.artifact, lambda temporary: save_task(temporary, data))
    return {
        "train": len(data.train),
        "valid": 0 if data.valid is None else len(data.valid),
        "test": len(data.test),
        "split_by": data.split_by,
        "test_users": len(np.unique(data.test.queries.user)),
        "items": data.encoder.n_items - 2,
        # The real log's own cell looks for leaks; whether a generator copies, its fidelity tells.
        "suspected": [] if generated else leakage.suspect(task, data, source, log, split),
        "questions": _identity(data.test.queries),
        "base_rate": float(np.mean(data.test.target)) if task.kind != "next_item" else None,
        **_task_facts(task),
    }


def _model(job: Job) -> dict[str, Any]:
    """Let a model learn and answer in a process of its own, and judge its answers in this one."""
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
        offline=is_url(job.needs[0]) and not job.needs[0].startswith("file:"),
    )
    # It starts before any answer is read.
    with private_folder(folder / LEARN) as private, start(wanted, private) as model:
        try:
            found = _judged(task, model, folder)
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


def _judged(task: Task, model: ModelProcess, folder: Path) -> dict[str, Any]:
    """Fit a model and return what the judge found. Raises NotApplicable and WorkError."""
    model.load()
    fitted = model.fit()
    data = load_task(folder)
    found = judge(task, model, data)
    flags = list(found.flags)
    if NOT_REPEATABLE not in flags and fits_differ(model, data, fitted["fit_s"]):
        flags.append(FITS_DIFFER)
    return {
        **_scores(found.scored),
        **_task_facts(task),
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
        "metrics": {name: _finite(found.shuffled.metrics[name])},
        "true": {name: _finite(found.true.metrics[name])},
        "replicates": {name: pack(found.shuffled.replicates[name])},
        "true_replicates": {name: pack(found.true.replicates[name])},
        "questions": found.questions,
    }


def _reference(job: Job) -> dict[str, Any]:
    """Return the score of a rung of the ladder of ceilings, with what it is made of."""
    task = load_task_class(job.spec)
    data = load_task(fetch(job.needs[1]))
    rung = job.spec["rung"]
    if rung in ceilings.STORED:
        found = ceilings.stored(
            ceilings.path_of(job.spec["stored_in"]),
            task=job.label["task"],
            rung=rung,
            questions=ceilings.identity(task, data),
        )
        scores = {"metrics": found.metrics, "replicates": found.replicates, "chance": found.chance}
        return {**scores, **_task_facts(task), "provenance": found.provenance}
    from simulator.truth import oracles

    log = EventLog.read(_log_folder(job.needs[0]))
    answer = task.oracle(oracles, log, data.test, task.split(log))
    if answer is None:
        raise NotApplicable(f"{job.label['task']} has no oracle")
    scored = task.judge(np.asarray(answer, dtype=np.float64), data)
    return {**_scores(scored), **_task_facts(task), "provenance": task.oracle_knows}


def _fidelity(job: Job) -> dict[str, Any]:
    from generators.evaluation import fidelity

    sampled = SampledLog(_log_folder(job.needs[0]), job.spec["learn_users"])
    real = sampled.learnt().before(sampled.split.cut)
    synthetic = EventLog.read(_log_folder(job.needs[1]), truth=False)
    rows = fidelity.compare(
        *(_drawn(log, job.spec["users"]) for log in (real, synthetic)), columns=job.spec["columns"]
    )
    return {
        "measures": {
            r.name: {"value": r.value, "floor": r.floor, "limit": r.limit, "verdict": r.verdict}
            for r in rows
        },
        "privacy": _privacy(real, synthetic),
    }


def _closed_loop(job: Job) -> dict[str, Any]:
    """Run a shop under a policy; see `benchmark.adapters.closed_loop`."""
    from benchmark.adapters.closed_loop import World, play

    spec = job.spec
    world = World(
        scenario=spec["scenario"],
        users=spec["users"],
        learn_days=spec["learn_days"],
        trial_days=spec["trial_days"],
        run_days=spec["run_days"],
        seed=spec["seed"],
        settings=spec["settings"],
    )
    found = play(
        world, spec["model"], built_in=spec["built_in"], model_settings=spec["model_settings"]
    )
    return {
        "metrics": {name: _finite(value) for name, value in found.items()},
        "headline": "orders",
        "chance": 0.0,
    }


def _drawn(log: EventLog, users: int | None) -> EventLog:
    """Return the log of some users, drawn; all of them for None."""
    if users is None:
        return log
    end = log.span[1] + pd.Timedelta(milliseconds=1)
    return log.only_users(draw_users(log, users, before=end, rng=np.random.default_rng(SEED)))


def _privacy(real: EventLog, synthetic: EventLog) -> dict[str, Any] | None:
    """Return the risk of copies and of membership; None without a control group.

    `caught` says what shows that the generator copies its training log, or is None.
    """
    from generators.evaluation import copying
    from generators.evaluation.align import align_logs
    from generators.evaluation.attacks import suite

    fitted, control = hold_out(real)
    if control is None:
        return None
    audit = copying.examine(*align_logs(fitted, synthetic, control), seed=0)
    return {
        "copies": suite.as_json(audit.copies),
        "membership": suite.as_json(audit.membership),
        "caught": audit.caught,
        "control_users": int(control.events["user_id"].nunique()),
    }


WORK: dict[str, Callable[[Job], dict[str, Any]]] = {
    "log": _log,
    "generator": _generator,
    "data": _data,
    "model": _model,
    "reference": _reference,
    "fidelity": _fidelity,
    "closed_loop": _closed_loop,
}


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


def _log_folder(needed: str) -> Path:
    """Return the log's folder in an artefact; that of a user's own log is the artefact itself."""
    folder = fetch(needed)
    return folder / LOG if (folder / LOG).is_dir() else folder


def _scores(scored: Scored) -> dict[str, Any]:
    return {
        "metrics": {n: _finite(v) for n, v in scored.metrics.items()},
        "replicates": {n: pack(r) for n, r in scored.replicates.items()},
        "chance": scored.chance,
    }


def _task_facts(task: Task) -> dict[str, Any]:
    return {"headline": task.headline, "shown": list(task.shown), "trivial": task.trivial}


def _identity(queries: Queries) -> str:
    """Return a hash of the questions: the same where two results may be compared in pairs."""
    return hashlib.sha256(
        b"".join(
            np.ascontiguousarray(a).tobytes() for a in (queries.user, queries.end, queries.time)
        )
    ).hexdigest()[:16]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
