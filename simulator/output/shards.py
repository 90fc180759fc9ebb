"""Population shards: how many, which seed each has, and how their parts become one log.

Shards are cut by expected rows, never by workers, and each has a seed of its own
(SeedSequence.spawn), so any number of workers, in any order, makes the same bytes. An event's id is
(shard << 32) | row: shards write independently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from eventlog._runtime.errors import InputError
from eventlog._runtime.seeds import check_seed
from eventlog.log import write_parquet
from simulator import event_codes
from simulator.behaviour import event_buffer
from simulator.behaviour.campaigns import coupon_name, described, plan
from simulator.behaviour.shoppers import AGES, CHANNELS, COUNTRIES, REASONS
from simulator.engine import Engine, Shard
from simulator.fraud import fraudsters as fraud
from simulator.fraud import labels
from simulator.output import arrow_columns, corruption
from simulator.scenario import Scenario
from simulator.world import catalogue as world
from simulator.world.catalogue import DAY, World
from simulator.world.recommender import POLICIES, Recommender

ROWS_PER_SHARD = 400_000
DIRT = 2  # the seed's third child, beside the shop (0) and the people (1)
ROWS_PER_VISIT = 9.0  # with return visits; only sizes shards
TIME = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True)
class Task:
    """One shard to simulate; all that a worker needs to know."""

    scenario: Scenario
    days: int
    seed: int
    index: int
    users: int
    shards: int


def tasks(scenario: Scenario, *, users: int, days: int, seed: int) -> list[Task]:
    """Cut the population. Raises InputError where users, days or seed are out of range."""
    for name, value, low, high in (
        ("users", users, 1, 100_000_000),
        ("days", days, 1, 3_650),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InputError(
                f"{name} is {value!r}; it must be a whole number from {low} to {high}."
            )
    seed = check_seed(seed)
    expected = users * days * scenario.shoppers.visits * ROWS_PER_VISIT * 0.6
    shards = min(users, max(1, math.ceil(expected / ROWS_PER_SHARD)))
    sizes = [users // shards + (i < users % shards) for i in range(shards)]
    return [Task(scenario, days, seed, i, size, shards) for i, size in enumerate(sizes)]


def simulate(task: Task, folder: str | None = None) -> dict[str, pa.Table]:
    """Play one shard. Returns its tables: events, users, labels, truth_events, truth_users,
    truth_coupons and perhaps others.

    With a `folder` the events are written there, a part per shard, and not returned.
    """
    shop, shard_seed = _seeds(task)
    catalogue = world.build(task.scenario, days=task.days, seed=shop[0])
    pages = Recommender(task.scenario, catalogue, shop[1])
    rng = np.random.default_rng(shard_seed)
    shard = Engine(task.scenario, catalogue, pages, task.users, rng).run()
    tables = _tables(task, catalogue, shard, rng)
    if corruption.wanted(task.scenario.dirty):
        tables = corruption.damaged(
            tables,
            task.scenario.dirty,
            np.random.SeedSequence(task.seed, spawn_key=(DIRT, task.index)),
        )
    if folder is not None:
        write_parquet(Path(folder) / f"part-{task.index:05d}.parquet", tables.pop("events"))
    return tables


def items_table(task: Task) -> pa.Table:
    """The catalogue, in the order of its random-looking ids."""
    shop, _ = _seeds(task)
    found = world.build(task.scenario, days=task.days, seed=shop[0])
    table = pa.table(
        {
            "item_id": item_ids(task.seed, found.n_items),
            "category": pa.array(np.array(found.category_names, dtype=object)[found.category]),
            "brand": pa.array(np.array(found.brand_names, dtype=object)[found.brand]),
            "price": pa.array(np.round(np.exp(found.log_price), 2).astype(np.float32)),
        }
    )
    return table.sort_by("item_id")


def truth_items_table(task: Task) -> pa.Table:
    """What no shop knows of its items: quality, appeal, the partner category."""
    shop, _ = _seeds(task)
    found = world.build(task.scenario, days=task.days, seed=shop[0])
    names = np.array(found.category_names, dtype=object)
    table = pa.table(
        {
            "item_id": item_ids(task.seed, found.n_items),
            "quality": found.quality,
            "appeal": found.appeal,
            "complements": pa.array(names[found.partner[found.category]]),
        }
    )
    return table.sort_by("item_id")


def calendar(task: Task) -> dict[str, Any]:
    """For the manifest: the coupon campaigns and what went wrong or viral, with their dates."""
    shop, _ = _seeds(task)
    found = world.build(task.scenario, days=task.days, seed=shop[0])
    return {"campaigns": described(task.scenario, found), "incidents": found.incidents()}


def item_ids(seed: int, n: int) -> pa.Array:
    """(n,) the id of each item."""
    return arrow_columns.hexes(arrow_columns.mix(np.arange(n), _salt(seed, 1)), "i")


def _seeds(task: Task) -> tuple[list[np.random.SeedSequence], np.random.SeedSequence]:
    """Seeds of the shop (catalogue, pages) and of this shard. The shop's do not depend on the
    number of shards.
    """
    shop, people = np.random.SeedSequence(task.seed).spawn(2)
    return shop.spawn(2), people.spawn(task.index + 1)[-1]


def _salt(seed: int, kind: int, shard: int = 0) -> int:
    """A salt for ids: one per seed, kind of id and shard."""
    return int(np.random.SeedSequence([seed, kind, shard]).generate_state(1, np.uint64)[0]) & (
        2**62 - 1
    )


def _tables(
    task: Task, catalogue: World, shard: Shard, rng: np.random.Generator
) -> dict[str, pa.Table]:
    """Flat, sorted Arrow tables of a shard."""
    tape_rows, table = shard.browser.rows.written, shard.browser.sessions.written
    n_users = task.users
    # Ids look random, and rows stand in the order of ids: neither says anything about the shopper.
    index = np.arange(n_users, dtype=np.uint64) | (np.uint64(task.index) << np.uint64(32))
    key = arrow_columns.mix(index, _salt(task.seed, 2))
    place = np.empty(n_users, dtype=np.int64)
    place[np.argsort(key)] = np.arange(n_users)

    user = place[table["user"][tape_rows["session"]]]
    time = catalogue.start_ms + np.rint(tape_rows["time"] * 1000).astype(np.int64)
    # each shopper's sessions are played in time, so the rows of a user are in time already
    order = arrow_columns.stable_order(user)
    tape_rows = tape_rows[order]
    rows = {k: np.ascontiguousarray(tape_rows[k]) for k in event_buffer.ROW.names or ()}
    user, time, session = user[order], time[order], rows["session"]
    event_id = (np.int64(task.index) << np.int64(32)) + np.arange(len(user))

    item, has_item = rows["item"], rows["item"] >= 0
    coupons = pa.array([coupon_name(k) for k in range(len(plan(task.scenario, task.days)) + 1)])
    # A card keeps its kind for life: wallets and cards differ in their prefix only.
    cards = arrow_columns.scrambled(rows["card"], _salt(task.seed, 3, task.index), "p")
    numbers = {"price": rows["price"], "discount": rows["discount"], "rating": rows["rating"]}
    events = pa.table(
        {
            "event_id": event_id,
            "user_id": arrow_columns.dictionary(user, arrow_columns.hexes(np.sort(key), "u")),
            "timestamp": pa.array(time).cast(TIME),
            "event": arrow_columns.dictionary(rows["event"], pa.array(event_codes.NAMES)),
            "session_id": arrow_columns.scrambled(
                np.arange(len(table)), _salt(task.seed, 4, task.index), "s", session
            ),
            "item_id": arrow_columns.dictionary(item, item_ids(task.seed, catalogue.n_items)),
            "order_id": arrow_columns.scrambled(
                rows["order"], _salt(task.seed, 5, task.index), "o"
            ),
            "coupon_id": arrow_columns.dictionary(rows["coupon"], coupons),
            "category": arrow_columns.dictionary(
                np.where(has_item, catalogue.category[item], -1), pa.array(catalogue.category_names)
            ),
            "brand": arrow_columns.dictionary(
                np.where(has_item, catalogue.brand[item], -1), pa.array(catalogue.brand_names)
            ),
            "query": arrow_columns.dictionary(rows["query"], pa.array(catalogue.query_names)),
            "price": pa.array(numbers["price"], from_pandas=True),
            "quantity": pa.array(rows["quantity"], mask=rows["quantity"] == 0),
            "discount": pa.array(numbers["discount"], from_pandas=True),
            "rating": pa.array(numbers["rating"], from_pandas=True),
            "device": arrow_columns.scrambled(
                table["device"], _salt(task.seed, 6, task.index), "d", session
            ),
            "channel": arrow_columns.dictionary(table["channel"][session], pa.array(CHANNELS)),
            "payment_method": cards,
            "country": arrow_columns.dictionary(table["country"][session], pa.array(COUNTRIES)),
        }
    )
    typology, ring = table["typology"][session], table["ring"][session]
    tables = {"events": events}
    tables["labels"] = labels.observed(task.scenario.fraud, rows, typology, event_id, time, rng)
    victim = (typology >= 0) & fraud.VICTIM[typology]
    ring_names = pa.array([f"ring_{task.index}_{r}" for r in range(shard.fraudsters.n_rings)])
    tables["truth_events"] = pa.table(
        {
            "event_id": event_id,
            "fraud": arrow_columns.dictionary(typology, pa.array(fraud.NAMES)),
            "ring": arrow_columns.dictionary(ring, ring_names),
            "victim": arrow_columns.dictionary(
                np.where(victim, user, -1), arrow_columns.hexes(np.sort(key), "u")
            ),
            "p_choice": pa.array(rows["p_choice"], from_pandas=True),
            "rank_choice": pa.array(rows["rank"], mask=rows["rank"] < 0),
        }
    )
    tables |= _user_tables(task, catalogue, shard, key)
    tables["truth_coupons"] = _coupons(task, catalogue, shard, place, key, coupons)
    if task.scenario.truth.exposures:
        tables["truth_exposures"] = _exposures(task, catalogue, shard)
    return tables


def _user_tables(
    task: Task, catalogue: World, shard: Shard, key: np.ndarray
) -> dict[str, pa.Table]:
    people = shard.population
    order = np.argsort(key)
    ids = arrow_columns.hexes(np.sort(key), "u")

    def instant(seconds: np.ndarray) -> pa.Array:
        missing = np.isnan(seconds)
        whole = catalogue.start_ms + np.rint(np.where(missing, 0, seconds) * 1000).astype(np.int64)
        return pa.array(whole, mask=missing).cast(TIME)

    born, died = people.born[order], people.died[order]
    users = pa.table(
        {
            "user_id": ids,
            "signup": instant(np.floor(born / DAY) * DAY),
            "country": arrow_columns.dictionary(people.country[order], pa.array(COUNTRIES)),
            "age_band": arrow_columns.dictionary(people.age[order], pa.array(AGES)),
            "acquisition": arrow_columns.dictionary(people.channel[order], pa.array(CHANNELS)),
        }
    )
    truth = pa.table(
        {
            "user_id": ids,
            "born": instant(born),
            "died": instant(died),
            "reason": arrow_columns.dictionary(
                np.where(np.isnan(died), -1, people.reason[order]), pa.array(REASONS)
            ),
            "rate": people.rate[order],
            "propensity": people.propensity[order],
            "hazard": people.hazard[order],
            "price_sensitivity": people.price[order],
            "ring": pa.array(people.ring[order], mask=people.ring[order] < 0),
            **{f"taste_{k}": people.taste[order, k] for k in range(people.taste.shape[1])},
        }
    )
    return {"users": users, "truth_users": truth}


def _exposures(task: Task, catalogue: World, shard: Shard) -> pa.Table:
    """Every slate that was shown: a row per place."""
    pages = shard.browser.pages.written
    items, prices, seen, clicked = (
        pages["items"],
        pages["price"],
        pages["known"] > 0,
        pages["clicked"] > 0,
    )
    session, time, policy = pages["session"], pages["time"], pages["policy"].astype(np.int64)
    n, slate = items.shape
    there = (items >= 0).ravel()
    variants = task.scenario.recommender.variants
    explore = round(task.scenario.recommender.explore * variants) / variants
    share = np.array([1 - explore, 1.0, 1 - explore, 1.0, 1.0, explore])  # in the order of POLICIES

    def wide(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, slate)[there]

    instant = catalogue.start_ms + np.rint(time * 1000).astype(np.int64)
    return pa.table(
        {
            "exposure_id": wide((np.int64(task.index) << np.int64(32)) + np.arange(n)),
            "session_id": arrow_columns.scrambled(
                np.arange(shard.browser.sessions.n),
                _salt(task.seed, 4, task.index),
                "s",
                wide(session),
            ),
            "timestamp": pa.array(wide(instant)).cast(TIME),
            "policy": arrow_columns.dictionary(wide(policy), pa.array(POLICIES)),
            "propensity": wide(share[policy]).astype(np.float32),
            "rank": np.tile(np.arange(slate, dtype=np.int32), n)[there],
            "item_id": arrow_columns.dictionary(
                items.ravel()[there], item_ids(task.seed, catalogue.n_items)
            ),
            "price": prices.ravel()[there].astype(np.float32),
            "known": seen.ravel()[there],
            "clicked": clicked.ravel()[there],
        }
    )


def _coupons(
    task: Task,
    catalogue: World,
    shard: Shard,
    place: np.ndarray,
    key: np.ndarray,
    coupons: pa.Array,
) -> pa.Table:
    """Every offer with both potential outcomes: what the shopper does within the window with and
    without the coupon.
    """
    offers = shard.offers
    offers = offers[np.lexsort((offers["time"], place[offers["user"]]))]
    randomised = plan(task.scenario, task.days)["randomised"] > 0
    return pa.table(
        {
            "user_id": arrow_columns.dictionary(
                place[offers["user"]], arrow_columns.hexes(np.sort(key), "u")
            ),
            "coupon_id": arrow_columns.dictionary(offers["campaign"], coupons),
            "offered_at": pa.array(
                catalogue.start_ms + np.rint(offers["time"] * 1000).astype(np.int64)
            ).cast(TIME),
            "randomised": randomised[offers["campaign"] - 1]
            if len(randomised)
            else np.zeros(0, dtype=bool),
            "propensity": offers["propensity"],
            "treated": offers["treated"] > 0,
            "y0": offers["y"][:, 0] > 0,
            "y1": offers["y"][:, 1] > 0,
            "spend0": offers["spend"][:, 0].astype(np.float32),
            "spend1": offers["spend"][:, 1].astype(np.float32),
        }
    )
