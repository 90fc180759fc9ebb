"""Two ways to simulate: `simulate` returns an EventLog, `run` writes a log folder of any size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from eventlog._runtime.console import track
from eventlog._runtime.errors import InputError
from eventlog._runtime.executors import check_engine, pool
from eventlog._runtime.files import check_replaceable
from eventlog.log_folder import LogWriter, to_arrow
from eventlog.manifest import DERIVED, GIVEN
from eventlog.schema import ROLES
from simulator import event_codes
from simulator.output import arrow_columns, shards
from simulator.output.task import PolicySource
from simulator.scenario import load

if TYPE_CHECKING:
    from eventlog.log import EventLog

AHEAD = 3  # shards in flight per worker
# The catalogue and the event names are the shop's own; its users are as private as a real shop's.
PROVENANCE = {"items": GIVEN, "users": DERIVED, "event": GIVEN}


def simulate(
    scenario: str = "shop",
    *,
    users: int,
    days: int,
    seed: int,
    workers: int = 1,
    settings: Mapping[str, Any] | None = None,
    policy: PolicySource = None,
    policy_from: int = 0,
) -> EventLog:
    """Simulate a log in memory, truth included.

    The same arguments give the same log, whatever `workers` is.

    Args:
        scenario: a name that `python -m simulator scenarios` lists, or a TOML file.
        users: number of shoppers.
        days: number of days.
        seed: of all random draws.
        workers: number of processes.
        settings: changes of the scenario by dotted key, e.g. {"fraud.share": 0.03}.
        policy: what decides which items each user sees: a name in `simulator.policies`, a Python
            file, or what makes a policy for each shard, such as a class (see
            `simulator.world.policy`). None: the shop's own recommender.
        policy_from: first day of the policy, from 0; before it all pages are the shop's own.

    Raises InputError for a wrong scenario, setting, number or policy.
    """
    from eventlog.log import EventLog

    todo = shards.tasks(
        load(scenario, settings),
        users=users,
        days=days,
        seed=seed,
        policy=policy,
        policy_from=policy_from,
    )
    with _executor("processes", None, workers, len(todo)) as executor:
        parts = list(_played(todo, None, executor))
    tables = {name: _frame([p[name] for p in parts]) for name in parts[0]}
    truth = {
        name.removeprefix("truth_"): table
        for name, table in tables.items()
        if name.startswith("truth_")
    }
    truth["items"] = _frame([shards.truth_items_table(todo[0])])
    return EventLog(
        events=tables["events"],
        users=tables["users"],
        items=_frame([shards.items_table(todo[0])]),
        labels=tables["labels"],
        truth=truth,
        manifest=_manifest(scenario, todo[0], users, days, seed),
    )


def run(
    scenario: str = "shop",
    *,
    users: int,
    days: int,
    seed: int,
    out: Path | str,
    workers: int = 1,
    engine: str = "processes",
    address: str | None = None,
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    policy: PolicySource = None,
    policy_from: int = 0,
) -> Path:
    """Simulate a log and write it as a folder, shard by shard; return the folder's path.

    Memory does not grow with the log. Each worker writes the events of its shards; on a cluster,
    `out` must be on storage that all workers see.

    Args:
        scenario: see `simulate`; so are users, days, seed, workers and settings.
        users: number of shoppers.
        days: number of days.
        seed: of all random draws.
        out: the folder.
        workers: number of processes.
        engine: "serial", "processes" or "dask".
        address: of the dask scheduler.
        settings: changes of the scenario by dotted key.
        policy: see `simulate`; so is policy_from.
        policy_from: first day of the policy.
        overwrite: replace a log that is there.

    Raises InputError for a wrong scenario, setting, number or policy, where `out` may not be
    replaced, and where the log would have no rows.
    """
    check_engine(engine, address)
    todo = shards.tasks(
        load(scenario, settings),
        users=users,
        days=days,
        seed=seed,
        policy=policy,
        policy_from=policy_from,
    )
    check_replaceable(out, overwrite=overwrite)
    with (
        LogWriter(out, overwrite=overwrite) as writer,
        _executor(engine, address, workers, len(todo), writer.folder) as executor,
    ):
        writer.events_folder.mkdir(parents=True, exist_ok=True)
        tables: dict[str, pq.ParquetWriter] = {}
        (writer.folder / "truth").mkdir()
        try:
            parts = _played(todo, str(writer.events_folder.resolve()), executor)
            for part in track(parts, "shards", total=len(todo)) if len(todo) > 1 else parts:
                for name in part:
                    table = to_arrow(arrow_columns.plain(part[name]))
                    if name not in tables:
                        path = writer.folder / f"{name.replace('truth_', 'truth/')}.parquet"
                        tables[name] = _table_writer(path, table.schema)
                    tables[name].write_table(table)
        finally:
            for file in tables.values():
                file.close()
        if not any(pq.read_metadata(part).num_rows for part in writer.events_folder.iterdir()):
            raise InputError(
                f"Nobody came: {users} users over {days} days leave no events; give more --users, "
                "more --days or a higher shoppers.visits."
            )
        writer.finish(
            items=to_arrow(shards.items_table(todo[0])),
            truth={"items": to_arrow(shards.truth_items_table(todo[0]))},
            manifest=_manifest(scenario, todo[0], users, days, seed),
        )
    return Path(out)


def _table_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of a table shard by shard, with the encodings that suit it.

    Numbers that hardly repeat get no dictionary, and rising ids are stored as differences: half
    the time and half the size.
    """
    repeat = [n for n in schema.names if n not in ("event_id", "p_choice")]
    rising = {"event_id": "DELTA_BINARY_PACKED"} if "event_id" in schema.names else None
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        store_schema=False,
        use_dictionary=repeat,
        column_encoding=rising,
    )


@contextmanager
def _executor(
    engine: str, address: str | None, workers: int, tasks: int, folder: Path | None = None
) -> Iterator[Executor | None]:
    """Where the shards are played; None = in this process, one after the other.

    `folder`: what the workers remove if this process is killed.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be 1 or more.")
    if engine == "serial" or (engine == "processes" and min(workers, tasks) == 1):
        yield None
        return
    with pool(
        engine, workers=min(workers, tasks), address=address, needs={"CPU": 1}, unfinished=folder
    ) as executor:
        yield executor


def _played(
    todo: list[shards.Task], folder: str | None, executor: Executor | None
) -> Iterator[dict[str, pa.Table]]:
    """The tables of each shard, in order; an executor works a few shards ahead."""
    if executor is None:
        for task in todo:
            yield shards.simulate(task, folder)
        return
    # finished parts wait in memory for their turn
    ahead = AHEAD * (getattr(executor, "_max_workers", 0) or 64)
    waiting = deque(executor.submit(shards.simulate, task, folder) for task in todo[:ahead])
    rest = iter(todo[ahead:])
    while waiting:
        yield waiting.popleft().result()
        for task in islice(rest, 1):
            waiting.append(executor.submit(shards.simulate, task, folder))


def _frame(tables: list[pa.Table]) -> Any:
    """One pandas frame of the shards' tables, with strings as categories as EventLog.read has."""
    return pa.concat_tables(tables).unify_dictionaries().to_pandas()


def _manifest(name: str, task: shards.Task, users: int, days: int, seed: int) -> dict[str, Any]:
    if not name:
        raise InputError("The scenario has no name.")
    known = event_codes.names(task.scenario.output.emails)
    foreign = {name: "other" for name in known if name not in ROLES}
    return {
        "made_by": "simulator",
        "scenario": task.scenario.to_json(),
        "policy": None
        if task.policy is None
        else {"name": task.policy_name, "first_day": task.policy_from},
        **shards.calendar(task),
        "users": users,
        "days": days,
        "seed": seed,
        "currency": "EUR",
        "privacy": "simulated: no person's data went into this log",
        "provenance": PROVENANCE,
        "event_names": list(known),
        **({"roles": foreign} if foreign else {}),
    }
