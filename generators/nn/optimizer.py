"""Adam for training without a privacy budget.

Kingma and Ba 2015, arXiv:1412.6980. Most parameters of a network are small, so they are made
views of one tensor and updated at once. `torch.optim` would import torch's compiler as well,
which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from generators.nn.fused.adam import AdamStep, adam, adam_rows

BETAS = (0.9, 0.98)
EPSILON = 1e-8
LARGE = 100_000  # numbers of a parameter whose gradient is not copied beside those of others
MOST_NORM = 1.0  # of the gradient of an update
TABLE_RATE = 8.0  # learning rate of tables with sparse gradients, in learning rates of the others


class Adam:
    """Adam with clipped gradients; of large tables only the rows that a batch used are updated.

    Args:
        parameters: the smaller ones become views of one tensor.
        tables: embeddings (size, D) with sparse gradients. Their learning rate is TABLE_RATE times
            that of the parameters, as each row has a gradient in few of the updates.
        heads: (size, D) with sparse gradients, whose learning rate is that of the parameters.
        betas: decay of the moments.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        tables: Sequence[torch.Tensor] = (),
        heads: Sequence[torch.Tensor] = (),
        *,
        betas: tuple[float, float] = BETAS,
    ) -> None:
        self.betas, self.steps = betas, 0
        self.parameters = [p for p in parameters if p.numel() < LARGE]
        self.large = [
            (p, torch.zeros_like(p), torch.zeros_like(p)) for p in parameters if p.numel() >= LARGE
        ]
        self.values = torch.cat([p.detach().flatten() for p in self.parameters])
        self.moments = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self.tables = [
            (times, p, torch.zeros_like(p), torch.zeros_like(p))
            for times, some in ((TABLE_RATE, tables), (1.0, heads))
            for p in some
        ]
        self.zeros = [torch.zeros(p.numel()) for p in self.parameters]
        sizes = [p.numel() for p in self.parameters]
        for p, part in zip(self.parameters, self.values.split(sizes), strict=True):
            p.data = part.view_as(p)

    def step(self, rate: float) -> None:
        """Take a step with the gradients that there are, at a learning rate, and forget them."""
        grad = torch.cat(
            [
                zero if p.grad is None else p.grad.flatten()
                for p, zero in zip(self.parameters, self.zeros, strict=True)
            ]
        )
        others = [torch.zeros_like(p) if p.grad is None else p.grad for p, *_ in self.large]
        of_tables = [p.grad._values() for _, p, *_ in self.tables if p.grad is not None]
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(g) for g in (grad, *others, *of_tables)])
        )
        scale = min(1.0, MOST_NORM / (float(norm) + 1e-6))
        self.steps += 1
        how = AdamStep(rate, scale, self.betas, EPSILON, self.steps)
        adam(self.values, self.moments, grad, how)
        for (p, *moments), own in zip(self.large, others, strict=True):
            adam(p, moments, own, how)
            p.grad = None
        for times, table, *moments in self.tables:
            if table.grad is not None:
                adam_rows(table, moments, table.grad, how._replace(rate=times * rate))
            table.grad = None
        for p in self.parameters:
            p.grad = None
