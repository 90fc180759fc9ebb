"""Noise for differential privacy: secret random streams, noise on a grid, and its cost.

Statistical generators such as PCG64 are unsuitable for privacy noise: anyone who sees enough of
their output can compute the rest. ChaCha20 (Bernstein 2008; RFC 8439), keyed with a secret, is a
cryptographic stream. Floating-point noise has gaps that depend on the value it is added to (Mironov
2012, doi:10.1145/2382196.2382264); rounding the noisy value to a grid that depends on the noise
alone removes them. Rounding after the noise is post-processing, so the guarantee of the Gaussian
mechanism holds unchanged, in any dimension.

Example::

    secret = new_secret()  # 256 bits of the operating system's entropy, never stored
    rng = stream(secret, "counts")  # a numpy Generator over ChaCha20
    noisy = add_gaussian(counts, sd=20.0, rng=rng)  # on a grid
    own = UserStreams(secret, ids, "word dropout")  # each user's draws depend on no other user
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Sequence

import numpy as np

from eventlog._runtime.errors import InputError

USERS_SHARE = 0.02  # share of epsilon for the number of users, which determines delta
FEWEST_USERS = 10  # lower bound of the noisy number of users
NOISE_OF_SYSTEM = (
    "ChaCha20, keyed with 256 bits of the operating system's entropy that were not kept"
)
NOISE_OF_SEED = (
    "follows from a noise seed that was given: nothing is proved against whoever knows it"
)
DELTA_MOST = 1e-6  # upper bound of the default delta
GRID_BITS = 20  # the grid of real-valued noise is its standard deviation over 2^GRID_BITS


def new_secret() -> bytes:
    """Return 32 bytes of the operating system's entropy.

    Keep them in memory only: anyone who knows them can subtract the noise.
    """
    return secrets.token_bytes(32)


def seeded_secret(seed: int) -> bytes:
    """Return a secret derived from `seed`, for repeatable runs.

    It protects against nobody who knows the seed.
    """
    return hashlib.sha256(f"noise seed {seed}".encode()).digest()


def stream(secret: bytes, *purpose: str | int) -> np.random.Generator:
    """Return a generator over ChaCha20 (20 rounds), with a stream of its own for each purpose."""
    from randomgen import ChaCha

    key = hashlib.sha256(secret + repr(purpose).encode()).digest()
    return np.random.Generator(ChaCha(key=int.from_bytes(key, "little"), rounds=20))


def grid_of(sd: float) -> float:
    """Return the grid of real-valued noise, a power of two that depends on `sd` alone."""
    return 2.0 ** (math.floor(math.log2(sd)) - GRID_BITS)


def add_gaussian(values: np.ndarray, *, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Return `values` (any shape) plus Gaussian noise, rounded to a grid, as float64.

    `sd` is the standard deviation of the noise. The grid is 1 for integers, so that counts stay
    whole numbers, and `grid_of(sd)` otherwise.
    """
    grid = 1.0 if np.issubdtype(values.dtype, np.integer) else grid_of(sd)
    return np.asarray(np.rint((values + rng.normal(0.0, sd, values.shape)) / grid) * grid)


def add_geometric(count: int, *, epsilon: float, rng: np.random.Generator) -> int:
    """Return `count` plus two-sided geometric noise.

    This is (epsilon, 0)-differentially private for a count that one user changes by at most 1
    (Ghosh, Roughgarden and Sundararajan 2012, doi:10.1137/09076828X).
    """
    p = -math.expm1(-epsilon)
    return count + int(rng.geometric(p)) - int(rng.geometric(p))


def default_delta(users: int) -> float:
    """Return the default delta, min(1e-6, users^-1.5).

    Under a budget `users` is a noisy number. A delta well below 1 / users rules out mechanisms that
    release `users * delta` whole records (Dwork and Roth 2014, section 2.3).
    """
    return min(DELTA_MOST, max(users, 1) ** -1.5)


def check_epsilon(epsilon: float) -> None:
    """Raise InputError unless `epsilon` is a positive number."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise InputError(f"epsilon is {epsilon:g}; it must be a positive number.")


def noisy_users(count: int, *, epsilon: float, rng: np.random.Generator) -> int:
    """Return the number of users with geometric noise, at least FEWEST_USERS."""
    return max(add_geometric(count, epsilon=epsilon, rng=rng), FEWEST_USERS)


def delta_for(users: int, delta: float | None) -> float:
    """Return `delta`, or the default for a noisy number of users if it is None.

    Raises InputError unless 0 < delta < 1 / users: a larger delta protects nobody.
    """
    if delta is None:
        return default_delta(users)
    if not 0 < delta < 1 / users:
        raise InputError(
            f"delta is {delta:g}; it must be above 0 and well below 1 / users, or it protects "
            "nobody. Leave it out to use the default."
        )
    return delta


class UserStreams:
    """Random numbers for each user separately, for private training that draws per user.

    A user's numbers depend on the secret, the purpose, the step and that user's id. If a user is
    added or removed, all others keep theirs. Without the secret they cannot be distinguished from
    random numbers.
    """

    def __init__(self, secret: bytes, ids: Sequence[str] | np.ndarray, purpose: str) -> None:
        key = hashlib.sha256(secret + purpose.encode()).digest()
        self._keys = [
            hashlib.blake2b(str(i).encode(), key=key, digest_size=32).digest() for i in ids
        ]

    def __len__(self) -> int:
        return len(self._keys)

    def integers(self, users: np.ndarray, step: int, n: int) -> np.ndarray:
        """Return (len(users), n) uint64 for the users at `users` (positions in `ids`)."""
        place = step.to_bytes(8, "little")
        drawn = b"".join(hashlib.shake_128(self._keys[u] + place).digest(8 * n) for u in users)
        return np.frombuffer(drawn, dtype="<u8").reshape(len(users), n)

    def uniform(self, users: np.ndarray, step: int, n: int) -> np.ndarray:
        """Return (len(users), n) float64, uniform on the open interval (0, 1)."""
        return np.asarray(((self.integers(users, step, n) >> np.uint64(11)) + 0.5) * 2.0**-53)

    def normal(self, users: np.ndarray, step: int, n: int) -> np.ndarray:
        """Return (len(users), n) float64, standard normal."""
        from scipy.special import ndtri

        return np.asarray(ndtri(self.uniform(users, step, n)))

    def poisson_batches(self, rate: float, steps: int, *, chunk: int = 64) -> list[np.ndarray]:
        """Return the users (sorted positions) of a Poisson sample for each step.

        Each user is in a sample with probability `rate`. A user's steps come from that user's
        stream as geometric gaps, so the cost grows with the users drawn, not with users times
        steps.
        """
        everyone = np.arange(len(self))
        if rate >= 1.0 or len(self) == 0:
            return [everyone for _ in range(steps)]
        at, owner = [], []
        going, reached, block = everyone, np.full(len(self), -1, dtype=np.int64), 0
        while len(going):
            gaps = (
                np.floor(np.log(self.uniform(going, block, chunk)) / math.log1p(-rate)).astype(
                    np.int64
                )
                + 1
            )
            place = reached[:, None] + np.cumsum(gaps, axis=1)
            user, k = np.nonzero(place < steps)
            at.append(place[user, k])
            owner.append(going[user])
            unfinished = place[:, -1] < steps
            going, reached, block = going[unfinished], place[unfinished, -1], block + 1
        step, user = np.concatenate(at), np.concatenate(owner)
        order = np.lexsort((user, step))
        return np.split(user[order], np.searchsorted(step[order], np.arange(1, steps)))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return epsilon at `delta` of a Gaussian mechanism with noise multiplier 1 / mu.

    Balle and Wang 2018 (arXiv:1805.06530), theorem 8, solved for epsilon.
    """
    from scipy.optimize import brentq
    from scipy.special import log_ndtr

    if mu <= 0:
        return 0.0

    def over(epsilon: float) -> float:
        inside = math.exp(log_ndtr(mu / 2 - epsilon / mu))
        return inside - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)) - delta

    high = mu**2 / 2 + mu * math.sqrt(2 * math.log(1 / delta)) + 1  # by zCDP, a looser bound
    return 0.0 if over(0.0) <= 0 else float(brentq(over, 0.0, high, xtol=1e-9))


def mu_of(epsilon: float, delta: float) -> float:
    """Return the largest sensitivity over noise that costs at most `epsilon` at `delta`.

    This is the inverse of `gaussian_epsilon`.
    """
    from scipy.optimize import brentq

    return float(
        brentq(
            lambda mu: gaussian_epsilon(mu, delta) - epsilon,
            1e-6,
            50 + 2 * math.sqrt(2 * epsilon),
            xtol=1e-12,
        )
    ) * (1 - 1e-9)
