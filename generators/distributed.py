"""Sampling on several processes or a cluster.

Parts of the users are drawn apart and joined; the log does not depend on the engine. Each worker
reads the saved generator itself, so its folder must be on storage that all workers see. Only codes
travel back. What code a worker runs follows from the caller's `model` and never from the folder: a
worker refuses whatever `load` refuses.
"""

from __future__ import annotations

import os
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
from generators.sampling.parts import part_sizes
from generators.sequence_model import SequenceGenerator
from generators.sequences.sampled import Sampled


@lru_cache(maxsize=1)
def _loaded(folder: str, model: str | None) -> SequenceGenerator:
    """Load a generator once per process."""
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
    """Return part `number` of a sample of the generator saved in `folder`; a worker runs this."""
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
    """Return the log of `load(folder).sample(users, seed=seed, where=where)`, drawn in parts.

    Args:
        folder: a saved generator.
        engine, address, workers: where the parts are drawn, and how many at a time; see
            `eventlog._runtime.executors`.
        model: see `load`.

    Raises:
        InputError: the generator cannot be sampled in parts, or an argument is wrong.
    """
    check_engine(engine, address)
    seed = check_seed(seed)
    if users < 1 or (workers is not None and workers < 1):
        raise InputError(f"users is {users} and workers {workers}; both must be 1 or more.")
    place = os.path.realpath(folder)
    own = os.path.realpath(model) if model is not None and is_file(model) else model
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
