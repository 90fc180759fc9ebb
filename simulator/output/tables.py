"""The tables of a shard: what it played, as flat, sorted Arrow tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from simulator import event_codes
from simulator.behaviour.buffers import event_buffer
from simulator.behaviour.campaigns import coupon_name, plan
from simulator.behaviour.session.devices import TYPES, types
from simulator.behaviour.shoppers import AGES, CHANNELS, COUNTRIES, REASONS
from simulator.engine import Shard
from simulator.fraud import fraudsters as fraud
from simulator.fraud import labels
from simulator.output import arrow_columns
from simulator.output.task import Salt, Task, item_ids, salt, user_keys
from simulator.world.catalogue import DAY, World
from simulator.world.queries import typed
from simulator.world.recommender import POLICIES

TIME = pa.timestamp("ms", tz="UTC")


def shard_tables(task: Task, world: World, shard: Shard) -> dict[str, pa.Table]:
    """Return events, users, labels, truth_events, truth_users, truth_coupons, truth_exposures.

    The last only where the scenario keeps exposures.
    """
    return _Tables(task, world, shard).all()


def programme_table(task: Task, world: World, shard: Shard, without: Shard) -> pa.Table:
    """Return what each user bought, honestly, in a shard and in the same one without campaigns."""
    real = _Tables(task, world, shard)
    (orders0, spend0), (orders1, spend1) = (
        _Tables(task, world, played).bought() for played in (without, shard)
    )
    return pa.table(
        {
            "user_id": real.user_ids,
            "orders0": orders0,
            "orders1": orders1,
            "spend0": spend0,
            "spend1": spend1,
        }
    )


@dataclass
class _Rows:
    """The rows of the log in their order: by user, then time. All (n,)."""

    columns: dict[str, np.ndarray]  # the fields of event_buffer.EVENT
    event_id: np.ndarray  # int64
    # (all rows + 1,) int64 event_id in the order of writing, -1 = after the end of the log
    written_id: np.ndarray
    user: np.ndarray  # int64, place among the ids of users
    time: np.ndarray  # int64 ms since 1970


class _Tables:
    """Makes the tables of one shard."""

    def __init__(self, task: Task, world: World, shard: Shard) -> None:
        self.task, self.world, self.shard = task, world, shard
        self.sessions = shard.browser.sessions.written
        # Ids look random, and rows are in the order of ids: neither says anything about a shopper.
        key = user_keys(task)
        self.by_id = np.argsort(key)  # (n_users,) shoppers in the order of their ids
        self.user_ids = arrow_columns.hexes(key[self.by_id], "u")
        self.place = np.empty(task.users, dtype=np.int64)  # of each shopper among the ids
        self.place[self.by_id] = np.arange(task.users)
        campaigns = plan(task.scenario, task.days)
        self.coupon_ids = pa.array([coupon_name(k) for k in range(len(campaigns) + 1)])
        self.randomised = campaigns["randomised"] > 0
        self.item_ids = item_ids(task.seed, world.n_items)

    def all(self) -> dict[str, pa.Table]:
        rows = self._rows()
        typology = self.sessions["typology"][rows.columns["session"]]
        tables = {
            "events": self._events(rows),
            "labels": labels.observed(
                self.task.scenario.fraud,
                rows.columns,
                typology,
                rows.event_id,
                rows.time,
                self.shard.fraudsters.seed,
            ),
            "truth_events": self._truth_events(rows, typology),
            "users": self._users(),
            "truth_users": self._truth_users(),
            "truth_coupons": self._coupons(),
        }
        if self.task.scenario.truth.exposures:
            tables["truth_exposures"] = self._exposures(rows.written_id)
        return tables

    # --- rows -------------------------------------------------------------------------------------

    def _rows(self) -> _Rows:
        everything = self.shard.browser.events.written
        kept = self._is_in_time(everything) & ~self._began_before()[everything["session"]]
        row = np.flatnonzero(kept)
        user = self.place[self.sessions["user"][everything["session"][row]]]
        # Each shopper's sessions are played in the order of time, and so are the rows of a user.
        order = arrow_columns.stable_order(user)
        row, user = row[order], user[order]
        written = everything.take(row)  # several times as fast as indexing records
        columns = {k: np.ascontiguousarray(written[k]) for k in event_buffer.EVENT.names or ()}
        first = np.int64(self.task.index) << np.int64(32)
        event_id = first + np.arange(len(user))
        written_id = np.full(len(everything) + 1, -1)  # the last place is for no row
        written_id[row] = event_id
        return _Rows(columns, event_id, written_id, user, self._ms(columns["time"]))

    def _events(self, rows: _Rows) -> pa.Table:
        column, world, sessions = rows.columns, self.world, self.sessions
        item, session = column["item"], column["session"]

        def of_item(values: np.ndarray) -> np.ndarray:
            return np.where(item >= 0, values[item], -1)

        def dictionary(codes: np.ndarray, values: tuple[str, ...]) -> pa.DictionaryArray:
            return arrow_columns.dictionary(codes, pa.array(values))

        return pa.table(
            {
                "event_id": rows.event_id,
                "user_id": arrow_columns.dictionary(rows.user, self.user_ids),
                "timestamp": pa.array(rows.time).cast(TIME),
                "event": dictionary(column["event"], event_codes.NAMES),
                "session_id": self._session_ids(session),
                "item_id": arrow_columns.dictionary(item, self.item_ids),
                "order_id": arrow_columns.scrambled(column["order"], self._salt(Salt.ORDER), "o"),
                "coupon_id": arrow_columns.dictionary(column["coupon"], self.coupon_ids),
                "category": dictionary(of_item(world.category), world.category_names),
                "brand": dictionary(of_item(world.brand), world.brand_names),
                "query": self._queries(column["query"]),
                "price": pa.array(column["price"], from_pandas=True),
                "quantity": pa.array(column["quantity"], mask=column["quantity"] == 0),
                "discount": pa.array(column["discount"], from_pandas=True),
                "rating": pa.array(column["rating"], from_pandas=True),
                "device": arrow_columns.scrambled(
                    sessions["device"], self._salt(Salt.DEVICE), "d", session
                ),
                "device_type": dictionary(
                    types(sessions["device"], self.task.scenario.devices.mobile)[session], TYPES
                ),
                "logged_in": column["logged_in"] > 0,
                "channel": dictionary(sessions["channel"][session], CHANNELS),
                "payment_method": arrow_columns.scrambled(
                    column["card"], self._salt(Salt.CARD), "p"
                ),
                "country": dictionary(sessions["country"][session], COUNTRIES),
            }
        )

    def _queries(self, query: np.ndarray) -> pa.DictionaryArray:
        """(n,) what was typed in each search."""
        codes, texts = typed(query, self.world.query_names)
        return arrow_columns.dictionary(codes, pa.array(texts, type=pa.string()))

    def _truth_events(self, rows: _Rows, typology: np.ndarray) -> pa.Table:
        column, index = rows.columns, self.task.index
        victim = (typology >= 0) & fraud.VICTIM[typology]
        ring = self.sessions["ring"][column["session"]]
        # Typologies without a share are not named: one more of them must not change the bytes.
        named = np.flatnonzero(fraud.shares(self.task.scenario.fraud) > 0)
        place = np.full(len(fraud.NAMES), -1)
        place[named] = np.arange(len(named))
        fraud_code = np.where(typology >= 0, place[typology], -1)
        ring_names = [f"ring_{index}_{r}" for r in range(self.shard.fraudsters.n_rings)]
        return pa.table(
            {
                "event_id": rows.event_id,
                "fraud": arrow_columns.dictionary(
                    fraud_code, pa.array([fraud.NAMES[k] for k in named], pa.string())
                ),
                "ring": arrow_columns.dictionary(ring, pa.array(ring_names)),
                "victim": arrow_columns.dictionary(np.where(victim, rows.user, -1), self.user_ids),
                "p_choice": pa.array(column["p_choice"], from_pandas=True),
                "rank_choice": pa.array(column["rank"], mask=column["rank"] < 0),
            }
        )

    # --- users ------------------------------------------------------------------------------------

    def _users(self) -> pa.Table:
        population, by_id = self.shard.population, self.by_id
        return pa.table(
            {
                "user_id": self.user_ids,
                "signup": self._instants(population.born[by_id]),
                "country": arrow_columns.dictionary(population.country[by_id], pa.array(COUNTRIES)),
                "age_band": arrow_columns.dictionary(population.age[by_id], pa.array(AGES)),
                "acquisition": arrow_columns.dictionary(
                    population.channel[by_id], pa.array(CHANNELS)
                ),
            }
        )

    def _truth_users(self) -> pa.Table:
        population, by_id = self.shard.population, self.by_id
        died, ring, taste = population.died[by_id], population.ring[by_id], population.taste[by_id]
        died = np.where(died < self.world.days * DAY, died, np.nan)  # later is not known yet
        reason = np.where(np.isnan(died), -1, population.reason[by_id])
        return pa.table(
            {
                "user_id": self.user_ids,
                "born": self._instants(population.born[by_id]),
                "died": self._instants(died),
                "reason": arrow_columns.dictionary(reason, pa.array(REASONS)),
                "rate": population.rate[by_id],
                "propensity": population.propensity[by_id],
                "satisfaction": population.satisfaction[by_id],
                "leaving_since": self._instants(population.leaving_since[by_id]),
                "orders_before": population.orders_before[by_id],
                "hazard": population.hazard[by_id],
                "price_sensitivity": population.price_sensitivity[by_id],
                "ring": pa.array(ring, mask=ring < 0),
                **{f"taste_{k}": taste[:, k] for k in range(taste.shape[1])},
            }
        )

    def bought(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_users,) int64 honest orders and float64 money spent by each, in the order of ids."""
        rows = self._in_time(self.shard.browser.events.written)
        rows = rows[rows["event"] == event_codes.PURCHASE]
        sessions = self.sessions[rows["session"]]
        rows, user = rows[sessions["typology"] < 0], sessions["user"][sessions["typology"] < 0]
        place = self.place[user]
        spend = np.bincount(
            place, rows["price"].astype(np.float64) * rows["quantity"], self.task.users
        )
        _, first = np.unique(rows["order"], return_index=True)
        return np.bincount(place[first], minlength=self.task.users), spend

    # --- exposures and coupons --------------------------------------------------------------------

    def _exposures(self, event_id: np.ndarray) -> pa.Table:
        """Every slate that was shown: a row per place.

        `event_id` (n,): of each row as they were written, -1 = after the end of the log.
        """
        browser, task = self.shard.browser, self.task
        pages, slates = self._in_time(browser.pages.written), browser.slates
        n, slate = pages["items"].shape
        there = (pages["items"] >= 0).ravel()
        query, anchor, depth = slates.lists(pages["slate"].astype(np.int64))
        view = pages["event"].ravel()[there]
        led_to = np.where(view >= 0, event_id[view], -1)

        def per_place(values: np.ndarray) -> np.ndarray:
            return np.repeat(values, slate)[there]

        def item(codes: np.ndarray) -> pa.DictionaryArray:
            return arrow_columns.dictionary(codes, self.item_ids)

        first = np.int64(task.index) << np.int64(32)
        user = self.place[self.sessions["user"][pages["session"]]]
        return pa.table(
            {
                "exposure_id": per_place(first + np.arange(n)),
                "user_id": arrow_columns.dictionary(per_place(user), self.user_ids),
                "session_id": self._session_ids(per_place(pages["session"])),
                "timestamp": pa.array(per_place(self._ms(pages["time"]))).cast(TIME),
                "policy": arrow_columns.dictionary(per_place(pages["policy"]), pa.array(POLICIES)),
                "query": arrow_columns.dictionary(
                    per_place(query), pa.array(self.world.query_names)
                ),
                "anchor": item(per_place(anchor)),
                "page": per_place(depth).astype(np.int32),
                "rank": np.tile(np.arange(slate, dtype=np.int32), n)[there],
                "item_id": item(pages["items"].ravel()[there]),
                "propensity": pages["propensity"].ravel()[there],
                "price": pages["price"].ravel()[there].astype(np.float32),
                "known": (pages["known"] > 0).ravel()[there],
                "clicked": led_to >= 0,
                "event_id": pa.array(led_to, mask=led_to < 0),
            }
        )

    def _coupons(self) -> pa.Table:
        """Every offer with both potential outcomes, those without and with the coupon."""
        offers = self.shard.offers
        user = self.place[offers["user"]]
        order = np.lexsort((offers["time"], user))
        offers, user = offers[order], user[order]
        randomised = np.zeros(0, dtype=bool)
        if len(self.randomised):
            randomised = self.randomised[offers["campaign"] - 1]
        return pa.table(
            {
                "user_id": arrow_columns.dictionary(user, self.user_ids),
                "coupon_id": arrow_columns.dictionary(offers["campaign"], self.coupon_ids),
                "offered_at": pa.array(self._ms(offers["time"])).cast(TIME),
                "randomised": randomised,
                "propensity": offers["propensity"],
                "treated": offers["treated"] > 0,
                "y0": offers["y"][:, 0] > 0,
                "y1": offers["y"][:, 1] > 0,
                "spend0": offers["spend"][:, 0].astype(np.float32),
                "spend1": offers["spend"][:, 1].astype(np.float32),
            }
        )

    # --- ids and times ----------------------------------------------------------------------------

    def _salt(self, kind: Salt) -> int:
        return salt(self.task.seed, kind, self.task.index)

    def _session_ids(self, session: np.ndarray) -> pa.DictionaryArray:
        """(n,) ids of session numbers (n,)."""
        numbers = np.arange(len(self.sessions))
        return arrow_columns.scrambled(numbers, self._salt(Salt.SESSION), "s", session)

    def _in_time(self, records: np.ndarray) -> np.ndarray:
        """The records (n,) that lie within the log."""
        return records[self._is_in_time(records)]

    def _is_in_time(self, records: np.ndarray) -> np.ndarray:
        """Whether records (n,) lie within the log: a session may go on after its last day."""
        time = np.rint(records["time"] * 1000)
        begin, end = self.world.begin * 1000, self.world.days * DAY * 1000
        return (time >= begin) & (time < end)  # type: ignore[no-any-return]

    def _began_before(self) -> np.ndarray:
        """(n_sessions,) bool: sessions that began before the log; none of their rows is in it."""
        written = self.shard.browser.events.written
        before = np.zeros(len(self.sessions), dtype=bool)
        before[written["session"][written["time"] < self.world.begin]] = True
        return before

    def _ms(self, seconds: np.ndarray) -> np.ndarray:
        """(n,) int64 ms since 1970 of seconds since the first day that was played."""
        return self.world.start_ms + np.rint(seconds * 1000).astype(np.int64)

    def _instants(self, seconds: np.ndarray) -> pa.Array:
        """(n,) timestamps of seconds since the first day that was played; NaN = null."""
        missing = np.isnan(seconds)
        return pa.array(self._ms(np.where(missing, 0, seconds)), mask=missing).cast(TIME)
