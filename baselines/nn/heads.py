"""Heads: from a hidden state, and what is known of the question, to an answer."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from baselines.nn.embedding import PAST_ROWS, Past
from baselines.nn.losses import Repeats
from eventlog.arrays import FIRST

REPEAT_DECAY = 0.8
AVERAGE_SCALE = 3.0  # of an average effect's column: its penalty is a ninth of the others'
CLIP_SD = 6  # standardised aggregates are clipped at this many standard deviations


class NextItemHead(nn.Module):
    """Makes a vector to compare with the items', and a gate between network and counts.

    Args:
        dim: channels.
        n_items: width of the scores.
        dropout: inside the head.
        question: also use the time at which the question is asked.
        gated: make the gate.
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
        # Added to the logit of an item that the user had before: for any time, and for recency.
        self.repeat = nn.Linear(dim, 2)
        nn.init.zeros_(self.repeat.weight)
        nn.init.zeros_(self.repeat.bias)
        # By distance. Learnt, because the very last item may be the least likely to come again.
        self.recency = nn.Parameter(REPEAT_DECAY ** torch.arange(PAST_ROWS, dtype=torch.float32))

    def repeats(self, z: Tensor, past: Past) -> Repeats:
        """Return what the user's past items gain or lose, given the vector z (p, dim).

        An item gains once for having occurred, and for each occurrence by its recency.
        """
        ever, late = self.repeat(z).unsqueeze(-1).unbind(1)  # (p, 1) each
        return Repeats(
            past.item,
            torch.where(past.item >= FIRST, ever * past.latest + late * self.recency, 0.0),
        )

    def forward(self, hidden: Tensor, when: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the vector (p, dim) and the log gate (p, 3), or None without a gate.

        Args:
            hidden: (p, dim) state.
            when: (p, dim) embedded time of the question.
        """
        z = hidden + self.mix(torch.cat([hidden, when], dim=-1) if self.question else hidden)
        z = self.norm(z)
        return z, (torch.log_softmax(self.gate(z), dim=-1) if self.gate is not None else None)


class LabelHead(nn.Module):
    """Makes logits from the state, the mean state so far, the question's time and aggregates.

    It can begin as the logistic regression of the aggregates and learns what the sequence adds to
    it: a few thousand questions do not teach a network what a convex fit finds at once.
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
        """Learn mean and scale of the training questions' features (n, F), if there are any."""
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
        """Set the linear part to the logistic regression of the answers on the features.

        For uplift it is that on [x, t, t x] with t = -1/2 or 1/2: the first output is what the arms
        share, the second what separates them.

        Args:
            features: (n, F).
            target: (n,) 0 or 1.
            treatment: (n,) 0 or 1, for uplift.
            strength: inverse penalty (sklearn's C).
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
                    np.concatenate([x, t * x, AVERAGE_SCALE * t], axis=1), target, strength
                )
                weight[:] = fitted.coef_[0, :-1].reshape(2, -1)
                bias[:] = fitted.intercept_[0], AVERAGE_SCALE * fitted.coef_[0, -1]
        self.linear.weight.copy_(torch.from_numpy(weight))
        self.linear.bias.copy_(torch.from_numpy(bias))

    def _standard(self, features: Tensor) -> Tensor:
        return ((features - self.mean) * self.scale).clamp(-CLIP_SD, CLIP_SD)

    def forward(self, hidden: Tensor, pooled: Tensor, when: Tensor, features: Tensor) -> Tensor:
        """Return logits (p, outputs) of hidden, pooled, when (p, dim) and features (p, F)."""
        features = self._standard(features)
        logits: Tensor = self.net(
            torch.cat([hidden, pooled, when, features], dim=-1)
        ) + self.linear(features)
        return logits


def _logistic(x: np.ndarray, target: np.ndarray, strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100).fit(x, target > 0)
