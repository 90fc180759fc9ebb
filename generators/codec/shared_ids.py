"""Sharing: which users have the same id (a device, a card), told apart by what their sessions are
labelled.

Rings of fraudsters share devices otherwise than families do. Of each id that several users have,
the first row of each user is a link: it opens the id, or follows another user's link, so long
before it, in a session of such an intent. What is kept is how often each happens, never an id.
Sampled links are tied the same way, all at once: each points at an earlier link, and the links that
lead to one root have one id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from generators.codec.coders import Bins
from generators.privacy.queries import PrivateQueries
from generators.validation import Record

LONGEST_LAG_S = 1e10  # between two users of an id
SMOOTHING = 0.5  # pseudo-counts: an intent with few links is not taken for certain


@dataclass
class Sharing:
    """Of one id column; G intents, 0 = none. Without a link in the data every id has one user."""

    # (G,) share of links that open an id
    opens: np.ndarray = field(default_factory=lambda: np.ones(1))
    # (G, G) shares: a link of row's intent follows one of column's
    follows: np.ndarray = field(default_factory=lambda: np.ones((1, 1)))
    # s between the two
    lag: Bins = field(default_factory=lambda: Bins(np.zeros(1), np.zeros(0), np.zeros(0), True))
    lag_share: np.ndarray = field(default_factory=lambda: np.array([[0.0, 1.0]]))  # (G, lag.size)

    @classmethod
    def fit(
        cls,
        census: PrivateQueries,
        name: str,
        *,
        user: np.ndarray,
        value: np.ndarray,
        time: np.ndarray,
        intent: np.ndarray,
        intents: int,
    ) -> Self:
        """Learn from rows of codes (n,): `value` -1 = missing, `time` ms, `intent` of the row's
        session; exact, so not for a budget.
        """
        rows = np.lexsort((time, value))
        rows = rows[value[rows] >= 0]
        frame = pd.DataFrame({"v": value[rows], "u": user[rows]})
        first = ~frame.duplicated().to_numpy()
        several = (frame[first].groupby("v")["u"].transform("size") > 1).to_numpy()
        link = rows[first][several]  # by value and time
        if len(link) == 0:
            return cls()
        opens = np.append(True, value[link][1:] != value[link][:-1])
        of, before = intent[link], np.append(0, intent[link][:-1])
        seconds = np.where(opens, np.nan, np.append(np.nan, np.diff(time[link]) / 1000.0))
        lag = Bins.fit(
            census,
            f"sharing of {name}",
            user[link],
            seconds,
            intervals=16,
            decimals=0,
            point_share=0.2,
        )
        if lag.size == 1:
            lag = cls().lag
        count = np.bincount(of, minlength=intents) + 1e-9
        opened = np.bincount(of[opens], minlength=intents)
        follows = np.zeros((intents, intents))
        np.add.at(follows, (of[~opens], before[~opens]), 1.0)
        share = np.zeros((intents, lag.size))
        np.add.at(share, (of[~opens], lag.encode(seconds[~opens])), 1.0)
        share[:, 0] = 0.0
        return cls(
            (opened + SMOOTHING * opened.sum() / count.sum()) / (count + SMOOTHING),
            _shares(follows),
            lag,
            _shares(share),
        )

    def deal(
        self, *, user: np.ndarray, time: np.ndarray, intent: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """(n,) int64: the index of the link that opens each link's id, its own where it does. Rows
        may stand in any order.
        """
        n = len(user)
        order = np.argsort(time, kind="stable")
        user, at, of = (
            user[order],
            time[order] / 1000.0,
            np.minimum(intent[order], len(self.opens) - 1),
        )
        follow = _draw(self.follows[of], rng)
        wanted = at - self.lag.decode(_draw(self.lag_share[of], rng), rng.random(n))
        parent = np.arange(n)
        # each follower takes the link nearest to the wanted time
        for g in np.unique(of):
            links = np.flatnonzero(of == g)
            mine = np.flatnonzero(follow == g)
            right = np.searchsorted(at[links], wanted[mine])
            near = np.where(
                np.abs(at[links][np.maximum(right - 1, 0)] - wanted[mine])
                <= np.abs(at[links][np.minimum(right, len(links) - 1)] - wanted[mine]),
                right - 1,
                right,
            )
            # the last link of that intent before the follower
            last = np.searchsorted(links, mine) - 1
            near = np.minimum(near, last)
            near = np.where(
                (near >= 0) & (user[links[np.maximum(near, 0)]] == user[mine]), near - 1, near
            )
            own = (near < 0) | (user[links[np.maximum(near, 0)]] == user[mine])
            parent[mine] = np.where(own, mine, links[np.maximum(near, 0)])
        parent = np.where(rng.random(n) < self.opens[of], np.arange(n), parent)
        while not np.array_equal(parent[parent], parent):
            parent = parent[parent]
        out = np.empty(n, dtype=np.int64)
        out[order] = order[parent]
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain data for `from_json`."""
        return {
            "opens": self.opens.tolist(),
            "follows": self.follows.tolist(),
            "lag": self.lag.to_json(),
            "lag_share": self.lag_share.tolist(),
        }

    @classmethod
    def from_json(cls, data: Record, *, intents: int) -> Self:
        """The sharing that `to_json` described, of `intents` intents or of one. Raises StateError
        where it is none.
        """
        data.only(("opens", "follows", "lag", "lag_share"))
        lag = Bins.from_json(data.record("lag"), low=0, high=LONGEST_LAG_S)
        opens = data.numbers("opens", low=0, high=1)
        if len(opens) not in (1, intents):
            data.fail("opens", f"has {len(opens)} entries; it must have 1 or {intents}")
        follows = data.table("follows", (len(opens), len(opens)), low=0, high=2)
        lag_share = data.table("lag_share", (len(opens), lag.size), low=0, high=2)
        for name, share in (("follows", follows), ("lag_share", lag_share)):
            if not share.any(1).all():
                data.fail(name, "has a row with only zeros")
        return cls(opens, follows, lag, lag_share)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Rows of `counts` (k, m) as shares, each with a little of the mean row in it."""
    total = counts.sum(0, keepdims=True)
    prior = total / total.sum() if total.sum() > 0 else np.full_like(total, 1 / total.shape[1])
    return (counts + SMOOTHING * prior) / (counts.sum(1, keepdims=True) + SMOOTHING)


def _draw(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) one code of each row of shares (n, m)."""
    total = shares.cumsum(1)
    return np.minimum(
        (total <= rng.random(len(shares))[:, None] * total[:, -1:]).sum(1), shares.shape[1] - 1
    )
