"""CoLES: contrastive embeddings of users, and a logistic regression on them (Babaev et al. 2022).

Two slices of one user's history should have similar embeddings, slices of different users should
not (arXiv:2002.08232). No label is needed for that, so all users teach it; a linear head learns
from the labelled ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from baselines.base import LearningCurve
from baselines.models.sequence.gru import GRU
from baselines.nn.budget import cost
from baselines.nn.label import measure_of, measured
from baselines.nn.pretraining import known_rows
from baselines.nn.scoring import ARMS, SCORE_ROWS
from baselines.nn.training import Schedule, train
from baselines.nn.windows import Batch, batches, tails
from eventlog.arrays import Examples, Queries, Sequences

SLICES = 4  # of each user in a batch
SHORTEST = 5  # rows of a slice; a shorter history is taken whole
MARGIN = 0.5  # distance from which slices of different users no longer repel
HARDEST = 5  # nearest slices of other users that count, for each slice
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # inverse penalties among which the validation part chooses
DEFAULT_STRENGTH = 0.01


class CoLES(GRU):
    """A GRU trained by contrast, with a logistic regression on its embeddings.

    Args:
        settings: see `NeuralModel`; the longest slice has `label_length` rows, and the whole budget
            is spent without labels.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})

    def _fit_labels(
        self, train: Examples, valid: Examples | None, rng: np.random.Generator, seed: int
    ) -> None:
        self._build(self.label_head(train, valid, seed), train)
        measure = measure_of(train.queries, train.sequences, None)
        self.rate_ = float((train.target.sum() + 0.5) / (len(train) + 1))
        before = self._fit_linear(train, valid, measure)
        steps = self._contrast(train, rng)
        after = self._fit_linear(train, valid, measure)
        self.curve_ = None
        if before is not None and after is not None:
            self.curve_ = LearningCurve(measure, (0, steps), (before, after), 1)

    def _contrast(self, examples: Examples, rng: np.random.Generator) -> int:
        """Train the network without labels and return the steps made."""
        sequences, network = examples.sequences, self.network_
        table = self.table_of(sequences)
        rows = known_rows(sequences, examples.queries)
        user, first, count = np.unique(rows.user, return_index=True, return_counts=True)
        start = rows.end[first] - 1
        if len(user) < 2:
            network.eval()
            return 0
        price = cost(network, dim=self.dim, rows=self.batch_rows, outputs=0.0, window=self.window)

        def loss(batch: Batch) -> Tensor:
            return contrastive_loss(self._embed(batch, table), network.tensor(batch.query))

        def epochs() -> Iterator[Batch]:
            while True:
                yield _slices(start, count, self.window, self.batch_rows, rng)

        schedule = Schedule(
            steps=max(int(self.budget / price.step), 1), lr=self.lr, weight_decay=self.weight_decay
        )
        return train(network, epochs(), loss, schedule).steps

    def _embed(self, batch: Batch, table: Any) -> Tensor:
        """Return the embedding of each window, of length 1, (b, dim)."""
        states = self.network_.states(table, batch)
        last = states[torch.arange(len(states)), self.network_.tensor(batch.length) - 1]
        return F.normalize(last, dim=-1)

    def _fit_linear(self, train: Examples, valid: Examples | None, measure: str) -> float | None:
        """Fit the head, and return its measure on `valid`, None without such a part."""
        self.linear_: LogisticRegression | None = None
        if not _has_both(train):
            return None
        table = self._features(train.sequences, train.queries)
        self.mean_, self.deviation_ = table.mean(axis=0), table.std(axis=0) + 1e-6
        judged = valid is not None and _has_both(valid)
        best = None
        for strength in STRENGTHS if judged else (DEFAULT_STRENGTH,):
            fitted = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100)
            fitted.fit(self._standard(table), train.target > 0)
            kept: LogisticRegression | None = self.linear_
            self.linear_ = fitted
            if valid is None or not judged:
                continue
            value = measured(measure, self.arm_logits(valid.sequences, valid.queries), valid)
            if best is not None and value <= best:
                self.linear_ = kept
            else:
                best = value
        return best

    @torch.inference_mode()
    def _features(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return embeddings and the log of the time since the last row, (n, dim + 1) float32."""
        table = self.table_of(sequences)
        out = np.zeros((len(queries), self.dim + 1), dtype=np.float32)
        self.network_.eval()
        for batch in batches(tails(sequences.offsets, queries, self.window), SCORE_ROWS):
            out[batch.query, :-1] = self._embed(batch, table).cpu().numpy()
        known = queries.end > sequences.offsets[queries.user]
        last = sequences.time[queries.end[known] - 1]
        out[known, -1] = np.log1p(np.maximum(queries.time[known] - last, 0) / 1000)
        return out

    def arm_logits(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the head's logits, (n, 2) float32, the same in both columns."""
        if self.linear_ is None or len(queries) == 0:
            logit = np.full(len(queries), np.log(self.rate_ / (1 - self.rate_)))
        else:
            x = self._standard(self._features(sequences, queries))
            logit = self.linear_.decision_function(x)
        return np.repeat(logit[:, None], ARMS, axis=1).astype(np.float32)

    def _standard(self, table: np.ndarray) -> np.ndarray:
        standard: np.ndarray = (table.astype(np.float64) - self.mean_) / self.deviation_
        return standard

    def learning_curve(self) -> LearningCurve | None:
        """Return the measure of the linear head on an untrained and on the trained network."""
        return self.curve_


def _has_both(examples: Examples) -> bool:
    return bool((examples.target > 0).any() and (examples.target <= 0).any())


def _slices(
    start: np.ndarray, count: np.ndarray, length: int, batch_rows: int, rng: np.random.Generator
) -> Batch:
    """Return a batch of random slices, SLICES for each user; `query` is the user.

    Args:
        start, count: (n,) first row and number of rows of each user.
        length: rows of the longest slice.
        batch_rows: rows of the batch, about.
        rng: chooses users and slices.
    """
    mean = max(float(np.minimum(count, length).mean()) / 2, 1.0)
    n = int(np.clip(batch_rows / mean / SLICES, 2, len(start)))
    user = np.repeat(rng.choice(len(start), n, replace=False), SLICES)
    most = np.minimum(count[user], length)
    least = np.minimum(SHORTEST, most)
    size = least + (rng.random(len(user)) * (most - least + 1)).astype(np.int64)
    begin = start[user] + (rng.random(len(user)) * (count[user] - size + 1)).astype(np.int64)
    column = np.arange(size.max())
    rows = np.where(column < size[:, None], begin[:, None] + column, -1)
    return Batch(rows, size, np.arange(len(user)), size - 1, user)


def contrastive_loss(embedding: Tensor, user: Tensor) -> Tensor:
    """Return the contrastive loss with the hardest negatives (Hadsell et al. 2006).

    Squared distances of pairs of one user, and (MARGIN - distance)^2 of the HARDEST nearest slices
    of others where that is positive.

    Args:
        embedding: (b, dim) of length 1.
        user: (b,) int64, the user of each slice.
    """
    distance = (2 - 2 * embedding @ embedding.T).clamp_min(1e-9)  # (b, b) squared
    same = user[:, None] == user
    itself = torch.eye(len(user), dtype=torch.bool, device=user.device)
    together = distance[same & ~itself].mean()
    others = distance.masked_fill(same, 4.0)  # as far as can be
    nearest = others.topk(min(HARDEST, len(user)), dim=1, largest=False).values
    return together + ((MARGIN - nearest.sqrt()).clamp_min(0) ** 2).mean()
