"""Counts for a neural next-item model: transitions and repeats to mix in, initial item vectors.

A sequence model trained for a few hundred steps does not learn the V x V transitions that a table
of counts holds exactly; decayed Markov beats many published neural models. So the network starts
from vectors that factorise the table, and learns when to trust the table, or a repeat, instead::

    p = g_0 softmax(h E^T) + g_1 p_transition + g_2 p_repeat,     g = softmax(W h)

as in pointer networks (See et al. 2017, arXiv:1704.04368; RepeatNet, Ren et al. 2019,
arXiv:1812.02646). In training only the target's probability under each is needed. The user's own
transitions are left out of the table there, or the gate would learn to trust counts that contain
the answer.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import linalg as splinalg

from baselines.sequences.item_history import last_items
from eventlog.arrays import FIRST, Examples, Queries, Sequences

LAG_WEIGHTS = (1.0, 0.5, 0.33, 0.25)  # weight of a transition over 1, 2, 3, 4 rows
RECENT, DECAY = 5, 0.8  # transitions start at the last 5 rows, the one j rows back weighs 0.8^j
REPEATS = 20  # last rows whose items may come again, weighted by how often they did in training
POPULARITY_POWER = 0.75  # flattens popularity in the mutual information, against rare pairs
VECTOR_RMS = 0.1  # of the initial item vectors


class Counts:
    """Transitions over four distances and repeats in training; popularity without a known past."""

    def __init__(self, train: Examples, n_items: int) -> None:
        """Count transitions from the rows before each question to its answer."""
        queries, target = train.queries, train.target.astype(np.int64)
        # (n, lags)
        source = last_items(train.sequences, queries, last=len(LAG_WEIGHTS)).astype(np.int64)
        known = (source >= FIRST) & (target >= FIRST)[:, None]
        user, to = (
            np.broadcast_to(x[:, None], source.shape)[known] for x in (queries.user, target)
        )
        weight = np.broadcast_to(np.array(LAG_WEIGHTS), source.shape)[known]
        source = source[known]
        self.n_items = n_items
        # (V,) share of each item among the answers
        self.popularity = np.bincount(target[target >= FIRST], minlength=n_items) / max(
            int((target >= FIRST).sum()), 1
        )
        counts = sparse.csr_matrix((weight, (source, to)), shape=(n_items, n_items))
        # (V,) weight that leaves each item
        self.out = np.bincount(source, weights=weight, minlength=n_items)
        # (V, V), rows sum to 1
        self.table = (
            (sparse.diags(1 / np.maximum(self.out, 1e-9)) @ counts).tocsr().astype(np.float32)
        )
        item = last_items(train.sequences, queries, last=REPEATS)
        known = item >= FIRST
        # (REPEATS,) how often the item j rows back is the answer
        self.comes_back = ((item == target[:, None]) & known).sum(axis=0) / np.maximum(
            known.sum(axis=0), 1
        )
        self._pairs = _Sums(source * n_items + to, weight)
        self._user_pairs = _Sums((user * n_items + source) * n_items + to, weight)
        self._user_out = _Sums(user * n_items + source, weight)

    def target_probability(self, train: Examples) -> np.ndarray:
        """Return the probability of each true next item, (n, 2) float32.

        The columns are by transitions, without the user's own, and by repeats.
        """
        queries, target = train.queries, train.target.astype(np.int64)
        item = last_items(train.sequences, queries, last=REPEATS).astype(np.int64)
        share, weight = _shares(item >= FIRST, self.comes_back)
        repeat = np.where(
            weight > 0, (share * (item == target[:, None])).sum(axis=1), self.popularity[target]
        )
        total, mass = np.zeros(len(queries)), np.zeros(len(queries))
        for back, source in enumerate(item.T[:RECENT]):
            pair = source * self.n_items + target
            out = self.out[source] - self._user_out(queries.user * self.n_items + source)
            count = self._pairs(pair) - self._user_pairs(queries.user * self.n_items**2 + pair)
            weight = np.where((source >= FIRST) & (out > 1e-6), DECAY**back, 0.0)
            total += weight * np.maximum(count, 0) / np.maximum(out, 1e-6)
            mass += weight
        transition = np.where(mass > 0, total / np.maximum(mass, 1e-9), self.popularity[target])
        return np.column_stack([transition, repeat]).astype(np.float32)

    def forget_training(self) -> None:
        """Delete what only `target_probability` needs."""
        del self._pairs, self._user_pairs, self._user_out

    def probabilities(
        self, sequences: Sequences, queries: Queries
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the distributions over items by transitions and by repeats, (n, V) float32."""
        return self.after(last_items(sequences, queries, last=REPEATS).astype(np.int64))

    def after(self, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `probabilities` after given items.

        `item` (n, REPEATS) int64 holds the last items, latest first, 0 where there is none.
        """
        recent = item[:, :RECENT]
        transition = self._distribution(
            recent,
            (recent >= FIRST) & (self.out[recent] > 1e-6),
            DECAY ** np.arange(RECENT),
            self.table,
        )
        return transition, self._distribution(item, item >= FIRST, self.comes_back)

    def _distribution(
        self,
        item: np.ndarray,
        use: np.ndarray,
        weights: np.ndarray,
        table: sparse.csr_matrix | None = None,
    ) -> np.ndarray:
        share, weight = _shares(use, weights)
        n, k = item.shape
        history = sparse.csr_matrix(
            (share.ravel(), item.ravel(), np.arange(0, n * k + 1, k)), shape=(n, self.n_items)
        )
        dense: np.ndarray = (history if table is None else history @ table).toarray()
        dense[weight == 0] = self.popularity
        return dense


def _shares(use: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `weights` (k,) at the places in `use` (n, k), normalised, and their sums before.

    The shapes are (n, k) float32 and (n,).
    """
    weight = np.where(use, weights, 0.0)
    total = weight.sum(axis=1)
    return (weight / np.maximum(total, 1e-9)[:, None]).astype(np.float32), total


def item_vectors(counts: Counts, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Return item vectors whose products follow the mutual information of transitions.

    They factorise the symmetric positive pointwise mutual information (Levy and Goldberg 2014),
    which gradient descent on next items would approach after many epochs. The shape is (V, dim)
    float32, the root mean square VECTOR_RMS, and the rank `dim` or what the catalogue allows.
    """
    n, popularity = counts.n_items, counts.popularity
    joint = sparse.diags(popularity) @ counts.table
    joint = ((joint + joint.T) / 2).tocoo()
    own = np.maximum(popularity, 1 / n / 100)
    context = own**POPULARITY_POWER / (own**POPULARITY_POWER).sum()
    mutual = np.log(np.maximum(joint.data, 1e-30) / (own[joint.row] * context[joint.col]))
    matrix = sparse.csr_matrix((np.maximum(mutual, 0), (joint.row, joint.col)), shape=(n, n))
    matrix.eliminate_zeros()
    rank = min(dim, n - 2, matrix.nnz - 1)
    vectors = rng.normal(0, 0.01, size=(n, dim))
    if rank >= 1:
        left, value, _ = splinalg.svds(matrix, k=rank, v0=rng.random(n) + 0.1)
        vectors[:, :rank] += left * np.sqrt(np.maximum(value, 0))
    return (vectors * (VECTOR_RMS / np.sqrt((vectors**2).mean()))).astype(np.float32)


class _Sums:
    """Sums of weights by integer key, looked up for many keys at once."""

    def __init__(self, key: np.ndarray, weight: np.ndarray) -> None:
        self.key, inverse = np.unique(key, return_inverse=True)
        self.sum = np.bincount(inverse, weights=weight, minlength=len(self.key))

    def __call__(self, key: np.ndarray) -> np.ndarray:
        if len(self.key) == 0:
            return np.zeros(len(key))
        place = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[place] == key, self.sum[place], 0.0)
