"""The ids and times of a shard's tables: numbers and codes as Arrow columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from simulator.behaviour.campaigns import coupon_name, plan
from simulator.output import arrow_columns
from simulator.output.task import Salt, Task, item_ids, salt, user_keys
from simulator.world.catalogue import DAY, World


class ShardIds:
    """What the users, items, coupons, sessions and instants of a shard are called.

    Ids look random, and rows are in the order of ids: neither says anything about a shopper.
    """

    def __init__(self, task: Task, world: World, sessions: np.ndarray) -> None:
        self.task, self.world, self._n_sessions = task, world, len(sessions)
        key = user_keys(task)
        self.by_id = np.argsort(key)  # (n_users,) shoppers in the order of their ids
        self.users = arrow_columns.hexes(key[self.by_id], "u")
        self.place = np.empty(task.users, dtype=np.int64)  # of each shopper among the ids
        self.place[self.by_id] = np.arange(task.users)
        n_campaigns = len(plan(task.scenario, task.days))
        self.coupons = tuple(coupon_name(k) for k in range(n_campaigns + 1))
        self.items = item_ids(task.seed, world.n_items)

    def salt(self, kind: Salt) -> int:
        """Return the salt of a kind of ids in this shard."""
        return salt(self.task.seed, kind, self.task.index)

    def user(self, place: np.ndarray) -> pa.DictionaryArray:
        """Return (n,) ids of users by their places (n,) among the ids, -1 = none."""
        return arrow_columns.dictionary(place, self.users)

    def item(self, codes: np.ndarray) -> pa.DictionaryArray:
        """Return (n,) ids of items (n,), -1 = none."""
        return arrow_columns.dictionary(codes, self.items)

    def coupon(self, number: np.ndarray) -> pa.DictionaryArray:
        """Return (n,) ids of coupons (n,), -1 = none."""
        return arrow_columns.dictionary(number, self.coupons)

    def session(self, number: np.ndarray) -> pa.DictionaryArray:
        """Return (n,) ids of session numbers (n,), -1 = none."""
        numbers = np.arange(self._n_sessions)
        return arrow_columns.scrambled(numbers, self.salt(Salt.SESSION), "s", number)

    def is_in_log(self, records: np.ndarray) -> np.ndarray:
        """Return whether records (n,) lie in the log: a session may go on after its last day."""
        time = np.rint(records["time"] * 1000)
        begin, end = self.world.begin * 1000, self.world.days * DAY * 1000
        return (time >= begin) & (time < end)  # type: ignore[no-any-return]

    def ms(self, seconds: np.ndarray) -> np.ndarray:
        """Return (n,) int64 ms since 1970 of seconds since the first day that was played."""
        return self.world.start_ms + np.rint(seconds * 1000).astype(np.int64)

    def instants(self, seconds: np.ndarray) -> pa.Array:
        """Return (n,) timestamps of seconds since the first day that was played; NaN = null."""
        missing = np.isnan(seconds)
        return arrow_columns.times(self.ms(np.where(missing, 0, seconds)), missing)
