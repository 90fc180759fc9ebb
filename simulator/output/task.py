"""One shard to simulate: its seeds, and the ids of what it makes.

A shard's seed is a child of the log's (SeedSequence.spawn), so any number of workers, in any order,
makes the same bytes. The seeds of the shop (catalogue, pages) are common to all shards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import pyarrow as pa

from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError
from eventlog._runtime.text import one_line
from simulator.output import arrow_columns
from simulator.scenario import Scenario
from simulator.world.policy import NO_POLICY, Policy, PolicyUse

POLICIES = "simulator.policies"
POLICY_SEED = 3  # the seed's fourth child, beside the shop (0), the people (1) and damage (2)
# The name or file of a policy, or what makes one for each shard, such as its class.
PolicySource = str | Callable[[], Policy] | None


class Salt(IntEnum):
    """Kinds of ids: each has a salt of its own, so that equal codes get unrelated ids."""

    ITEM = 1
    USER = 2
    CARD = 3
    SESSION = 4
    ORDER = 5
    DEVICE = 6
    EMAIL = 7
    TAG = 8


@dataclass(frozen=True)
class Task:
    """One shard; all that a worker needs to know."""

    scenario: Scenario
    days: int
    seed: int
    index: int
    users: int
    shards: int
    policy: PolicySource = None  # what fills the front pages; None: the shop's own recommender
    policy_from: int = 0  # the first day on which it does

    @property
    def policy_name(self) -> str | None:
        """What the policy is called: of a file, its name without the suffix."""
        if self.policy is None or isinstance(self.policy, str):
            return self.policy and Path(self.policy).stem
        return getattr(self.policy, "__name__", type(self.policy).__name__)


def policy_use(task: Task) -> PolicyUse:
    """Return the policy of a shard, made anew. Raises InputError where it cannot be made."""
    if task.policy is None:
        return NO_POLICY
    make = task.policy
    if isinstance(make, str):
        make = plugins.load(POLICIES, make, Policy, kind="policy")
    name = str(task.policy_name)
    try:
        policy = make()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"The policy {name} cannot be made without arguments: {type(error).__name__}: "
            f"{one_line(error)}"
        ) from error
    seed = np.random.SeedSequence(task.seed, spawn_key=(POLICY_SEED, task.index))
    return PolicyUse(policy, name, task.policy_from, np.random.default_rng(seed))


def seeds(task: Task) -> tuple[list[np.random.SeedSequence], np.random.SeedSequence]:
    """Return the seeds of the shop (catalogue, pages), and that of this shard.

    The shop's do not depend on the number of shards.
    """
    _, people = np.random.SeedSequence(task.seed).spawn(2)
    return shop_seeds(task.seed), people.spawn(task.index + 1)[-1]


def shop_seeds(seed: int) -> list[np.random.SeedSequence]:
    """Return the seeds of the catalogue and of the pages of a log with this seed."""
    return np.random.SeedSequence(seed).spawn(2)[0].spawn(2)


def salt(seed: int, kind: Salt, shard: int = 0) -> int:
    """Return the salt of a kind of ids in a shard."""
    sequence = np.random.SeedSequence([seed, int(kind), shard])
    return int(sequence.generate_state(1, np.uint64)[0]) & (2**62 - 1)


def user_keys(task: Task) -> np.ndarray:
    """Return (n_users,) uint64: the key that each shopper's id is made of."""
    index = np.arange(task.users, dtype=np.uint64) | np.uint64(task.index) << np.uint64(32)
    return arrow_columns.mix(index, salt(task.seed, Salt.USER))


def user_ids(task: Task) -> pa.Array:
    """Return (n_users,) the id of each shopper of a shard."""
    return arrow_columns.hexes(user_keys(task), "u")


def item_keys(seed: int, n: int) -> np.ndarray:
    """Return (n,) uint64: the key that each item's id is made of."""
    return arrow_columns.mix(np.arange(n), salt(seed, Salt.ITEM))


def item_ids(seed: int, n: int) -> pa.Array:
    """Return (n,) the id of each item."""
    return arrow_columns.hexes(item_keys(seed, n), "i")
