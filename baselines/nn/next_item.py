"""What a neural model learns from next items: the objective and its validation measure.

A backbone that looks both ways learns from masked rows (see `pretraining`), a causal one from all
rows at once. The softmax over items is exact for a catalogue of moderate size, and estimated from
shared negatives for a larger one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from baselines.nn.embedding import EventTable
from baselines.nn.losses import Repeats, sampled_log_probability, softmax_loss
from baselines.nn.network import Network
from baselines.nn.pretraining import choose_masked
from baselines.nn.windows import Batch
from eventlog.arrays import FIRST, Examples, Queries

SMOOTHING = 0.1  # occurrences added to each item's count, for its chance as a negative
NEGATIVE_POWER = 0.75  # negatives are drawn by popularity to this power
RANKS = 10  # of NDCG


class NextItemObjective:
    """The loss of a batch of questions about next items.

    Args:
        network: what is trained.
        table: the log of `examples`.
        examples: questions whose answers are known items.
        full_softmax: the largest catalogue with an exact softmax.
        negatives: sampled items for a larger one.
        rng: chooses the rows to mask.
    """

    def __init__(
        self,
        network: Network,
        table: EventTable,
        examples: Examples,
        *,
        full_softmax: int,
        negatives: int,
        rng: np.random.Generator,
    ) -> None:
        self.network, self.table, self.rng = network, table, rng
        queries, n_items = examples.queries, len(network.item_head.bias)
        self.target = network.tensor(examples.target.astype(np.int64))
        self.when = table.asked(queries).codes
        self.user, self.end = network.tensor(queries.user), network.tensor(queries.end)
        self.negatives = min(negatives, n_items - FIRST) if n_items > full_softmax else 0
        # How likely an item is to be a negative. The estimate is corrected for it.
        share = np.bincount(examples.target, minlength=n_items) + SMOOTHING
        share[:FIRST] = 0
        flattened = share**NEGATIVE_POWER
        self.proposal = network.tensor((flattened / flattened.sum()).astype(np.float32))

    @property
    def outputs(self) -> int:
        """Logits computed per row."""
        return self.negatives or len(self.network.item_head.bias)

    def loss(self, batch: Batch) -> Tensor:
        """Return minus the mean log-probability of the batch's answers."""
        network, alone = self.network, np.ones(1, dtype=bool)
        if network.bidirectional:
            batch, alone = choose_masked(batch, self.rng)
        query = network.tensor(batch.query)
        state = network.read(self.table, batch, masked=network.bidirectional)
        z = network.item_vector(state, self.when[query])
        past = self.table.past(self.user[query], self.end[query])
        return self.of_vectors(z, network.item_head.repeats(z, past), query, alone)

    def of_vectors(
        self, z: Tensor, repeats: Repeats, query: Tensor, only_past: np.ndarray
    ) -> Tensor:
        """Return the loss of vectors z (r, dim) for the questions `query` (r,).

        `only_past` says which saw nothing later than the answer; a hybrid needs it.
        """
        if self.negatives:
            return -self.sampled(z, repeats, self.target[query]).mean()
        embedding, head = self.network.embedding, self.network.item_head
        return softmax_loss(z, embedding.items(), head.bias, repeats, self.target[query])

    def sampled(self, z: Tensor, repeats: Repeats, target: Tensor) -> Tensor:
        """Return estimated log-probabilities of the targets, (r,)."""
        embedding, n = self.network.embedding, self.negatives
        negative = torch.multinomial(self.proposal, n, replacement=False)
        vectors = embedding.items(torch.cat([target, negative]))
        return sampled_log_probability(
            z,
            vectors[: len(target)],
            vectors[len(target) :],
            self.network.item_head.bias,
            repeats,
            target,
            negative,
            log_expected=(n * self.proposal[negative]).clamp_max(1).log(),
        )


def at_the_answer(queries: Queries) -> Queries:
    """Return questions that end after their answer: a masked row is its own question."""
    return Queries(queries.user, queries.end + 1, queries.time)


def with_known_answers(examples: Examples) -> Examples:
    """Return the questions whose answer is in the encoder's vocabulary."""
    keep = examples.target >= FIRST
    if keep.all():
        return examples
    return Examples(examples.sequences, examples.queries[keep], examples.target[keep])


def ndcg(scores: np.ndarray, target: np.ndarray) -> float:
    """Return the mean NDCG@10 of (n, V) scores; ties count against the model."""
    scores = scores[:, FIRST:]
    own = scores[np.arange(len(target)), target - FIRST]
    rank = (scores >= own[:, None]).sum(axis=1)  # 1 is best
    return float(np.where(rank <= RANKS, 1 / np.log2(rank + 1), 0.0).mean())
