"""A small neural network on the same features as logistic regression and LightGBM."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from baselines.tabular.tabular import DelayDays, Standardiser, Table, Tabular, joined
from eventlog._runtime.settings import Above, Range

MIN_PATIENCE_STEPS = 60  # without improvement, before training ends early


class MLP(Tabular):
    """Two hidden layers with dropout, trained by AdamW.

    The validation part or, without one, a tenth of the training rows chooses the number of epochs;
    the weights are then trained so long on all rows.

    Args:
        hidden: units of a hidden layer.
        dropout: share of hidden units dropped in training.
        learning_rate, weight_decay: of AdamW.
        batch: rows of a batch, fewer for a small table.
        epochs: at most.
        patience: epochs without improvement after which training ends.
        delay_days: see `Tabular`.
    """

    def __init__(
        self,
        *,
        hidden: Annotated[int, Range(1, 65_536)] = 64,
        dropout: Annotated[float, Range(0.0, 0.95)] = 0.2,
        learning_rate: Annotated[float, Above(0.0, 1.0)] = 2e-3,
        weight_decay: Annotated[float, Range(0.0, 10.0)] = 1e-2,
        batch: Annotated[int, Range(1)] = 512,
        epochs: Annotated[int, Range(0)] = 60,
        patience: Annotated[int, Range(1)] = 6,
        delay_days: DelayDays = 7.0,
    ) -> None:
        super().__init__(delay_days=delay_days)
        self.hidden, self.dropout = hidden, dropout
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.batch, self.epochs, self.patience = batch, epochs, patience

    def fit_table(
        self, table: np.ndarray, target: np.ndarray, valid: Table | None, *, seed: int
    ) -> None:
        """Let the validation part choose the number of epochs, then train so long on all rows."""
        if valid is None:
            order = np.random.default_rng(seed).permutation(len(table))
            held, rest = np.split(order, [max(len(order) // 10, 1)])
            parts = (table[rest], target[rest]), (table[held], target[held])
        else:
            parts = (table, target), valid
            table, target = joined(table, target, valid)
        if len(parts[0][0]):
            epochs = self._train(*parts[0], self.epochs, seed=seed, held_out=parts[1])
        else:  # a table of one row
            epochs = self.epochs
        self._train(table, target, epochs, seed=seed)

    def _train(
        self,
        table: np.ndarray,
        target: np.ndarray,
        epochs: int,
        *,
        seed: int,
        held_out: Table | None = None,
    ) -> int:
        """Train on mini-batches in a seeded order.

        With `held_out` training ends early. Return the number of the epoch with its lowest loss.
        """
        draw = torch.Generator().manual_seed(seed)
        self.scale_ = Standardiser(table)
        x, y = self._tensors(table, target)
        held = self._tensors(*held_out) if held_out is not None else (x, y)
        weights = self._initial(x.shape[1], float(y.mean()), draw)
        self.weights_ = weights
        optimizer = torch.optim.AdamW(
            weights, lr=self.learning_rate, weight_decay=self.weight_decay
        )
        batch = min(self.batch, max(len(x) // 16, 16))  # a small table needs as many steps
        patience = max(self.patience, MIN_PATIENCE_STEPS * batch // len(x))
        best, chosen = float("inf"), 0
        for epoch in range(1, epochs + 1):
            for rows in torch.randperm(len(x), generator=draw).split(batch):
                loss = _loss(self._logit(weights, x[rows], draw), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if held_out is not None:
                with torch.no_grad():
                    held_loss = float(_loss(self._logit(weights, held[0]), held[1]))
                if held_loss < best - 1e-5:
                    best, chosen = held_loss, epoch
                if epoch - chosen >= patience:
                    break
        self.weights_ = [w.detach() for w in weights]
        return chosen

    def _tensors(self, table: np.ndarray, target: np.ndarray) -> tuple[Tensor, Tensor]:
        y = torch.from_numpy(target.astype(np.float32))
        return torch.from_numpy(self.scale_(table)), y

    def _initial(self, width: int, rate: float, draw: torch.Generator) -> list[Tensor]:
        """Return weights and biases of three layers; the last bias is the base rate's logit."""
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
        """Return the logits of x (n, n_features), (n,); with `draw` hidden units are dropped."""
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            x = torch.relu(x @ weight + bias)  # (n, hidden)
            if draw is not None:
                x = x * (torch.rand(x.shape, generator=draw) >= self.dropout) / (1 - self.dropout)
        return (x @ weights[-2] + weights[-1])[:, 0]

    def score_table(self, table: np.ndarray) -> np.ndarray:
        """Return the probability of 1, (n,)."""
        with torch.no_grad():
            probability: np.ndarray = (
                torch.sigmoid(self._logit(self.weights_, torch.from_numpy(self.scale_(table))))
                .double()
                .numpy()
            )
        return probability

    def n_parameters(self) -> int:
        """Return the number of weights and biases."""
        return 0 if self.constant_ else sum(w.numel() for w in self.weights_)


def _loss(logit: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(logit, target)
