"""Heads: from a hidden state and what is known of the question to an answer."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from baselines.nn.embedding import PAST_ROWS, Past
from baselines.nn.losses import Repeats
from eventlog.arrays import FIRST

REPEAT_DECAY = 0.8
AVERAGE = 3.0  # scale of an average effect's column: its penalty is a ninth of the others'


class NextItemHead(nn.Module):
    """Hidden state (+ the question's time) -> a vector compared with every item's, and a gate
    between network and counts.
    """

    def __init__(
        self, dim: int, n_items: int, *, dropout: float, question: bool, gated: bool
    ) -> None:
        super().__init__()
        self.question = question
        self.mix = nn.Sequential(
            nn.Linear(2 * dim if question else dim, dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(dim, dim),
        )
        self.norm = nn.LayerNorm(dim)
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.gate = nn.Linear(dim, 3) if gated else None  # network, transitions, repeats
        # what it adds to an item's logit that the user had it, ever and of late
        self.repeat = nn.Linear(dim, 2)
        nn.init.zeros_(self.repeat.weight)
        nn.init.zeros_(self.repeat.bias)
        # By distance; learnt, since the latest item of all may be the one that never follows.
        self.recency = nn.Parameter(REPEAT_DECAY ** torch.arange(PAST_ROWS, dtype=torch.float32))

    def repeats(self, z: Tensor, past: Past) -> Repeats:
        """What the user's past items gain or lose, given the vector z (p, dim): once for having
        occurred, and by how lately.
        """
        ever, late = self.repeat(z).unsqueeze(-1).unbind(1)  # (p, 1) each
        return Repeats(
            past.item,
            torch.where(past.item >= FIRST, ever * past.latest + late * self.recency, 0.0),
        )

    def forward(self, hidden: Tensor, when: Tensor) -> tuple[Tensor, Tensor | None]:
        """(p, dim) vector and (p, 3) log gate, of hidden (p, dim) and the embedded time of the
        question (p, dim).
        """
        z = hidden + self.mix(torch.cat([hidden, when], dim=-1) if self.question else hidden)
        z = self.norm(z)
        return z, (torch.log_softmax(self.gate(z), dim=-1) if self.gate is not None else None)


class LabelHead(nn.Module):
    """[hidden state, mean of the states so far, the question's time, aggregates] -> logits.

    It begins as the logistic regression of the aggregates, and learns what the sequence adds to it:
    a few thousand questions do not teach a network what a convex fit knows at once.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int, n_features: int, *, outputs: int = 1, dropout: float) -> None:
        super().__init__()
        last = nn.Linear(dim, outputs, bias=False)
        nn.init.zeros_(last.weight)
        self.net = nn.Sequential(
            nn.Linear(3 * dim + n_features, dim), nn.GELU(), nn.Dropout(dropout), last
        )
        self.linear = nn.Linear(n_features, outputs)
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def learn_scale(self, features: np.ndarray) -> None:
        """Mean and standard deviation of the training questions' features (n, F); without questions
        they stay 0 and 1.
        """
        if len(features) == 0:
            return
        deviation = features.std(axis=0)
        self.mean.copy_(torch.from_numpy(features.mean(axis=0)))
        self.scale.copy_(
            torch.from_numpy(np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0))
        )

    @torch.no_grad()
    def begin_as_logistic(
        self,
        features: np.ndarray,
        target: np.ndarray,
        treatment: np.ndarray | None = None,
        *,
        strength: float,
    ) -> None:
        """Start from the logistic regression (C = `strength`) of the answers (n,); for uplift, with
        `treatment` (n,) 0/1, of [x, t, t x] with t = -1/2, 1/2: the first output is what the arms
        share, the second what divides them.
        """
        rate = (target.sum() + 0.5) / (len(target) + 1)
        weight, bias = np.zeros(self.linear.weight.shape), np.zeros(len(self.linear.bias))
        bias[0] = np.log(rate / (1 - rate))
        if 0 < target.sum() < len(target):
            x = (
                self._standard(torch.from_numpy(features).to(self.mean.device))
                .cpu()
                .numpy()
                .astype(np.float64)
            )
            if treatment is None:
                fitted = _logistic(x, target, strength)
                weight[0], bias[0] = fitted.coef_[0], fitted.intercept_[0]
            else:
                t = treatment[:, None] - 0.5
                fitted = _logistic(
                    np.concatenate([x, t * x, AVERAGE * t], axis=1), target, strength
                )
                weight[:] = fitted.coef_[0, :-1].reshape(2, -1)
                bias[:] = fitted.intercept_[0], AVERAGE * fitted.coef_[0, -1]
        self.linear.weight.copy_(torch.from_numpy(weight))
        self.linear.bias.copy_(torch.from_numpy(bias))

    def _standard(self, features: Tensor) -> Tensor:
        return ((features - self.mean) * self.scale).clamp(-6, 6)

    def forward(self, hidden: Tensor, pooled: Tensor, when: Tensor, features: Tensor) -> Tensor:
        """(p, outputs) logits of hidden, pooled, when (p, dim) and features (p, F)."""
        features = self._standard(features)
        logits: Tensor = self.net(
            torch.cat([hidden, pooled, when, features], dim=-1)
        ) + self.linear(features)
        return logits


def _logistic(x: np.ndarray, target: np.ndarray, strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100).fit(x, target > 0)
