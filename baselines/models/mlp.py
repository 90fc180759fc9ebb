"""A small neural network on the same features as logistic regression and LightGBM."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from baselines.tabular.tabular import Standardiser, Tabular


class MLP(Tabular):
    """Two hidden layers with dropout, AdamW, early stopping on the validation part (or a tenth of
    the training rows).
    """

    def __init__(
        self,
        *,
        hidden: int = 64,
        dropout: float = 0.2,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        batch: int = 512,
        epochs: int = 60,
        patience: int = 6,
        delay_days: float = 7.0,
    ) -> None:
        super().__init__(delay_days=delay_days)
        self.hidden, self.dropout, self.learning_rate, self.weight_decay = (
            hidden,
            dropout,
            learning_rate,
            weight_decay,
        )
        self.batch, self.epochs, self.patience = batch, epochs, patience

    def fit_table(
        self,
        table: np.ndarray,
        target: np.ndarray,
        valid: tuple[np.ndarray, np.ndarray] | None,
        *,
        seed: int,
    ) -> None:
        """Mini-batches in a seeded order; the weights of the best epoch are kept."""
        draw = torch.Generator().manual_seed(seed)
        self.scale_ = Standardiser(table)
        x, y = torch.from_numpy(self.scale_(table)), torch.from_numpy(target.astype(np.float32))
        if valid is not None:
            x_valid, y_valid = (
                torch.from_numpy(self.scale_(valid[0])),
                torch.from_numpy(valid[1].astype(np.float32)),
            )
        else:
            order = torch.randperm(len(x), generator=draw)
            held = order[: max(len(x) // 10, 1)]
            x_valid, y_valid = x[held], y[held]
            x, y = (x[order[len(held) :]], y[order[len(held) :]]) if len(x) > 1 else (x, y)
        weights = self._initial(x.shape[1], float(y.mean()), draw)
        optimizer = torch.optim.AdamW(
            weights, lr=self.learning_rate, weight_decay=self.weight_decay
        )
        batch = min(self.batch, max(len(x) // 16, 16))  # a small table needs its steps all the same
        best, waited = float("inf"), 0
        self.weights_ = [w.detach().clone() for w in weights]
        for _ in range(self.epochs):
            for rows in torch.randperm(len(x), generator=draw).split(batch):
                loss = _loss(self._logit(weights, x[rows], draw), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                held_loss = float(_loss(self._logit(weights, x_valid), y_valid))
            waited += 1
            if held_loss < best - 1e-5:
                best, waited = held_loss, 0
                self.weights_ = [w.detach().clone() for w in weights]
            if waited >= self.patience:
                break

    def _initial(self, width: int, rate: float, draw: torch.Generator) -> list[Tensor]:
        """Weights and biases of three layers; the last bias is the base rate's logit."""
        weights = []
        for fan_in, fan_out in ((width, self.hidden), (self.hidden, self.hidden), (self.hidden, 1)):
            weights += [
                torch.randn(fan_in, fan_out, generator=draw) * (2 / fan_in) ** 0.5,
                torch.zeros(fan_out),
            ]
        weights[-2] *= 0.1
        weights[-1] += float(np.log((rate + 1e-4) / (1 - rate + 1e-4)))
        return [w.requires_grad_() for w in weights]

    def _logit(
        self, weights: list[Tensor], x: Tensor, draw: torch.Generator | None = None
    ) -> Tensor:
        """(n,) logits of x (n, n_features); with `draw`, hidden units are dropped."""
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            x = torch.relu(x @ weight + bias)  # (n, hidden)
            if draw is not None:
                x = x * (torch.rand(x.shape, generator=draw) >= self.dropout) / (1 - self.dropout)
        return (x @ weights[-2] + weights[-1])[:, 0]

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """(n,) probability of 1."""
        with torch.no_grad():
            probability: np.ndarray = (
                torch.sigmoid(self._logit(self.weights_, torch.from_numpy(self.scale_(table))))
                .double()
                .numpy()
            )
        return probability

    def n_parameters(self) -> int:
        """Weights and biases."""
        return 0 if self.constant_ else sum(w.numel() for w in self.weights_)


def _loss(logit: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(logit, target)
