"""What touches a user's data, and what it costs: private counts, the ledger, and the noise that fits a budget.

The unit is the user: neighbouring logs differ in all rows of one user (added or removed). Every mechanism is Gaussian:
a counting query in which a user has at most `c` cells (L2 sensitivity sqrt(c)), or a step of DP-SGD on a Poisson sample
of users. They are composed in one RDP accountant (Mironov 2017; Wang, Balle and Kasiviswanathan 2019, as in opacus).
A vocabulary is the set of values whose noisy user count passes a threshold (Korolova et al. 2009, Gaussian form), which
costs a share of delta. Without a budget the same questions are answered exactly, above `min_users` users.

Who can draw the noise again can take it away. So it comes from 128 bits of the operating system's entropy, which nobody
keeps; a seed of one's own (`noise_seed`) repeats a run, and the guarantee is void for whoever knows it.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtri

from eventlog.errors import InputError

USERS_SHARE = 0.02       # of epsilon: the number of users, by the Laplace mechanism
CENSUS_SHARE = 0.35      # of epsilon: vocabularies and histograms; the rest trains
THRESHOLD_SHARE = 0.25   # of delta: thresholds of private vocabularies
EXACT = "exact composition of Gaussian mechanisms (Balle and Wang 2018)"
NO_PROOF = "No privacy is proved: the generator was fitted without epsilon, and what it gives may reveal facts about single users."


@dataclass
class Ledger:
    """What was asked of the data and what it cost; `entries` stand in the manifest."""

    epsilon: float | None = None
    delta: float = 0.0
    entries: list[dict[str, Any]] = field(default_factory=list)
    history: list[tuple[float, float, int]] = field(default_factory=list)  # (noise multiplier, sampling rate, steps)
    delta_thresholds: float = 0.0
    pure: float = 0.0               # of epsilon, spent by a mechanism that needs no delta
    users: int = 0                  # how many there are, as far as may be known
    noise_seed: int | None = None
    _secret: int = field(default_factory=lambda: secrets.randbits(128), repr=False)

    @classmethod
    def open(cls, epsilon: float | None, delta: float | None, n_users: int, *, noise_seed: int | None = None) -> Ledger:
        """A ledger for a log of `n_users` users. Under a budget that number is noisy; delta is 1 / (10 users) where none is given.

        Raises InputError for an impossible budget.
        """
        check_budget(epsilon, delta, n_users)
        ledger = cls(epsilon=epsilon, delta=delta or 0.0, users=n_users, noise_seed=noise_seed)
        if epsilon is None:
            if noise_seed is not None:
                raise InputError("noise_seed is given without epsilon; there is no noise to repeat.")
            return ledger
        ledger.pure = USERS_SHARE * epsilon
        ledger.users = max(round(n_users + ledger.rng(0).laplace(0, 1 / ledger.pure)), 10)
        ledger.delta = 1 / (10 * ledger.users) if delta is None else delta
        ledger.entries.append({"mechanism": "laplace count", "what": "number of users", "sigma": None, "sampling_rate": 1.0, "steps": 1,
                               "epsilon": round(ledger.pure, 6), "delta": 0.0})
        return ledger

    @property
    def left(self) -> float:
        """Epsilon for the mechanisms in `history`, past ones and those to come."""
        assert self.epsilon is not None
        return self.epsilon - self.pure

    def rng(self, stream: int) -> np.random.Generator:
        """What noise, and samples of users, are drawn from; one generator a stream."""
        return np.random.default_rng([self._secret if self.noise_seed is None else self.noise_seed, stream])

    def spend(self, mechanism: str, what: str, *, sigma: float, rate: float = 1.0, steps: int = 1, delta: float = 0.0) -> None:
        """Write down one mechanism: its noise multiplier, sampling rate, steps, and the delta that its threshold costs."""
        self.history.append((sigma, rate, steps))
        self.delta_thresholds += delta
        alone = epsilon_of([(sigma, rate, steps)], max(self.delta - self.delta_thresholds, self.delta / 10))
        self.entries.append({
            "mechanism": mechanism, "what": what, "sigma": round(sigma, 6), "sampling_rate": round(rate, 8), "steps": steps,
            "epsilon": round(alone, 6), "delta": delta,
        })

    def spent(self) -> float:
        """Epsilon of everything so far, composed, at the ledger's delta."""
        return self.pure + epsilon_of(self.history, self.delta - self.delta_thresholds)

    def statement(self, public: list[str], assumed: list[str]) -> dict[str, Any]:
        """The privacy statement of the manifest."""
        if self.epsilon is None:
            return {"proved": "none", "statement": NO_PROOF, "epsilon": None, "delta": None, "unit": "user", "ledger": [],
                    "public": public}
        prv = prv_epsilon_of(self.history, self.delta - self.delta_thresholds)
        noise = ("drawn from 128 bits of the operating system's entropy, which were not kept" if self.noise_seed is None else
                 "follows from a noise seed that was given: nothing is proved against whoever knows it")
        return {
            "proved": "differential privacy", "unit": "user", "neighbours": "one user's rows added or removed",
            "epsilon": self.epsilon, "delta": self.delta, "epsilon_spent": round(self.spent(), 6),
            "accountant": accountant_of(self.history),
            "epsilon_spent_prv": None if prv is None else round(self.pure + prv, 4),
            "noise": noise,
            "ledger": self.entries, "composition": "the entries compose to epsilon_spent; their own epsilons do not add up",
            "public": public, "assumed_public": assumed,
            "statement": f"({self.epsilon:g}, {self.delta:g})-differential privacy for every user, given what is listed as public.",
        }


def epsilon_of(history: list[tuple[float, float, int]], delta: float) -> float:
    """Epsilon at `delta` of a list of (noise multiplier, sampling rate, steps): see accountant_of."""
    import warnings

    if accountant_of(history) == EXACT:
        return gaussian_epsilon(math.sqrt(sum(steps / sigma**2 for sigma, _, steps in history)), delta)

    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [h for h in history if h[2] > 0]
    if not accountant.history:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "optimal order is the largest alpha": the bound is still valid
        return float(accountant.get_epsilon(delta))


def accountant_of(history: list[tuple[float, float, int]]) -> str:
    """Without samples of users all Gaussian mechanisms together are one, whose epsilon is known; else opacus' RDP accountant."""
    return EXACT if all(rate >= 1 for _, rate, _ in history) else "rdp (opacus)"


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Epsilon at `delta` of a Gaussian mechanism with noise multiplier 1 / mu: Balle and Wang 2018, theorem 8, solved for epsilon."""
    if mu <= 0:
        return 0.0

    def over(epsilon: float) -> float:
        inside = math.exp(log_ndtr(mu / 2 - epsilon / mu))
        return inside - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)) - delta

    high = mu**2 / 2 + mu * math.sqrt(2 * math.log(1 / delta)) + 1  # by zCDP, a looser bound
    return 0.0 if over(0.0) <= 0 else float(brentq(over, 0.0, high, xtol=1e-9))


def prv_epsilon_of(history: list[tuple[float, float, int]], delta: float) -> float | None:
    """The same by opacus' PRV accountant (Gopi, Lee and Wutschitz 2021, arXiv:2106.02848), an upper bound within 0.02; tighter.

    None where its grid cannot hold the noise (a sigma far below 1): the RDP figure is then the only one.
    """
    import warnings

    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [h for h in history if h[2] > 0]
    if not accountant.history:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflow in bounds that are then refined
        try:
            found = float(accountant.get_epsilon(delta, eps_error=0.02))
        except (ValueError, RuntimeError, MemoryError):
            return None
    return round(found, 4) if math.isfinite(found) else None


def noise_for(plan: list[tuple[float, int]], *, epsilon: float, delta: float, history: list[tuple[float, float, int]]) -> float:
    """The least noise multiplier (to 0.5 %) with which `plan`, (sampling rate, steps) each, on top of `history` costs at most `epsilon`.

    Raises InputError where no noise up to 1e4 is enough.
    """
    def cost(sigma: float) -> float:
        return epsilon_of([*history, *((sigma, rate, steps) for rate, steps in plan)], delta)

    low, high = 0.2, 1.0
    while cost(high) > epsilon:
        low, high = high, high * 2
        if high > 1e4:
            raise InputError(f"epsilon = {epsilon:g} at delta = {delta:g} is too small a budget for {sum(s for _, s in plan)} steps.")
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cost(middle) > epsilon else (low, middle)
    return high


def check_budget(epsilon: float | None, delta: float | None, n_users: int) -> None:
    """Raises InputError for an impossible budget."""
    if epsilon is None:
        if delta is not None:
            raise InputError("delta is given without epsilon; give both, or neither.")
        return
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise InputError(f"epsilon is {epsilon:g}; it must be a positive number.")
    if delta is not None and not 0 < delta < 1 / n_users:
        raise InputError(f"delta is {delta:g}; with {n_users} users it must lie between 0 and {1 / n_users:g}, or it protects nobody.")


class Census:
    """Answers counting questions about users: exactly above `min_users` users, or with noise that the ledger records.

    `weight` of a question is its share of the census' budget, in units of 1; `plan` is the sum of all weights to come.
    """

    def __init__(self, *, n_users: int, rng: np.random.Generator, min_users: int, ledger: Ledger, plan: float = 1.0) -> None:
        self.n_users, self.rng, self.min_users, self.ledger, self.plan = n_users, rng, min_users, ledger, plan
        self.private = ledger.epsilon is not None
        if self.private:
            assert ledger.epsilon is not None
            delta = ledger.delta * (1 - THRESHOLD_SHARE)
            # All questions of the census together weigh as one Gaussian query with this noise multiplier.
            self.sigma = noise_for([(1.0, 1)], epsilon=ledger.left * CENSUS_SHARE, delta=delta, history=[])
        self.used = 0.0

    def popular(
        self, what: str, user: np.ndarray, value: np.ndarray, *, per_user: int, weight: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values that enough users have, with their (noisy) numbers of users, most users first.

        user (n,) int64, value (n,) int64. Of each user at most `per_user` values count, drawn at random, where private.
        """
        user, value = _pairs(user, value)
        if not self.private:
            values, exact = np.unique(value, return_counts=True)
            counts, keep = exact.astype(np.float64), exact >= self.min_users
        else:
            user, value = self.draw(user, value, per_user=per_user)
            values, exact = np.unique(value, return_counts=True)
            sigma = self._spend(what, weight, threshold=True)
            scale = sigma * math.sqrt(per_user)
            delta = self._threshold_delta(weight)
            threshold = 1 + scale * float(-ndtri(delta / per_user))
            counts = exact + self.rng.normal(0, scale, len(values))
            keep = counts > threshold
        values, counts = values[keep], counts[keep]
        order = np.lexsort((values, -counts))
        return values[order], counts[order]

    def histogram(self, what: str, user: np.ndarray, cell: np.ndarray, size: int, *, per_user: int, weight: float = 1.0) -> np.ndarray:
        """(size,) float64: how often each of the known cells 0..size-1 occurs (of a user at most `per_user` cells where private)."""
        if not self.private:
            return np.bincount(cell, minlength=size).astype(np.float64)
        user, cell = self.draw(*_pairs(user, cell), per_user=per_user)
        sigma = self._spend(what, weight, threshold=False)
        noisy = np.bincount(cell, minlength=size) + self.rng.normal(0, sigma * math.sqrt(per_user), size)
        return np.maximum(noisy, 0.0)

    def noise_of(self, *, weight: float, per_user: int) -> float:
        """The standard deviation of the noise on an answer of `histogram`."""
        return self.sigma * math.sqrt(self.plan / weight * per_user) if self.private else 0.0

    def draw(self, user: np.ndarray, value: np.ndarray, *, per_user: int) -> tuple[np.ndarray, np.ndarray]:
        """At most `per_user` of each user's values, at random: user (m,), value (m,), sorted by user."""
        order = np.lexsort((self.rng.random(len(user)), user))
        user, value = user[order], value[order]
        starts = np.flatnonzero(np.append(True, user[1:] != user[:-1])) if len(user) else np.zeros(0, dtype=np.int64)
        rank = np.arange(len(user)) - np.repeat(starts, np.diff(np.append(starts, len(user))))
        return user[rank < per_user], value[rank < per_user]

    def _threshold_delta(self, weight: float) -> float:
        return self.ledger.delta * THRESHOLD_SHARE * weight / self.plan

    def _spend(self, what: str, weight: float, *, threshold: bool) -> float:
        self.used += weight
        if self.used > self.plan + 1e-9:
            raise RuntimeError(f"the census planned for a weight of {self.plan} and {what} asks for more")
        sigma = self.sigma * math.sqrt(self.plan / weight)
        self.ledger.spend("gaussian counts with threshold" if threshold else "gaussian counts", what, sigma=sigma,
                          delta=self._threshold_delta(weight) if threshold else 0.0)
        return sigma


def _pairs(user: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (user, value) pairs, sorted."""
    order = np.lexsort((value, user))
    user, value = np.asarray(user, dtype=np.int64)[order], np.asarray(value, dtype=np.int64)[order]
    new = np.ones(len(user), dtype=bool)
    new[1:] = (user[1:] != user[:-1]) | (value[1:] != value[:-1])
    return user[new], value[new]
