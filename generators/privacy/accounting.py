"""Accounting: what each question to a user's data costs, and how much noise fits a budget.

**Epsilon becomes noise in `noise_for`**: it returns the noise multiplier, the standard deviation
over the L2 sensitivity. The noise itself is added in three places: `queries.PrivateQueries._answer`
and `counts.Tables._answer` for counts, and `generators.nn.dp_sgd.noisy_sums` for gradients.

The privacy unit is the user: neighbouring logs differ in all rows of one user, added or removed.
Every mechanism is Gaussian (a counting query, or a step of DP-SGD on a Poisson sample of users),
except the number of users. They compose in one accountant: exactly where users are not sampled
(Balle and Wang 2018), otherwise in RDP (Mironov 2017; Wang, Balle and Kasiviswanathan 2019) by
opacus.

Anyone who can reproduce the noise can subtract it. So it comes from ChaCha20 keyed with 256 bits of
operating-system entropy that are never stored (eventlog.privacy.noise). `noise_seed` makes a run
repeatable, and voids the guarantee.

Example::

    ledger = PrivacyLedger.open(epsilon=3.0, delta=None, n_users=10_000)
    sigma = noise_for([(1.0, 1)], epsilon=ledger.left, delta=ledger.delta, history=ledger.history)
    ledger.spend("gaussian counts", "events", sigma=sigma)
    ledger.spent()
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eventlog._runtime.errors import InputError
from eventlog.privacy.noise import (
    NOISE_OF_SEED,
    NOISE_OF_SYSTEM,
    USERS_SHARE,
    UserStreams,
    check_epsilon,
    delta_for,
    gaussian_epsilon,
    new_secret,
    noisy_users,
    seeded_secret,
    stream,
)
from generators.privacy.statement import PrivacyStatement

EXACT = "exact composition of Gaussian mechanisms (Balle and Wang 2018)"
LEAST_NOISE = 1e-3  # multiplier; a budget that would allow less is not spent in full
NEAR_ORDERS = 4  # orders of the Rényi divergence on either side of the best that are tried
VOID = "Nothing is proved against whoever knows the noise seed that was given."
NO_PROOF = (
    "No privacy is proved: the generator was fitted without epsilon, and what it gives may reveal "
    "facts about single users."
)


@dataclass
class PrivacyLedger:
    """What was asked of the data and what it cost; `entries` go into the manifest."""

    epsilon: float | None = None
    delta: float = 0.0
    entries: list[dict[str, Any]] = field(default_factory=list)
    # (noise multiplier, sampling rate, steps)
    history: list[tuple[float, float, int]] = field(default_factory=list)
    delta_thresholds: float = 0.0
    pure: float = 0.0  # the part of epsilon that a mechanism without delta spent
    users: int = 0  # how many there are; under a budget with noise
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
        """Open a ledger for a log of `n_users` users; under a budget their number gets noise.

        `delta` defaults to `default_delta` of the noisy number. Raises InputError for an impossible
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
        """Epsilon for the mechanisms in `history`, past and future ones."""
        assert self.epsilon is not None
        return self.epsilon - self.pure

    def rng(self, *purpose: str | int) -> np.random.Generator:
        """Return the secret stream of a purpose, such as "counts"; each call starts it again."""
        return stream(self._secret, *purpose)

    def streams(self, ids: Sequence[str] | np.ndarray, purpose: str) -> UserStreams:
        """Return secret random numbers of single users, which follow from their ids."""
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
        """Record a mechanism, with noise multiplier `sigma` and the delta of its threshold."""
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
        """Return the epsilon of everything so far, composed, at the ledger's delta."""
        return self.pure + epsilon_of(self.history, self.delta - self.delta_thresholds)

    def statement(self, public: Mapping[str, str], assumed: list[str]) -> PrivacyStatement:
        """Return the privacy statement.

        `public` says what was declared public and where each list comes from; `assumed` what was
        assumed to be.
        """
        if self.epsilon is None:
            return PrivacyStatement(statement=NO_PROOF, unit="user", public=sorted(public))
        seeded = self.noise_seed is not None
        end = f"; {VOID[0].lower()}{VOID[1:]}" if seeded else "."
        return PrivacyStatement(
            proved="differential privacy",
            unit="user",
            neighbours="one user's rows added or removed",
            epsilon=self.epsilon,
            delta=self.delta,
            epsilon_spent=round(self.spent(), 6),
            users=self.users,
            accountant=accountant_of(self.history),
            noise=NOISE_OF_SEED if seeded else NOISE_OF_SYSTEM,
            noise_source="seed" if seeded else "system",
            ledger=self.entries,
            composition="the entries compose to epsilon_spent; their own epsilons do not add up",
            public=sorted(public),
            public_lists=dict(public),
            assumed_public=assumed,
            caveats=[VOID] if seeded else [],
            statement=(
                f"({self.epsilon:g}, {self.delta:.3g})-differential privacy for every user, given "
                f"what is listed as public{end}"
            ),
        )


def epsilon_of(history: list[tuple[float, float, int]], delta: float) -> float:
    """Return the epsilon at `delta` of a list of (noise multiplier, sampling rate, steps).

    By the accountant that `accountant_of` names.
    """
    if accountant_of(history) == EXACT:
        return gaussian_epsilon(
            math.sqrt(sum(steps / sigma**2 for sigma, _, steps in history)), delta
        )
    return _renyi_epsilon(history, delta)[0]


def _renyi_epsilon(
    history: list[tuple[float, float, int]], delta: float, orders: Sequence[float] | None = None
) -> tuple[float, float]:
    """Return the least epsilon over `orders` (default: opacus') of the Rényi divergence, and the
    order that gives it. Each order gives a bound of its own, so fewer of them are valid too.
    """
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [h for h in history if h[2] > 0]
    with warnings.catch_warnings():
        # "Optimal order is the largest alpha": the bound is valid all the same.
        warnings.simplefilter("ignore")
        epsilon, order = accountant.get_privacy_spent(delta=delta, alphas=orders)
    return float(epsilon), float(order)


def accountant_of(history: list[tuple[float, float, int]]) -> str:
    """Return the name of the accountant for `history`.

    Without sampling of users all Gaussian mechanisms compose to one, whose epsilon is known
    exactly; with sampling it is opacus' RDP accountant.
    """
    return EXACT if all(rate >= 1 for _, rate, _ in history) else "rdp (opacus)"


def noise_for(
    plan: list[tuple[float, int]],
    *,
    epsilon: float,
    delta: float,
    history: list[tuple[float, float, int]],
) -> float:
    """Return the least noise multiplier (to 0.5 %) that fits a budget: here epsilon becomes noise.

    With it the mechanisms of `plan`, each (sampling rate, steps), on top of those in `history` cost
    at most `epsilon` at `delta`. Raises InputError where no noise up to 1e4 is enough.
    """
    cost = _cost_of(plan, delta=delta, history=history)
    low, high = 0.5, 1.0
    while cost(low) <= epsilon and low > LEAST_NOISE:
        low, high = low / 2, low
    while cost(high) > epsilon:
        low, high = high, high * 2
        if high > 1e4:
            raise InputError(
                f"epsilon = {epsilon:g} at delta = {delta:g} is too small a budget for "
                f"{sum(s for _, s in plan)} steps."
            )
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cost(middle) > epsilon else (low, middle)
    return high


def _cost_of(
    plan: list[tuple[float, int]], *, delta: float, history: list[tuple[float, float, int]]
) -> Callable[[float], float]:
    """Return a function: the epsilon of `history` and `plan`, given the noise multiplier of `plan`.

    A search asks it a dozen times, and opacus takes a tenth of a second for all its orders. The
    best order moves little between neighbouring multipliers, so only the orders near the last best
    one are tried, and further ones while the best stands at their edge.
    """

    def together(sigma: float) -> list[tuple[float, float, int]]:
        return [*history, *((sigma, rate, steps) for rate, steps in plan)]

    if accountant_of(together(1.0)) == EXACT:
        return lambda sigma: epsilon_of(together(sigma), delta)

    from opacus.accountants import RDPAccountant

    orders: list[float] = RDPAccountant.DEFAULT_ALPHAS
    best = len(orders) // 2

    def cost(sigma: float) -> float:
        nonlocal best
        while True:
            near = range(max(best - NEAR_ORDERS, 0), min(best + NEAR_ORDERS + 1, len(orders)))
            tried = [orders[k] for k in near]
            epsilon, order = _renyi_epsilon(together(sigma), delta, tried)
            if order not in tried:  # none of them gives a bound, or nothing is asked
                return epsilon_of(together(sigma), delta)
            best, last = near[tried.index(order)], best
            if best == last or best not in (near[0], near[-1]):
                return epsilon

    return cost
