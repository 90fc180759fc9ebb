"""Mean and maximum of the rows of each user."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import run


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        users, width = len(starts) - 1, rows.shape[1]
        out = rows.new_empty((users, 2 * width))
        place = torch.empty((users, width), dtype=torch.int64)
        run(_pool, rows, starts, place, out)
        ctx.save_for_backward(starts, place)
        ctx.shape = rows.shape
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        out = grads[0].new_empty(ctx.shape)
        run(_pool_backward, grads[0], *ctx.saved_tensors, out)
        return out, None


def pooled(rows: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """Return the mean and the maximum of each user's rows, (B, 2 D); 0 where there are none.

    Args:
        rows: (M, D), not negative, of all users one after another.
        starts: (B + 1,) int64, where those of each user begin; the last is M.
    """
    out: torch.Tensor = _Pooled.apply(rows, starts)
    return out


@njit(cache=True)
def _pool(rows, starts, place, out):
    width = rows.shape[1]
    for b in range(len(starts) - 1):
        mean, highest, at = out[b, :width], out[b, width:], place[b]
        for j in range(width):
            mean[j] = highest[j] = np.float32(0)
            at[j] = -1
        for i in range(starts[b], starts[b + 1]):
            row = rows[i]
            for j in range(width):
                mean[j] += row[j]
                if row[j] > highest[j]:
                    highest[j], at[j] = row[j], i
        count = np.float32(max(starts[b + 1] - starts[b], 1))
        for j in range(width):
            mean[j] /= count


@njit(cache=True)
def _pool_backward(grad, starts, place, out):
    width = out.shape[1]
    for b in range(len(starts) - 1):
        count = np.float32(max(starts[b + 1] - starts[b], 1))
        of_mean, of_highest, at = grad[b, :width], grad[b, width:], place[b]
        for i in range(starts[b], starts[b + 1]):
            row = out[i]
            for j in range(width):
                row[j] = of_mean[j] / count
        for j in range(width):
            if at[j] >= 0:
                out[at[j], j] += of_highest[j]
