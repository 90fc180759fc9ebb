"""A generator in one file: rows per user, content of a row and gaps, each drawn independently.

Usage::

    python -m generators fit mylog --model docs/examples/my_generator.py --out model
    python -m benchmark run --suite generators --generators markov,docs/examples/my_generator.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog.log import sort_events, tidy
from generators.base import Generator


class Marginals(Generator):
    """Keeps every marginal and no order: the least that a generator should beat.

    Args:
        levels: number of quantiles that describe a distribution.
    """

    def __init__(self, *, levels: int = 101) -> None:
        self.levels = levels

    def fit(
        self,
        log: EventLog,
        *,
        seed: int,
        epsilon: float | None = None,
        delta: float | None = None,
        public: Sequence[str] = (),
    ) -> None:
        """Count. Nothing is drawn here, so `seed` is not used."""
        if epsilon is not None:
            raise InputError("my_generator gives no privacy guarantee; leave --epsilon out.")
        events = log.events
        time = events["timestamp"].astype("int64").to_numpy()
        user = events["user_id"].astype("category").cat.codes.to_numpy()
        begins = np.append(True, user[1:] != user[:-1])
        items = (
            events["item_id"].astype(str)
            if "item_id" in events
            else pd.Series("", index=events.index)
        )
        pairs = pd.DataFrame({"event": events["event"].astype(str), "item_id": items}).value_counts(
            sort=True
        )
        at = np.linspace(0, 1, self.levels)
        self.count_ = pairs.to_numpy(dtype=np.float64)
        self.event_, self.item_ = (
            pairs.index.get_level_values(name).tolist() for name in ("event", "item_id")
        )
        self.length_ = np.quantile(np.diff(np.append(np.flatnonzero(begins), len(user))), at)
        self.start_ = np.quantile(time[begins], at)
        self.gap_ = (
            np.quantile((time[1:] - time[:-1])[~begins[1:]], at)
            if (~begins).any()
            else np.zeros(self.levels)
        )
        self.end_ = float(time.max())
        self.privacy = {"epsilon": None, "statement": "no privacy guarantee"}

    def sample(self, users: int, *, seed: int) -> EventLog:
        """Return rows of new users; rows after the end of the real log are left out."""
        rng = np.random.default_rng(seed)
        length = np.maximum(self._draw(self.length_, users, rng).round().astype(np.int64), 1)
        user = np.repeat(np.arange(users), length)
        gap = self._draw(self.gap_, len(user), rng)
        first = np.cumsum(length) - length
        gap[first] = self._draw(self.start_, users, rng)
        total = np.cumsum(gap)
        time = total - np.repeat(total[first] - gap[first], length)
        kept = time <= self.end_
        chosen = rng.choice(
            len(self.count_), size=int(kept.sum()), p=self.count_ / self.count_.sum()
        )
        frame = pd.DataFrame(
            {
                "user_id": np.char.add("m", user[kept].astype(str)),
                "timestamp": pd.to_datetime(time[kept].astype(np.int64), unit="ms", utc=True),
                "event": np.array(self.event_, dtype=object)[chosen],
                "item_id": np.array(self.item_, dtype=object)[chosen],
            }
        )
        frame.loc[frame["item_id"].isin(["nan", ""]), "item_id"] = None
        frame["order_id"] = np.where(
            frame["event"] == "purchase", "mo" + frame.index.astype(str), None
        )
        events = sort_events(tidy(frame))
        events.insert(0, "event_id", np.arange(len(events), dtype=np.int64))
        return EventLog(events=events, manifest={"made_by": "my_generator"})

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return arrays for safetensors and plain data for JSON: loading runs no code."""
        arrays = {name: getattr(self, f"{name}_") for name in ("count", "length", "start", "gap")}
        return arrays, {
            "event": self.event_,
            "item": self.item_,
            "end": self.end_,
            "privacy": self.privacy,
        }

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        for name, values in arrays.items():
            setattr(self, f"{name}_", values)
        self.event_, self.item_, self.end_, self.privacy = (
            data["event"],
            data["item"],
            data["end"],
            data["privacy"],
        )

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments of `__init__`."""
        return {"levels": self.levels}

    def _draw(self, quantiles: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        return np.interp(rng.random(n), np.linspace(0, 1, len(quantiles)), quantiles)
