"""Heads: from a hidden state, and when the question is asked, to an answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.nn.dropout import Dropout
from baselines.nn.embedding import PAST_ROWS, Past
from baselines.nn.losses import Repeats
from eventlog.arrays import FIRST

REPEAT_DECAY = 0.8


class NextItemHead(nn.Module):
    """Makes a vector to compare with the items'.

    Args:
        dim: channels.
        n_items: width of the scores.
        dropout: inside the head.
        question: also use the time at which the question is asked.
    """

    def __init__(self, dim: int, n_items: int, *, dropout: float, question: bool) -> None:
        super().__init__()
        self.question = question
        self.mix = nn.Sequential(
            nn.Linear(2 * dim if question else dim, dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(dim, dim),
        )
        self.norm = nn.LayerNorm(dim)
        self.bias = nn.Parameter(torch.zeros(n_items))
        # Added to the logit of an item that the user had before: for any time, and for recency.
        self.repeat = nn.Linear(dim, 2)
        nn.init.zeros_(self.repeat.weight)
        nn.init.zeros_(self.repeat.bias)
        # By distance. Learnt, because the very last item may be the least likely to come again.
        self.recency = nn.Parameter(REPEAT_DECAY ** torch.arange(PAST_ROWS, dtype=torch.float32))

    def repeats(self, z: Tensor, past: Past) -> Repeats:
        """Return what the user's past items gain or lose, given the vector z (p, dim).

        An item gains once for having occurred, and for each occurrence by its recency (a copy
        mechanism, as in RepeatNet, arXiv:1812.02646; it begins at 0).
        """
        ever, late = self.repeat(z).unsqueeze(-1).unbind(1)  # (p, 1) each
        return Repeats(
            past.item,
            torch.where(past.item >= FIRST, ever * past.latest + late * self.recency, 0.0),
        )

    def forward(self, hidden: Tensor, when: Tensor) -> Tensor:
        """Return the vector (p, dim) of state and embedded time of the question, (p, dim) each."""
        z = hidden + self.mix(torch.cat([hidden, when], dim=-1) if self.question else hidden)
        normed: Tensor = self.norm(z)
        return normed


class LabelHead(nn.Module):
    """Makes logits from a state, the mean and the sum of the states, and the question's time.

    Before training all logits are the base rate's.

    Args:
        dim: channels.
        outputs: logits per question; 2 for uplift.
        dropout: inside the head.
        n_known: numbers that a hybrid knows of a question beside the sequence.
    """

    def __init__(self, dim: int, *, outputs: int = 1, dropout: float, n_known: int = 0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4 * dim + n_known, dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(dim, outputs),
        )
        last = self.last
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    @property
    def last(self) -> nn.Linear:
        """The output layer."""
        layer = self.net[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, read: Tensor, known: Tensor) -> Tensor:
        """Return logits (p, outputs) of what was read (p, 4 dim) and known (p, n_known)."""
        logits: Tensor = self.net(torch.cat([read, known], dim=-1))
        return logits
