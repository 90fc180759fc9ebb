"""What touches a user's data, and what it costs: private counts, the ledger, and the noise that
fits a budget.

The unit is the user: neighbouring logs differ in all rows of one user (added or removed). Every
mechanism is Gaussian: a counting query in which a user has at most `c` cells (L2 sensitivity
sqrt(c)), or a step of DP-SGD on a Poisson sample of users. They are composed in one RDP accountant
(Mironov 2017; Wang, Balle and Kasiviswanathan 2019, as in opacus). A vocabulary is the set of
values whose noisy user count passes a threshold (Korolova et al. 2009, Gaussian form), which costs
a share of delta. Without a budget the same questions are answered exactly, above `min_users` users.

Anyone who can reproduce the noise can subtract it, so it comes from ChaCha20 keyed with 256 bits of
operating-system entropy that are never stored (eventlog.privacy.noise). `noise_seed` makes a run
repeatable and voids the guarantee.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtri

from eventlog._runtime.errors import InputError
from eventlog.privacy.noise import (
    NOISE_OF_SEED,
    NOISE_OF_SYSTEM,
    USERS_SHARE,
    UserStreams,
    add_gaussian,
    check_epsilon,
    delta_for,
    gaussian_epsilon,
    grid_of,
    new_secret,
    noisy_users,
    seeded_secret,
    stream,
)
from generators.hashing import mix

CENSUS_SHARE = 0.35  # of epsilon: vocabularies and histograms; the rest trains
THRESHOLD_SHARE = 0.25  # of delta: thresholds of private vocabularies
EXACT = "exact composition of Gaussian mechanisms (Balle and Wang 2018)"
VOID = "Nothing is proved against whoever knows the noise seed that was given."
NO_PROOF = "No privacy is proved: the generator was fitted without epsilon, and what it gives may reveal facts about single users."


@dataclass
class PrivacyLedger:
    """What was asked of the data and what it cost; `entries` stand in the manifest."""

    epsilon: float | None = None
    delta: float = 0.0
    entries: list[dict[str, Any]] = field(default_factory=list)
    # (noise multiplier, sampling rate, steps)
    history: list[tuple[float, float, int]] = field(default_factory=list)
    delta_thresholds: float = 0.0
    pure: float = 0.0  # of epsilon, spent by a mechanism that needs no delta
    users: int = 0  # how many there are, as far as may be known
    noise_seed: int | None = None
    _secret: bytes = field(default_factory=new_secret, repr=False)

    def __post_init__(self) -> None:
        if self.noise_seed is not None:
            self._secret = seeded_secret(self.noise_seed)

    @classmethod
    def open(
        cls,
        epsilon: float | None,
        delta: float | None,
        n_users: int,
        *,
        noise_seed: int | None = None,
    ) -> PrivacyLedger:
        """Open a ledger for a log of `n_users` users; under a budget their number is known with
        noise only.

        delta defaults to `default_delta` of the noisy number. Raises InputError for an impossible
        budget.
        """
        ledger = cls(epsilon=epsilon, users=n_users, noise_seed=noise_seed)
        if epsilon is None:
            if delta is not None:
                raise InputError("delta is given without epsilon; give both, or neither.")
            if noise_seed is not None:
                raise InputError(
                    "noise_seed is given without epsilon; there is no noise to repeat."
                )
            return ledger
        check_epsilon(epsilon)
        ledger.pure = USERS_SHARE * epsilon
        ledger.users = noisy_users(n_users, epsilon=ledger.pure, rng=ledger.rng("number of users"))
        ledger.delta = delta_for(ledger.users, delta)
        ledger.entries.append(
            {
                "mechanism": "geometric count",
                "what": "number of users",
                "sigma": None,
                "sampling_rate": 1.0,
                "steps": 1,
                "epsilon": round(ledger.pure, 6),
                "delta": 0.0,
            }
        )
        return ledger

    @property
    def left(self) -> float:
        """Epsilon for the mechanisms in `history`, past ones and those to come."""
        assert self.epsilon is not None
        return self.epsilon - self.pure

    def rng(self, *purpose: str | int) -> np.random.Generator:
        """The secret stream of a purpose, e.g. the noise of a training; each call begins it anew."""
        return stream(self._secret, *purpose)

    def streams(self, ids: Sequence[str] | np.ndarray, purpose: str) -> UserStreams:
        """Secret random numbers of single users, told apart by their ids."""
        return UserStreams(self._secret, ids, purpose)

    def spend(
        self,
        mechanism: str,
        what: str,
        *,
        sigma: float,
        rate: float = 1.0,
        steps: int = 1,
        delta: float = 0.0,
    ) -> None:
        """Write down one mechanism: its noise multiplier, sampling rate, steps, and the delta that
        its threshold costs.
        """
        self.history.append((sigma, rate, steps))
        self.delta_thresholds += delta
        alone = epsilon_of(
            [(sigma, rate, steps)], max(self.delta - self.delta_thresholds, self.delta / 10)
        )
        self.entries.append(
            {
                "mechanism": mechanism,
                "what": what,
                "sigma": round(sigma, 6),
                "sampling_rate": round(rate, 8),
                "steps": steps,
                "epsilon": round(alone, 6),
                "delta": delta,
            }
        )

    def spent(self) -> float:
        """Epsilon of everything so far, composed, at the ledger's delta."""
        return self.pure + epsilon_of(self.history, self.delta - self.delta_thresholds)

    def statement(self, public: Mapping[str, str], assumed: list[str]) -> dict[str, Any]:
        """The privacy statement of the manifest; `public`: what was declared, and where each list
        is from.
        """
        if self.epsilon is None:
            return {
                "proved": "none",
                "statement": NO_PROOF,
                "epsilon": None,
                "delta": None,
                "unit": "user",
                "ledger": [],
                "public": sorted(public),
            }
        seeded = self.noise_seed is not None
        noise = NOISE_OF_SEED if seeded else NOISE_OF_SYSTEM
        return {
            "proved": "differential privacy",
            "unit": "user",
            "neighbours": "one user's rows added or removed",
            "epsilon": self.epsilon,
            "delta": self.delta,
            "epsilon_spent": round(self.spent(), 6),
            "users": self.users,  # with noise
            "accountant": accountant_of(self.history),
            "noise": noise,
            "noise_source": "seed" if seeded else "system",
            "ledger": self.entries,
            "composition": "the entries compose to epsilon_spent; their own epsilons do not add up",
            "public": sorted(public),
            "public_lists": dict(public),
            "assumed_public": assumed,
            "caveats": [VOID] if seeded else [],
            "statement": f"({self.epsilon:g}, {self.delta:.3g})-differential privacy for every user, given what is "
            f"listed as public{'; ' + VOID[0].lower() + VOID[1:] if seeded else '.'}",
        }


def epsilon_of(history: list[tuple[float, float, int]], delta: float) -> float:
    """Epsilon at `delta` of a list of (noise multiplier, sampling rate, steps): see accountant_of."""
    import warnings

    if accountant_of(history) == EXACT:
        return gaussian_epsilon(
            math.sqrt(sum(steps / sigma**2 for sigma, _, steps in history)), delta
        )

    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [h for h in history if h[2] > 0]
    if not accountant.history:
        return 0.0
    with warnings.catch_warnings():
        # "optimal order is the largest alpha": the bound is still valid
        warnings.simplefilter("ignore")
        return float(accountant.get_epsilon(delta))


def accountant_of(history: list[tuple[float, float, int]]) -> str:
    """Without samples of users all Gaussian mechanisms together are one, whose epsilon is known;
    else opacus' RDP accountant.
    """
    return EXACT if all(rate >= 1 for _, rate, _ in history) else "rdp (opacus)"


def noise_for(
    plan: list[tuple[float, int]],
    *,
    epsilon: float,
    delta: float,
    history: list[tuple[float, float, int]],
) -> float:
    """The least noise multiplier (to 0.5 %) with which `plan`, (sampling rate, steps) each, on top
    of `history` costs at most `epsilon`.

    Raises InputError where no noise up to 1e4 is enough.
    """

    def cost(sigma: float) -> float:
        return epsilon_of([*history, *((sigma, rate, steps) for rate, steps in plan)], delta)

    low, high = 0.2, 1.0
    while cost(high) > epsilon:
        low, high = high, high * 2
        if high > 1e4:
            raise InputError(
                f"epsilon = {epsilon:g} at delta = {delta:g} is too small a budget for {sum(s for _, s in plan)} steps."
            )
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cost(middle) > epsilon else (low, middle)
    return high


class PrivateQueries:
    """Answers counting questions about users: exactly above `min_users` users, or with noise that
    the ledger records.

    `weight` of a question is its share of the census' budget, in units of 1; `plan` is the sum of
    all weights to come.
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
        """`ids`: the users' ids, in the order of their codes; `rng`: of the noise, the ledger's own
        stream where None.
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
            # All questions of the census together weigh as one Gaussian query with this noise
            # multiplier.
            self.sigma = noise_for(
                [(1.0, 1)], epsilon=ledger.left * CENSUS_SHARE, delta=delta, history=[]
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
        """Return the values that enough users have, with their (noisy) numbers of users, most users
        first.

        user (n,) int64, value (n,) int64. Of each user at most `per_user` values count, drawn at
        random, where private. With `shares` a user with m values counts 1 / sqrt(m) for each, so
        that many values of many users can be asked for without more noise (Gopi et al. 2020,
        arXiv:2002.09745, weighted Gaussian); what is returned are such sums.
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
                # Noisy counts are whole numbers: 1 + a rounded noise beats 1 + ceil(t) only where
                # the noise is beyond t.
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
        """Return (size,) float64: how often each of the known cells 0..size-1 occurs.

        Of a user at most `per_user` different cells count where private.
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
        """The standard deviation of the noise on an answer of `histogram`."""
        return self.sigma * math.sqrt(self.plan / weight * per_user) if self.private else 0.0

    def draw(
        self, what: str, user: np.ndarray, value: np.ndarray, *, per_user: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return at most `per_user` of each user's values, at random: user (m,), value (m,), sorted
        by user.

        Which of a user's values count follows from that user's secret key and the question, so it
        does not depend on who else is in the log. `user` (n,) is sorted; the values (n,) of a user
        stand in an order of their own.
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
        keep = order[place < per_user]  # `place` numbers the rows of a user in either order
        return user[keep], value[keep]

    def _answer(self, what: str, cells: np.ndarray, exact: np.ndarray, sd: float) -> np.ndarray:
        """`exact` (n,) counts of `cells` (n,) with noise of standard deviation `sd`: the one place
        where noise is added.
        """
        return add_gaussian(exact, sd=sd, rng=self.rng)

    def _threshold_delta(self, weight: float) -> float:
        return self.ledger.delta * THRESHOLD_SHARE * weight / self.plan

    def _spend(self, what: str, weight: float, *, threshold: bool) -> float:
        self.used += weight
        if self.used > self.plan + 1e-9:
            raise RuntimeError(
                f"the census planned for a weight of {self.plan} and {what} asks for more"
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
    """The threshold that the values of one user alone pass with probability `delta` at most,
    whatever their number m.

    Each of them counts 1 / sqrt(m), with noise of `sigma`: the largest, over m up to `per_user`, of
    1 / sqrt(m) + sigma * quantile(1 - delta_m) with (1 - delta_m)^m = 1 - delta (Gopi et al. 2020,
    theorem 5.1).
    """
    m = np.arange(1, per_user + 1)
    alone = -np.expm1(np.log1p(-delta) / m)
    return float((1 / np.sqrt(m) - sigma * ndtri(alone)).max()) + grid_of(sigma)


def _pairs(user: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (user, value) pairs, sorted."""
    order = np.lexsort((value, user))
    user, value = np.asarray(user, dtype=np.int64)[order], np.asarray(value, dtype=np.int64)[order]
    new = np.ones(len(user), dtype=bool)
    new[1:] = (user[1:] != user[:-1]) | (value[1:] != value[:-1])
    return user[new], value[new]
