"""The tables of a shard: what it played, as flat, sorted Arrow tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from simulator import event_codes
from simulator.behaviour.buffers import event_buffer
from simulator.behaviour.campaigns import plan
from simulator.behaviour.session.devices import TYPES, types
from simulator.behaviour.shoppers import AGES, CHANNELS, COUNTRIES, REASONS
from simulator.engine import Shard
from simulator.fraud import fraudsters as fraud
from simulator.fraud import labels
from simulator.output import arrow_columns
from simulator.output.marketing import Marketing, of_sessions
from simulator.output.shard_ids import ShardIds
from simulator.output.task import Salt, Task
from simulator.world.catalogue import DAY, World
from simulator.world.queries import typed
from simulator.world.recommender import POLICIES


def shard_tables(task: Task, world: World, shard: Shard) -> dict[str, pa.Table]:
    """Return events, users, labels, truth_events, truth_users, truth_coupons.

    And truth_exposures and truth_emails where the scenario keeps exposures and logs mails.
    """
    return _Tables(task, world, shard).all()


def programme_table(task: Task, world: World, shard: Shard, without: Shard) -> pa.Table:
    """Return what each user bought, honestly, in a shard and in the same one without campaigns."""
    real = _Tables(task, world, shard)
    (orders0, spend0), (orders1, spend1) = (
        _Tables(task, world, played).bought() for played in (without, shard)
    )
    return arrow_columns.table(
        {
            "user_id": real.ids.users,
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
    mail: np.ndarray  # int64 row of the mail that it is about, -1 = none


class _Tables:
    """Makes the tables of one shard."""

    def __init__(self, task: Task, world: World, shard: Shard) -> None:
        self.task, self.world, self.shard = task, world, shard
        self.sessions = shard.browser.sessions.written
        self.ids = ShardIds(task, world, self.sessions)
        self.randomised = plan(task.scenario, task.days)["randomised"] > 0
        self.marketing = Marketing(self.ids, shard)

    def all(self) -> dict[str, pa.Table]:
        rows = self._rows()
        typology = of_sessions(self.sessions["typology"], rows.columns["session"])
        tables = {
            "events": self._events(rows),
            "labels": self._labels(rows, typology),
            "truth_events": self._truth_events(rows, typology),
            "users": self._users(),
            "truth_users": self._truth_users(),
            "truth_coupons": self._coupons(),
        }
        if self.task.scenario.truth.exposures:
            tables["truth_exposures"] = self._exposures(rows.written_id)
        if self.task.scenario.output.emails:
            tables["truth_emails"] = self.marketing.truth_emails(rows.mail)
        return tables

    # --- rows -------------------------------------------------------------------------------------

    def _rows(self) -> _Rows:
        everything = self.shard.browser.events.written
        kept = self.ids.is_in_log(everything) & ~self._began_before()[everything["session"]]
        row = np.flatnonzero(kept)
        user = self.ids.place[self.sessions["user"][everything["session"][row]]]
        # Each shopper's sessions are played in the order of time, and so are the rows of a user.
        order = arrow_columns.stable_order(user)
        row, user = row[order], user[order]
        written = everything.take(row)  # several times as fast as indexing records
        written, user, mail, row = self.marketing.with_mails(written, user, row)
        columns = {k: np.ascontiguousarray(written[k]) for k in event_buffer.EVENT.names or ()}
        first = np.int64(self.task.index) << np.int64(32)
        event_id = first + np.arange(len(user))
        written_id = np.full(len(everything) + 1, -1)  # the last place is for no row
        written_id[row] = event_id
        written_id[-1] = -1
        return _Rows(columns, event_id, written_id, user, self.ids.ms(columns["time"]), mail)

    def _events(self, rows: _Rows) -> pa.Table:
        column, world, sessions = rows.columns, self.world, self.sessions
        item, session, output = column["item"], column["session"], self.task.scenario.output

        def of_item(values: np.ndarray) -> np.ndarray:
            return np.where(item >= 0, values[item], -1)

        def dictionary(codes: np.ndarray, values: tuple[str, ...]) -> pa.DictionaryArray:
            return arrow_columns.dictionary(codes, values)

        def of_session(values: np.ndarray) -> np.ndarray:
            return of_sessions(values, session)

        return arrow_columns.table(
            {
                "event_id": rows.event_id,
                "user_id": self.ids.user(rows.user),
                "timestamp": arrow_columns.times(rows.time),
                "event": dictionary(column["event"], event_codes.names(output.emails)),
                "session_id": self.ids.session(session),
                "item_id": self.ids.item(item),
                "order_id": arrow_columns.scrambled(
                    column["order"], self.ids.salt(Salt.ORDER), "o"
                ),
                "coupon_id": self.ids.coupon(column["coupon"]),
                "category": dictionary(of_item(world.category), world.category_names),
                "brand": dictionary(of_item(world.brand), world.brand_names),
                "query": self._queries(column["query"]),
                "price": arrow_columns.numbers(column["price"], np.isnan(column["price"])),
                "quantity": arrow_columns.numbers(column["quantity"], column["quantity"] == 0),
                "discount": arrow_columns.numbers(column["discount"], np.isnan(column["discount"])),
                "rating": arrow_columns.numbers(column["rating"], np.isnan(column["rating"])),
                "device": arrow_columns.scrambled(
                    sessions["device"], self.ids.salt(Salt.DEVICE), "d", session
                ),
                "device_type": dictionary(
                    of_session(types(sessions["device"], self.task.scenario.devices.mobile)), TYPES
                ),
                "logged_in": column["logged_in"] > 0,
                "channel": dictionary(of_session(sessions["channel"]), CHANNELS),
                "payment_method": arrow_columns.scrambled(
                    column["card"], self.ids.salt(Salt.CARD), "p"
                ),
                "country": dictionary(of_session(sessions["country"]), COUNTRIES),
                **self.marketing.columns(rows.mail, session),
            }
        )

    def _queries(self, query: np.ndarray) -> pa.DictionaryArray:
        """(n,) what was typed in each search."""
        codes, texts = typed(query, self.world.query_names)
        return arrow_columns.dictionary(codes, texts)

    def _labels(self, rows: _Rows, typology: np.ndarray) -> pa.Table:
        found = labels.observed(
            self.task.scenario.fraud,
            rows.columns,
            typology,
            rows.event_id,
            rows.time,
            self.shard.fraudsters.seed,
        )
        return arrow_columns.table(
            {
                "event_id": found.event_id,
                "kind": arrow_columns.named(found.kind, labels.KINDS),
                "value": np.ones(len(found.event_id), dtype=np.float32),
                "known_at": arrow_columns.times(found.known_at),
            }
        )

    def _truth_events(self, rows: _Rows, typology: np.ndarray) -> pa.Table:
        column, index = rows.columns, self.task.index
        victim = (typology >= 0) & fraud.VICTIM[typology]
        ring = of_sessions(self.sessions["ring"], column["session"])
        # Typologies without a share are not named: one more of them must not change the bytes.
        named = np.flatnonzero(fraud.shares(self.task.scenario.fraud) > 0)
        place = np.full(len(fraud.NAMES), -1)
        place[named] = np.arange(len(named))
        fraud_code = np.where(typology >= 0, place[typology], -1)
        ring_names = [f"ring_{index}_{r}" for r in range(self.shard.fraudsters.n_rings)]
        return arrow_columns.table(
            {
                "event_id": rows.event_id,
                "fraud": arrow_columns.dictionary(fraud_code, [fraud.NAMES[k] for k in named]),
                "ring": arrow_columns.dictionary(ring, ring_names),
                "victim": self.ids.user(np.where(victim, rows.user, -1)),
                "p_choice": arrow_columns.numbers(column["p_choice"], np.isnan(column["p_choice"])),
                "rank_choice": arrow_columns.numbers(column["rank"], column["rank"] < 0),
            }
        )

    # --- users ------------------------------------------------------------------------------------

    def _users(self) -> pa.Table:
        population, by_id = self.shard.population, self.ids.by_id
        return arrow_columns.table(
            {
                "user_id": self.ids.users,
                "signup": self.ids.instants(population.born[by_id]),
                "country": arrow_columns.dictionary(population.country[by_id], COUNTRIES),
                "age_band": arrow_columns.dictionary(population.age[by_id], AGES),
                "acquisition": arrow_columns.dictionary(population.channel[by_id], CHANNELS),
            }
        )

    def _truth_users(self) -> pa.Table:
        population, by_id = self.shard.population, self.ids.by_id
        died, ring, taste = population.died[by_id], population.ring[by_id], population.taste[by_id]
        died = np.where(died < self.world.days * DAY, died, np.nan)  # later is not known yet
        reason = np.where(np.isnan(died), -1, population.reason[by_id])
        return arrow_columns.table(
            {
                "user_id": self.ids.users,
                "born": self.ids.instants(population.born[by_id]),
                "died": self.ids.instants(died),
                "reason": arrow_columns.dictionary(reason, REASONS),
                "rate": population.rate[by_id],
                "propensity": population.propensity[by_id],
                "satisfaction": population.satisfaction[by_id],
                "leaving_since": self.ids.instants(population.leaving_since[by_id]),
                "orders_before": population.orders_before[by_id],
                "hazard": population.hazard[by_id],
                "price_sensitivity": population.price_sensitivity[by_id],
                "ring": arrow_columns.numbers(ring, ring < 0),
                **{f"taste_{k}": taste[:, k] for k in range(taste.shape[1])},
            }
        )

    def bought(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_users,) int64 honest orders and float64 money spent by each, in the order of ids."""
        rows = self.shard.browser.events.written
        rows = rows[self.ids.is_in_log(rows)]
        rows = rows[rows["event"] == event_codes.PURCHASE]
        sessions = self.sessions[rows["session"]]
        rows, user = rows[sessions["typology"] < 0], sessions["user"][sessions["typology"] < 0]
        place = self.ids.place[user]
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
        pages, slates = browser.pages.written, browser.slates
        pages = pages[self.ids.is_in_log(pages)]
        n, slate = pages["items"].shape
        there = (pages["items"] >= 0).ravel()
        query, anchor, depth = slates.lists(pages["slate"].astype(np.int64))
        view = pages["event"].ravel()[there]
        led_to = np.where(view >= 0, event_id[view], -1)

        def per_place(values: np.ndarray) -> np.ndarray:
            return np.repeat(values, slate)[there]

        first = np.int64(task.index) << np.int64(32)
        user = self.ids.place[self.sessions["user"][pages["session"]]]
        return arrow_columns.table(
            {
                "exposure_id": per_place(first + np.arange(n)),
                "user_id": self.ids.user(per_place(user)),
                "session_id": self.ids.session(per_place(pages["session"])),
                "timestamp": arrow_columns.times(per_place(self.ids.ms(pages["time"]))),
                "policy": arrow_columns.dictionary(per_place(pages["policy"]), POLICIES),
                "query": arrow_columns.dictionary(per_place(query), self.world.query_names),
                "anchor": self.ids.item(per_place(anchor)),
                "page": per_place(depth).astype(np.int32),
                "rank": np.tile(np.arange(slate, dtype=np.int32), n)[there],
                "item_id": self.ids.item(pages["items"].ravel()[there]),
                "propensity": pages["propensity"].ravel()[there],
                "price": pages["price"].ravel()[there].astype(np.float32),
                "known": (pages["known"] > 0).ravel()[there],
                "clicked": led_to >= 0,
                "event_id": arrow_columns.numbers(led_to, led_to < 0),
            }
        )

    def _coupons(self) -> pa.Table:
        """Every offer with both potential outcomes, those without and with the coupon."""
        offers = self.shard.offers
        user = self.ids.place[offers["user"]]
        order = np.lexsort((offers["time"], user))
        offers, user = offers[order], user[order]
        randomised = np.zeros(0, dtype=bool)
        if len(self.randomised):
            randomised = self.randomised[offers["campaign"] - 1]
        return arrow_columns.table(
            {
                "user_id": self.ids.user(user),
                "coupon_id": self.ids.coupon(offers["campaign"]),
                "offered_at": arrow_columns.times(self.ids.ms(offers["time"])),
                "randomised": randomised,
                "propensity": offers["propensity"],
                "treated": offers["treated"] > 0,
                "y0": offers["y"][:, 0] > 0,
                "y1": offers["y"][:, 1] > 0,
                "spend0": offers["spend"][:, 0].astype(np.float32),
                "spend1": offers["spend"][:, 1].astype(np.float32),
            }
        )

    # --- sessions ---------------------------------------------------------------------------------

    def _began_before(self) -> np.ndarray:
        """(n_sessions,) bool: sessions that began before the log; none of their rows is in it."""
        written = self.shard.browser.events.written
        before = np.zeros(len(self.sessions), dtype=bool)
        before[written["session"][written["time"] < self.world.begin]] = True
        return before
