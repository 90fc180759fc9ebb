"""A mixture of a network for next items with counts: its head, its loss, its probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from baselines.nn.heads import NextItemHead
from baselines.nn.losses import Repeats, softmax_log_probability
from baselines.nn.next_item import NextItemObjective

# Share of the loss in which the network answers without the counts, so that it does not come to
# rely on them.
ALONE = 0.5


class GatedItemHead(NextItemHead):
    """A head for next items with a gate between the network, transitions and repeats."""

    def __init__(self, dim: int, popularity: np.ndarray, *, dropout: float, question: bool) -> None:
        """Begin the biases at the log of `popularity` (n_items,)."""
        super().__init__(dim, len(popularity), dropout=dropout, question=question)
        self.gate = nn.Linear(dim, 3)
        with torch.no_grad():
            self.bias.copy_(torch.from_numpy(np.log(np.maximum(popularity, 1e-9))))

    def log_gate(self, z: Tensor) -> Tensor:
        """Return the log weights of network, transitions and repeats, (p, 3)."""
        return torch.log_softmax(self.gate(z), dim=-1)


class MixedObjective(NextItemObjective):
    """The loss of network and counts together."""

    counted: Tensor  # (n, 2) probability of the target by transitions and by repeats

    def of_vectors(
        self, z: Tensor, repeats: Repeats, query: Tensor, only_past: np.ndarray
    ) -> Tensor:
        """Return the loss; the gate learns only where, as at scoring, the past alone is seen."""
        head, target = self.network.item_head, self.target[query]
        if self.negatives:
            log_p = self.sampled(z, repeats, target)
        else:
            items = self.network.embedding.items()
            log_p = softmax_log_probability(z, items, head.bias, repeats, target)
        gate = head.log_gate(z)  # type: ignore[operator]
        both = gated_log_probability(log_p, self.counted[query].unbind(-1), gate)
        mixed = torch.where(
            self.network.tensor(only_past), (1 - ALONE) * both + ALONE * log_p, log_p
        )
        return -mixed.mean()


def gated_log_probability(network: Tensor, counted: Sequence[Tensor], gate: Tensor) -> Tensor:
    """Return the log-probability of a mixture of a network and of counts, (...).

    Args:
        network: (...) log-probability by the network.
        counted: k probabilities (...) by counts.
        gate: (..., 1 + k) log weights.
    """
    by_counts = sum(
        (p * gate[..., k].exp() for k, p in enumerate(counted, start=1)),
        torch.full_like(network, 1e-9),
    )
    return torch.logaddexp(network + gate[..., 0], by_counts.log())
