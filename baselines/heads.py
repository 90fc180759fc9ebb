"""Heads: from a hidden state and what is known of the question to an answer."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from eventlog.encode import FIRST

from .embedding import PAST_ROWS, Past
from .losses import Repeats

REPEAT_DECAY = 0.8


class NextItemHead(nn.Module):
    """Hidden state (+ the question's time) -> a vector compared with every item's, and a gate between network and counts."""

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
        # By distance; learnt, since the latest item of all may be the one that never follows.
        self.recency = nn.Parameter(REPEAT_DECAY ** torch.arange(PAST_ROWS, dtype=torch.float32))

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
    """[hidden state, mean of the states so far, the question's time, aggregates] -> logit.

    It begins as the logistic regression of the aggregates, and learns what the sequence adds to it: a few thousand
    questions do not teach a network what a convex fit knows at once.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, n_features: int, *, dropout: float) -> None:
        super().__init__()
        last = nn.Linear(dim, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.net = nn.Sequential(nn.Linear(3 * dim + n_features, dim), nn.GELU(), nn.Dropout(dropout), last)
        self.linear = nn.Linear(n_features, 1)
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    @torch.no_grad()
    def begin_as_logistic(self, features: np.ndarray, target: np.ndarray, *, strength: float = 0.03) -> None:
        """Learn the scale of the training questions' features (n, F), and start from their logistic regression (C = `strength`)."""
        deviation = features.std(axis=0)
        self.mean.copy_(torch.from_numpy(features.mean(axis=0)))
        self.scale.copy_(torch.from_numpy(np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)))
        rate = (target.sum() + 0.5) / (len(target) + 1)
        weight, bias = np.zeros(features.shape[1]), np.log(rate / (1 - rate))
        if 0 < target.sum() < len(target):
            x = self._standard(torch.from_numpy(features).to(self.mean.device)).cpu().numpy().astype(np.float64)
            fitted = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100).fit(x, target > 0)
            weight, bias = fitted.coef_[0], fitted.intercept_[0]
        self.linear.weight.copy_(torch.from_numpy(weight)[None])
        self.linear.bias.fill_(float(bias))

    def _standard(self, features: Tensor) -> Tensor:
        return ((features - self.mean) * self.scale).clamp(-6, 6)

    def forward(self, hidden: Tensor, pooled: Tensor, when: Tensor, features: Tensor) -> Tensor:
        """(p,) logit of hidden, pooled, when (p, dim) and features (p, F)."""
        features = self._standard(features)
        return (self.net(torch.cat([hidden, pooled, when, features], dim=-1)) + self.linear(features)).squeeze(-1)
