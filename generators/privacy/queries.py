"""Private questions about users: which values enough users have, and how often known cells occur.

A counting query in which a user has at most c cells has L2 sensitivity sqrt(c); Gaussian noise in
proportion to it makes the answer private. How much noise a budget needs is computed in
`accounting.noise_for`, and the noise is added in `PrivateQueries._answer`. Without a budget the
same questions are answered exactly.

Example::

    queries = PrivateQueries(n_users=log.n_users, min_users=5, ledger=ledger, plan=2.0)
    values, users = queries.popular("events", user, event, per_user=8)
    hours = queries.histogram("hours", user, hour, 24, per_user=24)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from eventlog.privacy.noise import add_gaussian, grid_of
from generators.hashing import mix
from generators.privacy.accounting import PrivacyLedger, noise_for

QUERIES_SHARE = 0.35  # of epsilon: vocabularies and histograms; the rest trains
THRESHOLD_SHARE = 0.25  # of delta: thresholds of private vocabularies


class PrivateQueries:
    """Answers counting questions about users, with noise under a budget and exactly without one.

    All questions share QUERIES_SHARE of epsilon. The `weight` of a question is its share of that,
    and `plan` the sum of the weights of all questions.
    """

    def __init__(
        self,
        *,
        n_users: int,
        min_users: int,
        ledger: PrivacyLedger,
        plan: float = 1.0,
        ids: Sequence[str] | np.ndarray | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        """Set up the questions.

        Args:
            n_users: how many users the log has.
            min_users: without a budget, a value that fewer users have is not returned.
            ledger: records what each question costs.
            plan: the sum of the weights of all questions.
            ids: the users' ids, in the order of their codes; by default 0, 1, ...
            rng: of the noise; the ledger's own secret stream where None.
        """
        self.min_users, self.ledger, self.plan = min_users, ledger, plan
        self.private = ledger.epsilon is not None
        self.n_users = ledger.users if self.private else n_users
        self.used = 0.0
        if self.private:
            assert ledger.epsilon is not None
            self.rng = ledger.rng("counts") if rng is None else rng
            own = ledger.streams(
                [str(k) for k in range(n_users)] if ids is None else ids, "values that count"
            )
            self._keys = own.integers(np.arange(n_users), 0, 1)[:, 0]
            delta = ledger.delta * (1 - THRESHOLD_SHARE)
            # All questions together cost as much as one query with this noise multiplier.
            self.sigma = noise_for(
                [(1.0, 1)], epsilon=ledger.left * QUERIES_SHARE, delta=delta, history=[]
            )

    def popular(
        self,
        what: str,
        user: np.ndarray,
        value: np.ndarray,
        *,
        per_user: int,
        weight: float = 1.0,
        shares: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the values that enough users have, and their (noisy) numbers of users.

        Values with most users come first. Under a budget at most `per_user` values of each user
        count, drawn at random, and a value is returned where its noisy count passes a threshold
        (Korolova et al. 2009, in Gaussian form), which costs a share of delta.

        Args:
            what: the question, for the ledger; it also keys the random draw of values.
            user: (n,) int64, one entry a row.
            value: (n,) int64.
            per_user: how many values of a user count.
            weight: of the question (see the class).
            shares: a user with m values counts 1 / sqrt(m) for each of them, so that many values
                can be asked for without more noise (Gopi et al. 2020, arXiv:2002.09745, weighted
                Gaussian); such sums are returned.
        """
        user, value = _pairs(user, value)
        if not self.private:
            values, exact = np.unique(value, return_counts=True)
            counts, keep = exact.astype(np.float64), exact >= self.min_users
        else:
            user, value = self.draw(what, user, value, per_user=per_user)
            sigma = self._spend(what, weight, threshold=True)
            if shares:
                part = np.floor(1 / np.sqrt(np.bincount(user)[user]) / grid_of(sigma)) * grid_of(
                    sigma
                )
                values, at = np.unique(value, return_inverse=True)
                counts = self._answer(
                    what, values, np.bincount(at, part, minlength=len(values)), sigma
                )
                keep = counts > threshold_of_shares(sigma, self._threshold_delta(weight), per_user)
            else:
                values, exact = np.unique(value, return_counts=True)
                scale = sigma * math.sqrt(per_user)
                # Noisy counts are whole numbers, so 1 + rounded noise exceeds 1 + ceil(t) only
                # where the noise exceeds t.
                threshold = 1 + math.ceil(
                    scale * float(-ndtri(self._threshold_delta(weight) / per_user))
                )
                counts = self._answer(what, values, exact, scale)
                keep = counts > threshold
        values, counts = values[keep], counts[keep]
        order = np.lexsort((values, -counts))
        return values[order], counts[order]

    def histogram(
        self,
        what: str,
        user: np.ndarray,
        cell: np.ndarray,
        size: int,
        *,
        per_user: int,
        weight: float = 1.0,
    ) -> np.ndarray:
        """Return how often each of the known cells 0..size-1 occurs, (size,) float64.

        Under a budget at most `per_user` different cells of a user count, each once.
        """
        if not self.private:
            return np.bincount(cell, minlength=size).astype(np.float64)
        user, cell = self.draw(what, *_pairs(user, cell), per_user=per_user)
        sigma = self._spend(what, weight, threshold=False)
        exact = np.bincount(cell, minlength=size)
        return np.maximum(
            self._answer(what, np.arange(size), exact, sigma * math.sqrt(per_user)), 0.0
        )

    def noise_of(self, *, weight: float, per_user: int) -> float:
        """Return the standard deviation of the noise on an answer of `histogram`."""
        return self.sigma * math.sqrt(self.plan / weight * per_user) if self.private else 0.0

    def draw(
        self, what: str, user: np.ndarray, value: np.ndarray, *, per_user: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return at most `per_user` random values of each user: users (m,), sorted, values (m,).

        Which values of a user count follows from the user's secret key and the question, so it does
        not depend on who else is in the log. `user` (n,) must be sorted, and the values (n,) of a
        user in an order that depends on that user alone.
        """
        starts = (
            np.flatnonzero(np.append(True, user[1:] != user[:-1]))
            if len(user)
            else np.zeros(0, dtype=np.int64)
        )
        sizes = np.diff(np.append(starts, len(user)))
        place = np.arange(len(user)) - np.repeat(starts, sizes)
        salt = np.uint64(int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "little"))
        order = np.lexsort((mix(self._keys[user] ^ salt, place + 1), user))
        keep = order[place < per_user]  # either order numbers the rows of a user from 0
        return user[keep], value[keep]

    def _answer(self, what: str, cells: np.ndarray, exact: np.ndarray, sd: float) -> np.ndarray:
        """Return the counts `exact` (n,) of `cells` (n,) with noise of standard deviation `sd`.

        The only place where PrivateQueries adds noise.
        """
        return add_gaussian(exact, sd=sd, rng=self.rng)

    def _threshold_delta(self, weight: float) -> float:
        return self.ledger.delta * THRESHOLD_SHARE * weight / self.plan

    def _spend(self, what: str, weight: float, *, threshold: bool) -> float:
        self.used += weight
        if self.used > self.plan + 1e-9:
            raise RuntimeError(
                f"the questions were planned for a weight of {self.plan}, and {what} exceeds it"
            )
        sigma = self.sigma * math.sqrt(self.plan / weight)
        self.ledger.spend(
            "gaussian counts with threshold" if threshold else "gaussian counts",
            what,
            sigma=sigma,
            delta=self._threshold_delta(weight) if threshold else 0.0,
        )
        return sigma


def threshold_of_shares(sigma: float, delta: float, per_user: int) -> float:
    """Return the threshold that values of a single user pass with probability `delta` at most.

    Each of the user's m values counts 1 / sqrt(m), with noise of `sigma`. The threshold is the
    largest, over m up to `per_user`, of 1 / sqrt(m) + sigma * quantile(1 - delta_m) with
    (1 - delta_m)^m = 1 - delta (Gopi et al. 2020, theorem 5.1).
    """
    m = np.arange(1, per_user + 1)
    alone = -np.expm1(np.log1p(-delta) / m)
    return float((1 / np.sqrt(m) - sigma * ndtri(alone)).max()) + grid_of(sigma)


def _pairs(user: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs of users (m,) and values (m,), sorted."""
    order = np.lexsort((value, user))
    user, value = np.asarray(user, dtype=np.int64)[order], np.asarray(value, dtype=np.int64)[order]
    new = np.ones(len(user), dtype=bool)
    new[1:] = (user[1:] != user[:-1]) | (value[1:] != value[:-1])
    return user[new], value[new]
