"""Heads: from a hidden state and what is known of the question to an answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eventlog.encode import FIRST

from .embedding import PAST_ROWS, QUESTION, RUNNING, Past
from .losses import Repeats

REPEAT_DECAY = 0.8


class NextItemHead(nn.Module):
    """Hidden state (+ the question's time) -> a vector compared with every item's, and a gate between network and counts."""

    recency: Tensor

    def __init__(self, dim: int, n_items: int, *, dropout: float, question: bool, gated: bool) -> None:
        super().__init__()
        self.question = question
        self.mix = nn.Sequential(nn.Linear(2 * dim if question else dim, dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(dim, dim))
        self.norm = nn.LayerNorm(dim)
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.gate = nn.Linear(dim, 3) if gated else None  # network, transitions, repeats
        self.repeat = nn.Linear(dim, 2)  # what it adds to an item's logit that the user had it, ever and of late
        nn.init.zeros_(self.repeat.weight)
        nn.init.zeros_(self.repeat.bias)
        self.register_buffer("recency", REPEAT_DECAY ** torch.arange(PAST_ROWS, dtype=torch.float32), persistent=False)

    def repeats(self, z: Tensor, past: Past) -> Repeats:
        """What the user's past items gain or lose, given the vector z (p, dim): once for having occurred, and by how lately."""
        ever, late = self.repeat(z).unsqueeze(-1).unbind(1)  # (p, 1) each
        return Repeats(past.item, torch.where(past.item >= FIRST, ever * past.latest + late * self.recency, 0.0))

    def forward(self, hidden: Tensor, when: Tensor) -> tuple[Tensor, Tensor | None]:
        """(p, dim) vector and (p, 3) log gate, of hidden (p, dim) and the embedded time of the question (p, dim)."""
        z = hidden + self.mix(torch.cat([hidden, when], dim=-1) if self.question else hidden)
        z = self.norm(z)
        return z, (torch.log_softmax(self.gate(z), dim=-1) if self.gate is not None else None)


class BinaryHead(nn.Module):
    """[hidden state, mean of the states so far, aggregates at the question] -> logit."""

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, *, dropout: float) -> None:
        super().__init__()
        width = len(RUNNING) + len(QUESTION)
        self.net = nn.Sequential(nn.Linear(3 * dim + width, dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(dim, 1))
        self.linear = nn.Linear(width, 1)  # recency and frequency act at once, as in a logistic regression
        nn.init.zeros_(self.linear.weight)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def learn_scale(self, features: Tensor, base_rate: float) -> None:
        """Standardise by the training questions' features (n, F), and begin at the base rate."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(1 / features.std(0, correction=0).clamp_min(1e-3))
        rate = min(max(base_rate, 1e-4), 1 - 1e-4)
        with torch.no_grad():
            self.linear.bias.fill_(float(torch.logit(torch.tensor(rate))))

    def forward(self, hidden: Tensor, pooled: Tensor, when: Tensor, features: Tensor) -> Tensor:
        """(p,) logit of hidden, pooled, when (p, dim) and features (p, F)."""
        features = ((features - self.mean) * self.scale).clamp(-8, 8)
        return (self.net(torch.cat([hidden, pooled, when, features], dim=-1)) + self.linear(features)).squeeze(-1)
