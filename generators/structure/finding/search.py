"""Search: the log that relations are looked for in, and what was found in it so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.structure.declared import Declared
from generators.structure.finding import evidence
from generators.structure.finding.campaigns import find_campaigns
from generators.structure.finding.clocks import find_zone
from generators.structure.relations.base import Relation
from generators.structure.relations.dependency import Dependency, keys_of
from generators.structure.relations.offers import Campaigns
from generators.structure.relations.times import LocalDays
from generators.structure.structure import escaped
from generators.structure.tables import Tables, codes_of, is_number, is_time

SAMPLE_ROWS = 60_000  # in which relations are looked for, at least
MOST_KEYS = 5_000  # values of a column that may determine others
MOST_KEY_COLUMNS = 24
NAMES = 40  # a number with fewer values is learnt value by value anyway
SPARSE = 0.5  # share of the whole numbers in its range that a name has, at most
TAIL = 0.05  # of the rows, at either end, which does not count as the range of a number
LARGEST_AMOUNT = 1e15
# Columns of which nothing is a total, an earlier value or a side of a comparison.
NO_OPERANDS = frozenset({"event_id", "user_id", "timestamp", "session_id", "order_id", "coupon_id"})
# Columns that have a meaning of their own to the codec; they are never derived.
ROLES = frozenset(
    {
        *("event_id", "user_id", "timestamp", "event", "session_id", "item_id", "order_id"),
        *("category", "price", "coupon_id", "quantity", "rating"),
    }
)


class Search:
    """Collects relations; a column is derived once, and from what does not follow from it.

    Attributes:
        whole: the tables of the log.
        some: those of users drawn at random, in which relations are looked for.
        relations: what was declared or found.
        free: the columns of which nothing is known yet.
        constant: those that are the same in all rows of a user.
        huge: numbers beyond all amounts, from which nothing is computed.
    """

    def __init__(
        self, log: EventLog, min_users: int, rng: np.random.Generator, declared: Declared
    ) -> None:
        self.min_users, self.rng = min_users, rng
        self.whole = Tables.of(log)
        self.whole.events.columns = [escaped(str(n)) for n in self.whole.events.columns]
        self.relations: list[Relation] = list(declared.relation)
        self.declared = {r.column for r in self.relations} | set(declared.free)
        if "coupon_id" not in self.declared:
            said = log.manifest.get("campaigns") or ()
            campaigns = find_campaigns(self.whole, min_users=min_users, said=said)
            if campaigns is not None:
                self.relations.append(campaigns)
        for relation in self.relations:
            if isinstance(relation, Campaigns):
                relation.reduce(self.whole)
        if "timestamp" not in self.declared:
            self.local_days()
        some = self.whole.events[_users_of(self.whole.user, rng)].reset_index(drop=True)
        self.some = Tables(some, self.whole.users, self.whole.roles)
        self.constant: list[str] = []  # columns that are the same in all rows of a user
        special = {"discount"} if "coupon_id" in log.events else set()
        self.free = [
            n
            for n in self.some.events
            if n not in ROLES | special | self.declared and self.some.events[n].notna().any()
        ]
        # numbers beyond all amounts take part in nothing that is computed
        self.huge = {n for n in self.some.events if _is_huge(self.some.events[n])}
        self.users_columns = set() if log.users is None else set(map(str, log.users.columns))

    def local_days(self) -> None:
        """Find the time zone of which all times are days."""
        zone = find_zone(self.whole.time)
        if zone is not None:
            relation = LocalDays(column="timestamp", zone=zone)
            self.relations.append(relation)
            relation.reduce(self.whole)

    def take(self, relation: Relation) -> None:
        """Keep a relation, which derives its column."""
        self.relations.append(relation)
        if relation.column in self.free:
            self.free.remove(relation.column)

    def follows_from(self, name: str, key: str, share: float, second: str | None = None) -> bool:
        """Take a dependency on a key, or two; return False where too few users have its values."""
        keys = keys_of(self.whole, key, second)
        values = evidence.usual_values(self.whole, keys, name, self.min_users)
        if not values:
            return False
        can = keys_of(self.some, key, second).notna().to_numpy()
        self.take(
            Dependency(
                column=name,
                key=key,
                second=second,
                values=values,
                exceptions=max(0.0, 1 - share),
                present=evidence.find_presence(self.some, name, can),
            )
        )
        return True

    def operands(self) -> list[str]:
        """Return the columns from which others may follow."""
        return [n for n in self.some.events if n not in NO_OPERANDS | self.huge]

    def before(self, column: str, operands: Sequence[str]) -> list[str]:
        """Return the operands that do not follow from a column."""
        follows = {column}
        grown = True
        while grown:
            more = {r.column for r in self.relations if follows & set(r.needs())}
            grown = not more <= follows
            follows |= more
        return [n for n in operands if n not in follows]

    def keys(self) -> list[str]:
        """Return the columns that may determine others, those with fewest values first."""
        tables = self.some
        sizes = {}
        for name in [*self.free, *self.constant, "category", "event"]:
            if name not in tables.events or is_time(tables.events[name]):
                continue
            code = codes_of(tables.events[name])
            n = int(code.max(initial=-1)) + 1
            if 1 < n <= MOST_KEYS and not evidence.is_id(code, tables.user):
                if is_number(tables.events[name]) and not self.is_name(name):
                    continue
                sizes[name] = n
        return sorted(sizes, key=lambda k: (sizes[k], k))[:MOST_KEY_COLUMNS]

    def shared(self, column: pd.Series, most: float = evidence.SHARED) -> bool:
        """Do enough users share the values of more than a share `most` of the rows?"""
        code = codes_of(column)
        users = evidence.users_of(code, self.some.user)
        return bool((users[code[code >= 0]] >= self.min_users).mean() > most)

    def of_item(self, name: str) -> bool:
        """Does the item decide a column of text? Such columns are learnt with the items."""
        tables = self.some
        if "item_id" not in tables.events:
            return False
        item, value = codes_of(tables.events["item_id"]), codes_of(tables.events[name])
        found = evidence.determined(item, value, tables.user)
        return (
            found is not None
            and found.share > 0.99
            and (item[value >= 0] >= 0).mean() > 0.99
            and found.without < 0.99
        )

    def is_name(self, name: str) -> bool:
        """Is a number one of many whole numbers, few of those in its range, that users share?

        The range is that of most rows: a count has a long tail of large numbers, of which few
        occur, and is no name.
        """
        column = self.some.events[name]
        if not is_number(column):
            return False
        rows = np.sort(column.dropna().to_numpy(dtype=np.float64))
        values = np.unique(rows)
        if len(values) <= NAMES or (values != np.floor(values)).any():
            return False
        low, high = np.quantile(rows, [TAIL, 1 - TAIL], method="nearest")
        usual = np.count_nonzero((values >= low) & (values <= high))
        return usual < SPARSE * (high - low + 1) and self.shared(column, evidence.COVERED)

    def names_kept(self, name: str) -> list[float]:
        """Return the values of a name that enough users of the whole log have, ascending."""
        column = self.whole.events[name]
        code = codes_of(column)
        values = np.sort(column.dropna().unique()).astype(np.float64)
        kept = evidence.users_of(code, self.whole.user) >= self.min_users
        return [float(v) for v in values[kept]]


def _is_huge(column: pd.Series) -> bool:
    return is_number(column) and bool((column.abs() > LARGEST_AMOUNT).any())


def _users_of(user: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the rows of users drawn at random until there are SAMPLE_ROWS, (n,) bool."""
    rows = np.bincount(user)
    order = rng.permutation(len(rows))
    enough = int(np.searchsorted(np.cumsum(rows[order]), SAMPLE_ROWS)) + 1
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[order[:enough]] = True
    return chosen[user]
