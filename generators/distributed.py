"""Sampling on several processes or a cluster: parts of the users are drawn apart and joined; the
log is the same on any engine.

Each worker reads the saved generator itself, so its folder is on storage that all see. Only codes
travel back. What a worker is sent to run comes from the caller's `model` alone, never from the
folder: a worker refuses what `load` refuses here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog._runtime.executors import check_engine, pool
from eventlog._runtime.plugins import is_file
from eventlog._runtime.seeds import check_seed
from generators.base import SampleConditions
from generators.persistence import load
from generators.sequence_model import SequenceGenerator, part_sizes
from generators.sequences.sampled import Sampled


@lru_cache(maxsize=1)
def _loaded(folder: str, model: str | None) -> SequenceGenerator:
    generator = load(folder, model=model)
    if not isinstance(generator, SequenceGenerator):
        raise InputError(
            f"The generator in {folder} cannot be sampled in parts; leave --engine and --workers "
            "out."
        )
    return generator


def part_of(
    folder: str,
    model: str | None,
    users: int,
    seed: int,
    number: int,
    conditions: SampleConditions,
) -> Sampled:
    """Part `number` of a sample, from the generator saved in `folder`: what a worker runs."""
    return _loaded(folder, model).part(users, seed, number, conditions)


def sample(
    folder: Path | str,
    users: int,
    *,
    seed: int,
    engine: str = "processes",
    workers: int | None = None,
    address: str | None = None,
    where: Mapping[str, str] | None = None,
    model: str | None = None,
) -> EventLog:
    """What `load(folder).sample(users, seed=seed, where=where)` gives, drawn by `workers` at a time
    on `engine` (see eventlog._runtime.executors).

    Raises InputError where the generator cannot be cut into parts, or the engine or address is
    wrong.
    """
    check_engine(engine, address)
    seed = check_seed(seed)
    if users < 1 or (workers is not None and workers < 1):
        raise InputError(f"users is {users} and workers {workers}; both must be 1 or more.")
    place = str(Path(folder).resolve())
    own = str(Path(model).resolve()) if model is not None and is_file(model) else model
    generator = _loaded(place, own)
    sizes, conditions = part_sizes(users), SampleConditions(where=dict(where or {}))
    with pool(
        engine,
        workers=min(workers, len(sizes)) if workers else None,
        address=address,
        needs={"CPU": 1},
    ) as executor:
        drawn = [
            executor.submit(part_of, place, own, n, seed, k, conditions)
            for k, n in enumerate(sizes)
        ]
        parts = [future.result() for future in drawn]
    return generator.sampled_log(parts, seed=seed, conditions=conditions)
