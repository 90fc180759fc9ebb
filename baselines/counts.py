"""Count-based experts that a neural next-item model may mix with: decayed transitions and the user's own recent items.

A sequence model with a few hundred steps of training cannot learn V x V transition counts that a table holds exactly
(decayed Markov beats many published neural models). So the network learns when to trust the table: its prediction is
    p = g_0 softmax(h E^T) + g_1 p_transition + g_2 p_repeat,     g = softmax(W h)
as pointer networks do (See et al. 2017, arXiv:1704.04368; RepeatNet, Ren et al. 2019, arXiv:1812.02646). During
training only the target's probability under each expert is needed, and the table leaves the user's own transitions
out: otherwise the gate would trust counts that contain the answer.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import linalg as splinalg

from eventlog.encode import FIRST, Examples, Queries, Sequences

LAG_WEIGHTS = (1.0, 0.5, 0.33, 0.25)  # how much a step of 1, 2, 3, 4 rows counts as a transition
RECENT, DECAY = 5, 0.8                # a question is answered from the last 5 rows, weighted .8^j
REPEATS = 20                          # rows back that may be repeated


class CountExperts:
    """Transition, repeat and popularity tables of the training part."""

    names = ("transition", "repeat")

    def __init__(self, train: Examples, n_items: int) -> None:
        """Count from the rows before each question to its answer; nothing later is read."""
        item, offsets, queries = train.sequences.columns["item"], train.sequences.offsets, train.queries
        target = train.target.astype(np.int64)
        parts = []
        for lag, weight in enumerate(LAG_WEIGHTS, start=1):
            source_row = queries.end - lag
            ok = source_row >= offsets[queries.user]
            source = item[source_row[ok]].astype(np.int64)
            parts.append((queries.user[ok], source, target[ok], np.full(int(ok.sum()), weight)))
        user, source, to, weights = (np.concatenate(x) for x in zip(*parts, strict=True))
        known = (source >= FIRST) & (to >= FIRST)
        user, source, to, weights = user[known], source[known], to[known], weights[known]
        self.n_items = n_items
        self.popularity = np.bincount(target[target >= FIRST], minlength=n_items) / max(int((target >= FIRST).sum()), 1)
        counts = sparse.csr_matrix((weights, (source, to)), shape=(n_items, n_items))
        counts.sum_duplicates()
        self.out = np.bincount(source, weights=weights, minlength=n_items)  # (V,) weight that leaves each item
        self.table = (sparse.diags(1 / np.maximum(self.out, 1e-9)) @ counts).tocsr().astype(np.float32)
        self._pairs = _Sums(source * n_items + to, weights)
        self._user_pairs = _Sums((user * n_items + source) * n_items + to, weights)
        self._user_out = _Sums(user * n_items + source, weights)

    def forget_training(self) -> None:
        """Drop what only `target_probability` needs."""
        del self._pairs, self._user_pairs, self._user_out

    def target_probability(self, train: Examples) -> np.ndarray:
        """(n, 2) float32: each expert's probability of the true next item, the user's own transitions left out."""
        item, offsets, queries = train.sequences.columns["item"], train.sequences.offsets, train.queries
        target = train.target.astype(np.int64)
        total, mass = np.zeros(len(queries)), np.zeros(len(queries))
        repeat, repeat_mass = np.zeros(len(queries)), np.zeros(len(queries))
        for back in range(REPEATS):
            row = queries.end - 1 - back
            ok = row >= offsets[queries.user]
            source = np.where(ok, item[np.maximum(row, 0)], 0).astype(np.int64)
            ok &= source >= FIRST
            weight = np.where(ok, DECAY**back, 0.0)
            repeat += weight * (source == target)
            repeat_mass += weight
            if back < RECENT:
                out = self.out[source] - self._user_out(queries.user * self.n_items + source)
                pair = source * self.n_items + target
                count = self._pairs(pair) - self._user_pairs(queries.user * self.n_items**2 + pair)
                weight = np.where(out > 1e-6, weight, 0.0)
                total += weight * np.maximum(count, 0) / np.maximum(out, 1e-6)
                mass += weight
        fallback = self.popularity[target]
        return np.column_stack([
            np.where(mass > 0, total / np.maximum(mass, 1e-9), fallback),
            np.where(repeat_mass > 0, repeat / np.maximum(repeat_mass, 1e-9), fallback),
        ]).astype(np.float32)

    def probabilities(self, sequences: Sequences, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """Two (n, V) float32: the experts' distributions over all items."""
        item, offsets = sequences.columns["item"], sequences.offsets
        back = np.arange(REPEATS)
        rows = queries.end[:, None] - 1 - back
        ok = rows >= offsets[queries.user][:, None]
        source = np.where(ok, item[np.maximum(rows, 0)], 0).astype(np.int64)
        ok &= source >= FIRST
        weight = np.where(ok, DECAY**back, 0.0)
        repeat = self._mix(source, weight)
        recent = np.where(self.out[source[:, :RECENT]] > 1e-6, weight[:, :RECENT], 0.0)
        transition = self._mix(source[:, :RECENT], recent) @ self.table
        return self._dense(transition, recent), self._dense(repeat, weight)

    def _mix(self, source: np.ndarray, weight: np.ndarray) -> sparse.csr_matrix:
        weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
        n, k = source.shape
        return sparse.csr_matrix((weight.ravel(), source.ravel(), np.arange(0, n * k + 1, k)), shape=(n, self.n_items), dtype=np.float32)

    def _dense(self, matrix: sparse.csr_matrix, weight: np.ndarray) -> np.ndarray:
        dense = matrix.toarray()
        dense[weight.sum(axis=1) == 0] = self.popularity
        return dense


def item_vectors(table: sparse.csr_matrix, popularity: np.ndarray, dim: int, rng: np.random.Generator) -> np.ndarray:
    """(V, dim) float32 vectors whose products follow how much oftener than by chance two items follow each other.

    `table` (V, V) transition probabilities, `popularity` (V,) sums to 1. The positive part of the pointwise mutual
    information, made symmetric, factorised (Levy and Goldberg 2014): where gradient descent on next items would arrive
    after many epochs. Entries have a root mean square of 0.1; the rank is `dim` or what the catalogue allows.
    """
    n = table.shape[0]
    joint = sparse.diags(popularity) @ table
    joint = ((joint + joint.T) / 2).tocoo()
    own = np.maximum(popularity, 1 / max(n, 1) / 100)
    smooth = own**0.75 / (own**0.75).sum()  # the context distribution is flattened, or rare pairs would rule
    mutual = np.log(np.maximum(joint.data, 1e-30) / (own[joint.row] * smooth[joint.col]))
    matrix = sparse.csr_matrix((np.maximum(mutual, 0), (joint.row, joint.col)), shape=(n, n))
    rank = min(dim, n - 2, max(matrix.nnz - 1, 0))
    vectors = rng.normal(0, 0.01, size=(n, dim))
    if rank >= 1:
        left, value, _ = splinalg.svds(matrix, k=rank, v0=rng.random(n) + 0.1)
        vectors[:, :rank] += left * np.sqrt(np.maximum(value, 0))
    return (vectors * (0.1 / max(float(np.sqrt((vectors**2).mean())), 1e-9))).astype(np.float32)


class _Sums:
    """Sum of weights by integer key, looked up for many keys at once."""

    def __init__(self, key: np.ndarray, weight: np.ndarray) -> None:
        self.key, inverse = np.unique(key, return_inverse=True)
        self.sum = np.bincount(inverse, weights=weight, minlength=len(self.key))

    def __call__(self, key: np.ndarray) -> np.ndarray:
        if len(self.key) == 0:
            return np.zeros(len(key))
        place = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[place] == key, self.sum[place], 0.0)
