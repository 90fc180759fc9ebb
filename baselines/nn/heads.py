"""Heads: from a hidden state, and when the question is asked, to an answer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from baselines.nn.dropout import Dropout
from baselines.nn.embedding import PAST_ROWS, Past
from baselines.nn.losses import Repeats
from eventlog.arrays import FIRST

REPEAT_DECAY = 0.8
READS = 6  # vectors that are read of a sequence for a label: see `Network.read_label`
CLIP_SD = 6  # standardised inputs of a label head are clipped at this many standard deviations


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
    """Makes logits from what was read of a sequence: a linear part, and a network added to it.

    Before training all logits are the base rate's.

    Args:
        dim: channels.
        outputs: logits per question; 2 for uplift.
        dropout: inside the head.
        n_known: numbers that are read of a question beside the states.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, *, outputs: int = 1, dropout: float, n_known: int = 0) -> None:
        super().__init__()
        width = READS * dim + n_known
        self.net = nn.Sequential(
            nn.Linear(width, dim),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(dim, outputs, bias=False),
        )
        self.linear = nn.Linear(width, outputs)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        for weight in (self.net[-1].weight, self.linear.weight, self.linear.bias):
            nn.init.zeros_(weight)  # type: ignore[arg-type]

    @torch.no_grad()
    def learn_scale(self, begin: int, values: Tensor) -> None:
        """Learn mean and scale of the inputs from column `begin` on, of values (n, k) of them."""
        if len(values) == 0:
            return
        to = slice(begin, begin + values.shape[1])
        deviation = values.std(0, correction=0)
        self.mean[to] = values.mean(0)
        self.scale[to] = torch.where(deviation > 1e-6, 1 / deviation.clamp_min(1e-6), 0.0)

    @torch.no_grad()
    def begin_as(self, begin: int, weight: np.ndarray, bias: np.ndarray) -> None:
        """Set the linear part: `weight` (outputs, k) from column `begin` on, and `bias`."""
        self.linear.weight[:, begin : begin + weight.shape[1]] = torch.from_numpy(weight)
        self.linear.bias.copy_(torch.from_numpy(bias))

    def standard(self, inputs: Tensor) -> Tensor:
        """Return standardised inputs (p, width)."""
        return ((inputs - self.mean) * self.scale).clamp(-CLIP_SD, CLIP_SD)

    def forward(self, read: Tensor, known: Tensor) -> Tensor:
        """Return logits (p, outputs) of what was read (p, READS dim) and known (p, n_known)."""
        x = self.standard(torch.cat([read, known], dim=-1))
        logits: Tensor = self.net(x) + self.linear(x)
        return logits
