"""Population shards: how many there are, and how each becomes tables.

Shards are cut by expected rows, never by workers. An event's id is (shard << 32) | row, so shards
write independently.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from eventlog._runtime import plugins
from eventlog._runtime.console import note
from eventlog._runtime.errors import InputError
from eventlog._runtime.garbage import no_garbage_collection
from eventlog._runtime.seeds import check_seed
from eventlog.log_folder import write_parquet
from simulator.behaviour.campaigns import described, missing
from simulator.engine import Engine, Shard
from simulator.output import arrow_columns
from simulator.output.tables import programme_table, shard_tables
from simulator.output.task import PolicySource, Task, item_keys, policy_use, seeds, shop_seeds
from simulator.scenario import Scenario
from simulator.world.build import build
from simulator.world.catalogue import World
from simulator.world.recommender import Recommender

ROWS_PER_SHARD = 400_000
USERS_PER_SHARD = 20_000  # 3 kB each, however seldom they come
CORRUPTION_SEED = 2  # the seed's third child, beside the shop (0) and the people (1)
ROWS_PER_VISIT = 3.7  # with return visits; only sizes shards


def tasks(
    scenario: Scenario,
    *,
    users: int,
    days: int,
    seed: int,
    policy: PolicySource = None,
    policy_from: int = 0,
) -> list[Task]:
    """Cut the population; says on standard error if a wanted campaign does not fit into the log.

    Raises InputError where users, days, seed or policy_from are out of range, and where there is
    no such policy.
    """
    for name, value, low, high in (
        ("users", users, 1, 100_000_000),
        ("days", days, 1, 3_650),
        ("policy_from", policy_from, 0, 3_650),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InputError(
                f"{name} is {value!r}; it must be a whole number from {low} to {high}."
            )
    seed = check_seed(seed)
    if policy is not None and policy_from >= days:
        raise InputError(
            f"policy_from is {policy_from}, so the policy is at work on none of the {days} days; "
            "they count from 0."
        )
    _check_dates(scenario, days)
    expected = users * days * scenario.shoppers.visits * ROWS_PER_VISIT * 0.6
    wanted = max(expected / ROWS_PER_SHARD, users / USERS_PER_SHARD)
    shards = min(users, max(1, math.ceil(wanted)))
    sizes = [users // shards + (i < users % shards) for i in range(shards)]
    if isinstance(policy, str) and plugins.is_file(policy):
        policy = os.path.realpath(policy)  # workers may have another working folder
    found = [
        Task(scenario, days, seed, i, size, shards, policy, policy_from)
        for i, size in enumerate(sizes)
    ]
    policy_use(found[0])  # what is wrong with it shows before any work
    absent = missing(scenario, days)
    if absent:
        note(absent)
    return found


def _check_dates(scenario: Scenario, days: int) -> None:
    """Raise InputError where a day that is played is before the year 1 or after 9999."""
    start, burn_in = scenario.calendar.start, scenario.calendar.burn_in
    try:
        date.fromisoformat(start) - timedelta(days=burn_in)
        date.fromisoformat(start) + timedelta(days=days)
    except OverflowError:
        raise InputError(
            f"calendar.start is {start}, with {burn_in} days before it (calendar.burn_in) and "
            f"{days} days of the log; all must lie in the years 1 to 9999."
        ) from None


def simulate(task: Task, folder: str | None = None) -> dict[str, pa.Table]:
    """Play one shard and return its tables.

    They are events, users, labels, truth_events, truth_users, truth_coupons, and where the scenario
    has them truth_exposures, truth_programme and truth_dirty. With a `folder` the events are
    written there, a part per shard, and not returned.
    """
    with no_garbage_collection():
        world = _world(task)
        shard = _play(task, world)
        tables = shard_tables(task, world, shard)
        if task.scenario.truth.programme:
            without = task.scenario.with_settings({"coupons.every": 0})
            other = _play(replace(task, scenario=without), world)
            tables["truth_programme"] = programme_table(task, world, shard, other)
        if task.scenario.dirty.is_on:
            from simulator.output import corruption

            seed = np.random.SeedSequence(task.seed, spawn_key=(CORRUPTION_SEED, task.index))
            tables = corruption.damaged(tables, task.scenario.dirty, seed)
        if folder is not None:
            events = tables.pop("events")
            encoded = arrow_columns.with_few_values(events)
            path = Path(folder) / f"part-{task.index:05d}.parquet"
            write_parquet(path, arrow_columns.plain(events, encoded), encoded=encoded)
    return tables


def _play(task: Task, world: World) -> Shard:
    """The days of a shard, in the shop `world`."""
    (_, pages_seed), shard_seed = seeds(task)
    recommender = Recommender(task.scenario, world, pages_seed)
    rng = np.random.default_rng(shard_seed)
    return Engine(task.scenario, world, recommender, task.users, rng, policy_use(task)).run()


def items_table(task: Task) -> pa.Table:
    """Return the catalogue, in the order of its random-looking ids."""
    world = _world(task)
    ids, order = _items_by_id(task, world)
    category, price = world.category[order], np.exp(world.log_price[order])
    return arrow_columns.table(
        {
            "item_id": ids,
            "category": arrow_columns.named(category, world.category_names),
            "brand": arrow_columns.named(world.brand[order], world.brand_names),
            "price": np.round(price, 2).astype(np.float32),
        }
    )


def truth_items_table(task: Task) -> pa.Table:
    """Return what no shop knows of its items: quality, appeal, the category that complements."""
    world = _world(task)
    ids, order = _items_by_id(task, world)
    partner = world.partner[world.category[order]]
    return arrow_columns.table(
        {
            "item_id": ids,
            "quality": world.quality[order],
            "appeal": world.appeal[order],
            "complements": arrow_columns.named(partner, world.category_names),
        }
    )


def _items_by_id(task: Task, world: World) -> tuple[pa.Array, np.ndarray]:
    """The ids of the items, ascending, and the item of each, (n_items,) int64."""
    key = item_keys(task.seed, world.n_items)
    order = np.argsort(key)
    return arrow_columns.hexes(key[order], "i"), order


def calendar(task: Task) -> dict[str, Any]:
    """Return for the manifest: the coupon campaigns and the incidents, with their dates."""
    world = _world(task)
    return {"campaigns": described(task.scenario, world), "incidents": world.incidents()}


def _world(task: Task) -> World:
    return _shop(task.scenario, task.days, task.seed)


@lru_cache(maxsize=1)  # all shards of a log play in it
def _shop(scenario: Scenario, days: int, seed: int) -> World:
    return build(scenario, days=days, seed=shop_seeds(seed)[0])
