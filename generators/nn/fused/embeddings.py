"""Sums of embeddings, with dense or sparse gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import add, as_array, run


class _EmbeddingSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, table: torch.Tensor, index: torch.Tensor, offset: torch.Tensor, sparse: bool
    ) -> torch.Tensor:
        ctx.save_for_backward(index, offset)
        ctx.shape, ctx.sparse = table.shape, sparse
        out = table.new_empty((len(index), table.shape[1]))
        run(_sum_embeddings, table, index, offset, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        index, offset = map(as_array, ctx.saved_tensors)
        rows, place = _rows_used(index, offset, ctx.shape[0])
        values = np.zeros((len(rows), ctx.shape[1]), dtype=np.float32)
        run(_scatter_embeddings, grads[0], index, offset, place, values)
        found = torch.sparse_coo_tensor(
            torch.from_numpy(rows)[None],
            torch.from_numpy(values),
            ctx.shape,
            is_coalesced=True,
            check_invariants=False,
        )
        return (found if ctx.sparse else found.to_dense()), None, None, None


def embedding_sum(
    table: torch.Tensor, index: torch.Tensor, offset: torch.Tensor, *, sparse: bool = False
) -> torch.Tensor:
    """Return the sums (n, D) of the rows `index + offset` of `table` (size, D).

    Args:
        table: (size, D).
        index: (n, k) int64; -1 adds nothing.
        offset: (k,) int64, where the codes of each column begin in the table.
        sparse: should the gradient of the table hold only the rows that occur?
    """
    out: torch.Tensor = _EmbeddingSum.apply(table, index, offset, sparse)
    return out


@njit(cache=True)
def _sum_embeddings(table, index, offset, out):
    for i in range(len(index)):
        total = out[i]
        total[:] = 0.0
        for k in range(index.shape[1]):
            if index[i, k] >= 0:
                add(total, table[index[i, k] + offset[k]])


@njit(cache=True)
def _rows_used(index, offset, size):
    """Return the rows (m,) of the table that occur, ascending, and the place of each row in it."""
    place = np.full(size, -1, dtype=np.int64)
    for i in range(len(index)):
        for k in range(index.shape[1]):
            if index[i, k] >= 0:
                place[index[i, k] + offset[k]] = 0
    rows = np.flatnonzero(place == 0)
    for k in range(len(rows)):
        place[rows[k]] = k
    return rows, place


@njit(cache=True)
def _scatter_embeddings(grad, index, offset, place, out):
    for i in range(len(index)):
        for k in range(index.shape[1]):
            if index[i, k] >= 0:
                add(out[place[index[i, k] + offset[k]]], grad[i])
