"""Shared ids: which users have the same id (a device, a card), by the labels of their sessions.

Rings of fraudsters share devices in another way than families do. Of each id that several users
have, the first row of each user is a link: it opens the id, or follows another user's link, after a
lag, in a session with a label. What is kept is how often each happens, never an id. Sampled links
are tied in the same way, all at once: each points at an earlier link, and the links that lead to
one root have one id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd

from generators.codec.coders import Bins
from generators.privacy.queries import PrivateQueries
from generators.validation import Record

LONGEST_LAG_S = 1e10  # between two users of an id
SMOOTHING = 0.5  # pseudo-counts: a label with few links is not taken for certain


@dataclass(frozen=True)
class SharedIds:
    """How users share the ids of one column, by G codes of session labels, 0 = none.

    The default is that of a log without links: every id has one user.
    """

    # (G,) share of links that open an id
    opens: np.ndarray = field(default_factory=lambda: np.ones(1))
    # (G, G) shares: a link with the row's label follows one with the column's
    follows: np.ndarray = field(default_factory=lambda: np.ones((1, 1)))
    # s between the two
    lag: Bins = field(default_factory=lambda: Bins(np.zeros(1), np.zeros(0), np.zeros(0), True))
    lag_share: np.ndarray = field(default_factory=lambda: np.array([[0.0, 1.0]]))  # (G, lag.size)

    @classmethod
    def fit(
        cls,
        queries: PrivateQueries,
        name: str,
        *,
        user: np.ndarray,
        value: np.ndarray,
        time: np.ndarray,
        session_label: np.ndarray,
        n_session_labels: int,
    ) -> Self:
        """Learn from rows (n,): `value` codes of ids (-1 = missing), `time` ms, `session_label`.

        What is learnt is exact, so this is not for a budget.
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
        of, before = session_label[link], np.append(0, session_label[link][:-1])
        seconds = np.where(opens, np.nan, np.append(np.nan, np.diff(time[link]) / 1000.0))
        lag = Bins.fit(
            queries,
            f"sharing of {name}",
            user[link],
            seconds,
            intervals=16,
            decimals=0,
            point_share=0.2,
        )
        if lag.size == 1:
            lag = cls().lag
        count = np.bincount(of, minlength=n_session_labels) + 1e-9
        opened = np.bincount(of[opens], minlength=n_session_labels)
        follows = np.zeros((n_session_labels, n_session_labels))
        np.add.at(follows, (of[~opens], before[~opens]), 1.0)
        share = np.zeros((n_session_labels, lag.size))
        np.add.at(share, (of[~opens], lag.encode(seconds[~opens])), 1.0)
        share[:, 0] = 0.0
        return cls(
            (opened + SMOOTHING * opened.sum() / count.sum()) / (count + SMOOTHING),
            _shares(follows),
            lag,
            _shares(share),
        )

    def link(
        self,
        *,
        user: np.ndarray,
        time: np.ndarray,
        session_label: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return for each link the index of the one that opens its id, (n,) int64.

        That is its own index where it opens one. Rows may be in any order.
        """
        n = len(user)
        order = np.argsort(time, kind="stable")
        user, at, of = (
            user[order],
            time[order] / 1000.0,
            np.minimum(session_label[order], len(self.opens) - 1),
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
            # the last link with that label before the follower
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

    @classmethod
    def from_json(cls, data: Record, *, n_session_labels: int) -> Self:
        """Read what was written, of `n_session_labels` codes or of one.

        Raises StateError where it is not valid.
        """
        data.only(("opens", "follows", "lag", "lag_share"))
        lag = Bins.from_json(data.record("lag"), low=0, high=LONGEST_LAG_S)
        opens = data.numbers("opens", low=0, high=1)
        if len(opens) not in (1, n_session_labels):
            data.fail("opens", f"has {len(opens)} entries; it must have 1 or {n_session_labels}")
        follows = data.table("follows", (len(opens), len(opens)), low=0, high=2)
        lag_share = data.table("lag_share", (len(opens), lag.size), low=0, high=2)
        for name, share in (("follows", follows), ("lag_share", lag_share)):
            if not share.any(1).all():
                data.fail(name, "has a row with only zeros")
        return cls(opens, follows, lag, lag_share)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Return the rows of `counts` (k, m) as shares, each with a little of the mean row in it."""
    total = counts.sum(0, keepdims=True)
    prior = total / total.sum() if total.sum() > 0 else np.full_like(total, 1 / total.shape[1])
    return (counts + SMOOTHING * prior) / (counts.sum(1, keepdims=True) + SMOOTHING)


def _draw(shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a code from each row of shares (n, m): (n,) int64."""
    total = shares.cumsum(1)
    return np.minimum(
        (total <= rng.random(len(shares))[:, None] * total[:, -1:]).sum(1), shares.shape[1] - 1
    )
