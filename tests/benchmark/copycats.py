"""A generator that hands its training log out again, in a disguise. A plug-in of the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog.log import sort_events
from generators.base import Generator

DISGUISES = (
    "none", "later", "jittered", "items renamed", "users shuffled", "rows dropped", "histories split", "histories merged",
    "half of the users", "prices changed", "several",
)
HONEST = "columns shuffled"  # what every row has is real, and no two columns of a row belong together


class Copycat(Generator):
    """Copies; `disguise` is one of DISGUISES, or HONEST."""

    def __init__(self, *, disguise: str = "none") -> None:
        self.disguise = disguise

    def fit(
        self, log: EventLog, *, seed: int, epsilon: float | None = None, delta: float | None = None, public: Sequence[str] = ()
    ) -> None:
        """Keep the log."""
        self.log_ = log
        self.privacy = {"epsilon": None}

    def sample(self, users: int, *, seed: int, **_: Any) -> EventLog:
        """The log under other user ids and in the disguise."""
        rng = np.random.default_rng(seed)
        events = self.log_.events.copy()
        events["user_id"] = ("g" + events["user_id"].astype(str)).astype("category")
        for name in ALL_OF.get(self.disguise, (self.disguise,)):
            events = DISGUISE[name](events.reset_index(drop=True), rng)
        events = sort_events(events).reset_index(drop=True)
        return EventLog(events=events.assign(event_id=np.arange(len(events), dtype=np.int64)), manifest={"made_by": "copycat"})

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Nothing: it is not loaded again."""
        return {"none": np.zeros(1)}, {}

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """Nothing."""


def moved(events: pd.DataFrame, seconds: np.ndarray) -> pd.DataFrame:
    """The events at other times."""
    time = events["timestamp"] + pd.to_timedelta(np.round(seconds * 1000), unit="ms")
    return events.assign(timestamp=time.astype(events["timestamp"].dtype))


def later(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Each user up to three days later or earlier."""
    user = events["user_id"].cat.codes.to_numpy()
    return moved(events, rng.uniform(-3 * 86_400, 3 * 86_400, user.max() + 1)[user])


def items_renamed(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every item under another's name."""
    item = events["item_id"].astype("category")
    return events.assign(item_id=item.cat.rename_categories(list(rng.permutation(item.cat.categories))))


def users_shuffled(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every user under another's name."""
    user = events["user_id"]
    return events.assign(user_id=pd.Categorical(user.cat.rename_categories(list(rng.permutation(user.cat.categories))).astype(str)))


def histories_split(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The later half of each user's rows is another's."""
    place, size = (events.groupby("user_id", observed=True)["event"].transform(how) for how in ("cumcount", "size"))
    return events.assign(user_id=(events["user_id"].astype(str) + np.where(place * 2 >= size, "b", "a")).astype("category"))


def histories_merged(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Two users each are one."""
    user = events["user_id"].cat.codes.to_numpy()
    return events.assign(user_id=pd.Categorical([f"m{x:05d}" for x in (rng.permutation(user.max() + 1) // 2)[user]]))


def columns_shuffled(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Each column in an order of its own; searches still have no item."""
    rows = len(events)
    other = {name: events[name].iloc[rng.permutation(rows)].to_numpy() for name in ("timestamp", "price", "country")}
    out = events.assign(**other).astype({"timestamp": events["timestamp"].dtype})
    both = events[["event", "item_id", "order_id"]].iloc[rng.permutation(rows)].reset_index(drop=True)
    return out.assign(**{name: both[name] for name in both})


def half_of_the_users(events: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Half of the users copied, the others with their columns shuffled."""
    user = events["user_id"].cat.codes.to_numpy()
    copied = (rng.random(user.max() + 1) < 0.5)[user]
    return pd.concat([events[copied], columns_shuffled(events[~copied].reset_index(drop=True), rng)])


DISGUISE = {
    "none": lambda events, rng: events,
    "later": later,
    "jittered": lambda events, rng: moved(events, rng.uniform(-600, 600, len(events))),
    "items renamed": items_renamed,
    "users shuffled": users_shuffled,
    "rows dropped": lambda events, rng: events[rng.random(len(events)) > 0.1],
    "histories split": histories_split,
    "histories merged": histories_merged,
    "half of the users": half_of_the_users,
    "prices changed": lambda events, rng: events.assign(price=events["price"] * np.exp(rng.normal(0, 0.05, len(events)))),
    HONEST: columns_shuffled,
}
ALL_OF = {"several": ("rows dropped", "jittered", "items renamed", "prices changed", "users shuffled")}
