"""CodeRidge: numbers expected of users given the codes of their attributes, a ridge regression.

Hoerl and Kennard (1970), doi:10.1080/00401706.1970.10488634.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse

from generators.validation import LARGEST_WEIGHT, array

FOLDS = 4
RIDGES = 4.0 ** np.arange(1, 8)  # among which the strength is chosen
MOST_CODES = 256  # of an attribute that counts


@dataclass(frozen=True)
class CodeRidge:
    """What each code of each of S attributes adds to the means of Z numbers."""

    offset: np.ndarray  # (S,) int64: where each attribute's codes begin
    weight: np.ndarray  # (codes of all attributes, Z) float32
    center: np.ndarray  # (Z,) float32: the mean of all users

    @classmethod
    def learn(
        cls, codes: np.ndarray, sizes: Sequence[int], numbers: np.ndarray, *, seed: int
    ) -> tuple[CodeRidge, np.ndarray]:
        """Return the regression, and what it leaves of each user's numbers, (n_users, Z) float32.

        That is taken across folds of users, so that it is as large as for users not learnt from.

        Args:
            codes: (n_users, S) of the attributes.
            sizes: numbers of codes of the attributes.
            numbers: (n_users, Z).
            seed: of the folds.
        """
        offset = _offsets(sizes)
        x = _indicators(codes, sizes, offset)
        z = numbers.astype(np.float64)
        center = z.mean(0)
        fold = np.random.default_rng([seed, 14]).permutation(len(z)) % FOLDS
        rest = np.repeat((z - center)[None], len(RIDGES), 0)  # of users too few for folds
        for k in range(FOLDS if len(z) >= FOLDS else 0):
            mine = fold == k
            for r, weight in enumerate(_ridge(x[~mine], z[~mine] - center)):
                rest[r, mine] = z[mine] - center - x[mine] @ weight
        best = int(((rest**2).sum((1, 2))).argmin())
        weight = list(_ridge(x, z - center))[best]
        learnt = cls(offset, weight.astype(np.float32), center.astype(np.float32))
        return learnt, rest[best].astype(np.float32)

    def state(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the arrays from which `restored` makes the regression."""
        return {f"{prefix}/weight": self.weight, f"{prefix}/center": self.center}

    @classmethod
    def restored(
        cls, arrays: Mapping[str, np.ndarray], prefix: str, sizes: Sequence[int], numbers: int
    ) -> CodeRidge:
        """Return what `state` gave, of Z `numbers`. Raises StateError where it is anything else."""
        most = LARGEST_WEIGHT
        weight, center = (
            array(arrays, f"{prefix}/{name}", dtype="float32", shape=shape, low=-most, high=most)
            for name, shape in (("weight", (sum(sizes), numbers)), ("center", (numbers,)))
        )
        return cls(_offsets(sizes), weight, center)

    def of(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the means (n, Z) of users with the attributes `codes` (n, S)."""
        rows = codes + torch.from_numpy(self.offset)
        table = torch.from_numpy(self.weight)
        return torch.from_numpy(self.center) + F.embedding_bag(rows, table, mode="sum")


def _offsets(sizes: Sequence[int]) -> np.ndarray:
    return np.append(0, np.cumsum(sizes)[:-1]).astype(np.int64)


def _indicators(codes: np.ndarray, sizes: Sequence[int], offset: np.ndarray) -> sparse.csr_array:
    """Return whether users have each code, (n_users, codes)."""
    n = len(codes)
    counted = np.flatnonzero(np.asarray(sizes) <= MOST_CODES)
    column = (codes[:, counted] + offset[counted]).ravel()
    row = np.repeat(np.arange(n), len(counted))
    shape = (n, int(np.sum(sizes)))
    return sparse.csr_array((np.ones(len(row)), (row, column)), shape=shape)


def _ridge(x: sparse.csr_array, z: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the weights (codes, Z) for each of RIDGES, in turn."""
    used = np.flatnonzero(np.diff(x.tocsc().indptr))
    mine = x[:, used]
    value, vector = np.linalg.eigh((mine.T @ mine).toarray())
    along = vector.T @ (mine.T @ z)
    for ridge in RIDGES:
        weight = np.zeros((x.shape[1], z.shape[1]))
        weight[used] = vector @ (along / (value[:, None] + ridge))
        yield weight
