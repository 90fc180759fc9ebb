"""One shard to simulate: its seeds, and the ids of what it makes.

A shard's seed is a child of the log's (SeedSequence.spawn), so any number of workers, in any order,
makes the same bytes. The seeds of the shop (catalogue, pages) are common to all shards.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa

from simulator.output import arrow_columns
from simulator.scenario import Scenario


class Salt(IntEnum):
    """Kinds of ids: each has a salt of its own, so that equal codes get unrelated ids."""

    ITEM = 1
    USER = 2
    CARD = 3
    SESSION = 4
    ORDER = 5
    DEVICE = 6


@dataclass(frozen=True)
class Task:
    """One shard; all that a worker needs to know."""

    scenario: Scenario
    days: int
    seed: int
    index: int
    users: int
    shards: int


def seeds(task: Task) -> tuple[list[np.random.SeedSequence], np.random.SeedSequence]:
    """Return the seeds of the shop (catalogue, pages), and that of this shard.

    The shop's do not depend on the number of shards.
    """
    shop, people = np.random.SeedSequence(task.seed).spawn(2)
    return shop.spawn(2), people.spawn(task.index + 1)[-1]


def salt(seed: int, kind: Salt, shard: int = 0) -> int:
    """Return the salt of a kind of ids in a shard."""
    sequence = np.random.SeedSequence([seed, int(kind), shard])
    return int(sequence.generate_state(1, np.uint64)[0]) & (2**62 - 1)


def item_ids(seed: int, n: int) -> pa.Array:
    """Return (n,) the id of each item."""
    return arrow_columns.hexes(arrow_columns.mix(np.arange(n), salt(seed, Salt.ITEM)), "i")
