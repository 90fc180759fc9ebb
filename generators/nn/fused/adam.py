"""Steps of Adam for the rows of a table that have a gradient."""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import run


@torch.no_grad()
def adam_rows(
    table: torch.Tensor,
    moments: tuple[torch.Tensor, torch.Tensor],
    grad: torch.Tensor,
    rate: float,
    betas: tuple[float, float],
    epsilon: float,
    *,
    step: int,
) -> None:
    """Take a step of Adam with a sparse gradient: the rows that it lacks keep their moments.

    Args:
        table: (size, D).
        moments: of the gradient and of its square, (size, D) each.
        grad: sparse, (size, D).
        rate: learning rate.
        betas: decay of the moments.
        epsilon: added to the root of the second moment.
        step: number of this step, from 1.
    """
    first, second = (1 - beta**step for beta in betas)
    run(
        _adam_rows,
        table,
        *moments,
        grad._indices()[0],
        grad._values(),
        np.float32(rate / first),
        np.float32(1 / math.sqrt(second)),
        np.float32(betas[0]),
        np.float32(betas[1]),
        np.float32(epsilon),
    )


@njit(cache=True)
def _adam_rows(table, first, second, rows, grad, rate, scale, beta, gamma, epsilon):
    one = np.float32(1)
    for i in range(len(rows)):
        r = rows[i]
        for j in range(table.shape[1]):
            g = grad[i, j]
            first[r, j] += (one - beta) * (g - first[r, j])
            second[r, j] += (one - gamma) * (g * g - second[r, j])
            table[r, j] -= rate * first[r, j] / (math.sqrt(second[r, j]) * scale + epsilon)
