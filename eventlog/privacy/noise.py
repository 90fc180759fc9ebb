"""Noise for differential privacy: secret random streams, Gaussian noise on a grid, and what it
costs.

    secret = new_secret()                                   # 256 bits of the operating system's
    entropy, never stored rng = stream(secret, "counts")                          # a numpy
    Generator over ChaCha20 noisy = add_gaussian(counts, sd=20.0, rng=rng)          # on a grid, so
    that no last digit of a float tells anything own = UserStreams(secret, ids, "word dropout")
    # what each user draws depends on no other user

Statistical generators such as PCG64 are no source of privacy noise: whoever sees enough of their
output can compute the rest of it. ChaCha20 (Bernstein 2008; RFC 8439), keyed with a secret, is a
cryptographic stream. Floating-point noise has gaps that depend on the value under it (Mironov 2012,
doi:10.1145/2382196.2382264); rounding the noisy value to a grid that depends on the noise alone
removes them. Rounding happens after the noise, so it is post-processing: the guarantee of the
Gaussian mechanism holds as it stands, in any dimension.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Sequence

import numpy as np

from eventlog._runtime.errors import InputError

USERS_SHARE = 0.02  # of epsilon: the number of users, which decides delta
FEWEST_USERS = 10  # a noisy number of users below it counts as it
NOISE_OF_SYSTEM = (
    "ChaCha20, keyed with 256 bits of the operating system's entropy that were not kept"
)
NOISE_OF_SEED = (
    "follows from a noise seed that was given: nothing is proved against whoever knows it"
)
DELTA_MOST = 1e-6  # the default delta is at most this, however few users there are
# the grid of real-valued noise is finer than its standard deviation by this many powers of two
GRID_BITS = 20


def new_secret() -> bytes:
    """Return 32 bytes of the operating system's entropy. Keep them in memory only: they would undo
    the noise.
    """
    return secrets.token_bytes(32)


def seeded_secret(seed: int) -> bytes:
    """Return a secret that follows from `seed`, for repeatable tests: it protects from nobody who
    knows the seed.
    """
    return hashlib.sha256(f"noise seed {seed}".encode()).digest()


def stream(secret: bytes, *purpose: str | int) -> np.random.Generator:
    """Return a generator over ChaCha20 (20 rounds), keyed by `secret` and `purpose`: each purpose
    has a stream of its own.
    """
    from randomgen import ChaCha

    key = hashlib.sha256(secret + repr(purpose).encode()).digest()
    return np.random.Generator(ChaCha(key=int.from_bytes(key, "little"), rounds=20))


def grid_of(sd: float) -> float:
    """The grid of real-valued noise: a power of two, GRID_BITS finer than `sd`. It depends on no
    data.
    """
    return 2.0 ** (math.floor(math.log2(sd)) - GRID_BITS)


def add_gaussian(values: np.ndarray, *, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Return `values` (any shape) plus Gaussian noise of standard deviation `sd`, rounded to a
    grid; float64.

    The grid is 1 for integers (counts stay whole numbers), `grid_of(sd)` otherwise.
    """
    grid = 1.0 if np.issubdtype(values.dtype, np.integer) else grid_of(sd)
    return np.asarray(np.rint((values + rng.normal(0.0, sd, values.shape)) / grid) * grid)


def add_geometric(count: int, *, epsilon: float, rng: np.random.Generator) -> int:
    """Return `count` plus two-sided geometric noise: (epsilon, 0)-differential privacy for a count
    that a user changes by 1.

    Ghosh, Roughgarden and Sundararajan 2012, doi:10.1137/09076828X.
    """
    p = -math.expm1(-epsilon)
    return count + int(rng.geometric(p)) - int(rng.geometric(p))


def default_delta(users: int) -> float:
    """The delta that is used where none is given: min(1e-6, users^-1.5). `users` is a noisy number
    wherever a budget holds.

    Well below 1 / users, so that no release of `users * delta` whole records is allowed by it
    (Dwork and Roth 2014, section 2.3).
    """
    return min(DELTA_MOST, max(users, 1) ** -1.5)


def check_epsilon(epsilon: float) -> None:
    """Raise InputError unless `epsilon` is a positive number."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise InputError(f"epsilon is {epsilon:g}; it must be a positive number.")


def noisy_users(count: int, *, epsilon: float, rng: np.random.Generator) -> int:
    """Return the number of users with geometric noise, FEWEST_USERS at least: see
    `add_geometric`.
    """
    return max(add_geometric(count, epsilon=epsilon, rng=rng), FEWEST_USERS)


def delta_for(users: int, delta: float | None) -> float:
    """Return `delta`, or the default for a noisy number of users. Raises InputError for one that
    protects nobody.
    """
    if delta is None:
        return default_delta(users)
    if not 0 < delta < 1 / users:
        raise InputError(
            f"delta is {delta:g}; it must lie above 0 and well below 1 / users, or it protects "
            "nobody. Leave it out to have it chosen."
        )
    return delta


class UserStreams:
    """Random numbers of single users, for the parts of a private training that draw something for
    each user.

    What a user draws depends on the secret, the purpose, the step and that user's id, and on nobody
    else: add or remove a user, and everybody else draws what they drew. Without the secret it
    cannot be told from random.
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
        """Return for each step the users (sorted positions) of a Poisson sample: each is in it with
        probability `rate`.

        Every user's steps come from that user's stream, by the geometric gaps between them: the
        work is that of the users who are drawn, not users times steps.
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
    """Epsilon at `delta` of a Gaussian mechanism with noise multiplier 1 / mu: Balle and Wang 2018,
    theorem 8, solved for epsilon.
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
    """The largest sensitivity over noise that costs at most `epsilon` at `delta`: the inverse of
    `gaussian_epsilon`.
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
