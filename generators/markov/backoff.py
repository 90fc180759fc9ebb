"""BackoffTable: shares of a field's codes in contexts, as fine as there are rows to count.

A context is a tuple of levels, see `generators.markov.contexts`; its prefixes are the coarser
contexts to which it backs off. Only contexts with enough rows are kept: one that is not is looked
up as its longest prefix that is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit

from generators.markov.contexts import Levels
from generators.validation import StateError, array, shares

FEWEST_ROWS = 3  # of a context that is kept
MOST_CELLS = 4_000_000  # contexts of one depth times codes
MOST_CONTEXTS = 10**9  # of a field, in a file
FIRST = 1e-3  # pseudo-counts of equal shares, without any context


@dataclass(frozen=True)
class BackoffTable:
    """Contexts of depth d (made of d levels) are the rows offsets[d]:offsets[d + 1]."""

    offsets: np.ndarray  # (n_levels + 2,) int64
    keys: np.ndarray  # (m,) int64: numbers of the contexts, see index_of; ascending in a depth
    share: np.ndarray  # (m, size) float32

    @classmethod
    def learn(
        cls, code: np.ndarray, levels: Levels, size: int, strengths: Sequence[float]
    ) -> BackoffTable:
        """Count `code` (n,), -1 = not asked, in its contexts.

        A code counted n times of m has the share (n + s b) / (m + s), with b its share in the
        coarser context and s the strength of its last level: the smoothing of MacKay and Peto
        (1995).
        """
        asked = code >= 0
        code = code[asked]
        at, place = np.zeros(len(code), dtype=np.int64), np.zeros(len(code), dtype=np.int64)
        counts = np.bincount(code, minlength=size) + FIRST / size
        share = (counts / counts.sum())[None]
        offsets, keys = [0, 1], [np.zeros(1, dtype=np.int64)]
        for depth, (level, width) in enumerate(levels):
            at = at * width + level[asked]
            context, first, of, rows = np.unique(
                at, return_index=True, return_inverse=True, return_counts=True
            )
            kept = _kept(rows, size)
            number = np.cumsum(kept) - 1
            mine = kept[of]
            found = np.bincount(
                number[of[mine]] * size + code[mine], minlength=int(kept.sum()) * size
            ).reshape(-1, size)
            s = strengths[depth]
            back = share[place[first[kept]]]
            place[mine] = offsets[-1] + number[of[mine]]
            share = np.concatenate([share, (found + s * back) / (rows[kept, None] + s)])
            keys.append(context[kept])
            offsets.append(len(share))
        return cls(np.array(offsets), np.concatenate(keys), share.astype(np.float32))

    @classmethod
    def dense(cls, share: np.ndarray, n_levels: int) -> BackoffTable:
        """Return the table of all finest contexts, `share` (contexts, size)."""
        offsets = np.zeros(n_levels + 2, dtype=np.int64)
        offsets[-1] = len(share)
        return cls(offsets, np.arange(len(share)), share.astype(np.float32))

    def rows(self, levels: Levels, n: int) -> np.ndarray:
        """Return the row of each of `n` contexts, (n,) int64."""
        contexts = np.zeros((len(levels) + 1, n), dtype=np.int64)
        for depth, (level, width) in enumerate(levels):
            np.multiply(contexts[depth], width, out=contexts[depth + 1])
            contexts[depth + 1] += level
        out = np.empty(n, dtype=np.int64)
        _find(self.keys, self.offsets, contexts, out)
        return out

    def log_share(self) -> np.ndarray:
        """Return the logarithms of the shares, (m, size) float32."""
        log: np.ndarray = torch.log(torch.from_numpy(self.share)).numpy()
        return log


def restored_table(
    arrays: Mapping[str, np.ndarray], prefix: str, name: str, widths: list[int], size: int
) -> BackoffTable:
    """Return a table of the arrays, of the shape that its levels ask for.

    Raises StateError where they are no such table.
    """
    what = f"{prefix}offsets/{name}"
    shape = (len(widths) + 2,)
    offsets = array(arrays, what, dtype="int64", shape=shape, low=0, high=MOST_CONTEXTS)
    n, highest = int(offsets[-1]), math.prod(widths) - 1
    if n == 0 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise StateError(f"model.safetensors: {what} does not rise from 0.")
    keys = array(arrays, f"{prefix}keys/{name}", dtype="int64", shape=(n,), low=0, high=highest)
    share = shares(arrays, f"{prefix}share/{name}", dtype="float32", shape=(n, size))
    return BackoffTable(offsets, keys, share)


def _kept(rows: np.ndarray, size: int) -> np.ndarray:
    """Return which contexts with `rows` (n,) are kept, (n,) bool."""
    most = max(MOST_CELLS // size, 1)
    least = FEWEST_ROWS if len(rows) <= most else max(np.partition(rows, -most)[-most], FEWEST_ROWS)
    return rows >= least


@njit(cache=True)
def _find(keys, offsets, contexts, out):
    """Write to `out` (n,) the row of the deepest of the `contexts` (depths, n) that is kept."""
    for i in range(len(out)):
        out[i] = 0
        for depth in range(len(contexts) - 1, -1, -1):
            low, high = offsets[depth], offsets[depth + 1]
            while low < high:
                middle = (low + high) // 2
                if keys[middle] < contexts[depth, i]:
                    low = middle + 1
                else:
                    high = middle
            if low < offsets[depth + 1] and keys[low] == contexts[depth, i]:
                out[i] = low
                break
