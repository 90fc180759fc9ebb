"""States from which the fields of a row are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import run


class _FieldStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: torch.Tensor) -> torch.Tensor:
        u, table, asked, added, first = inputs
        ctx.save_for_backward(asked, added, first)
        ctx.shape = table.shape
        out = u.new_empty((int(asked.sum()), u.shape[1]))
        run(_field_states, u, table, asked, added, first, out)
        return out

    @staticmethod
    def backward(
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None, None, None]:
        asked, added, first = ctx.saved_tensors
        of_u = grads[0].new_empty((len(asked), grads[0].shape[1]))
        of_table = grads[0].new_zeros(ctx.shape)
        run(_field_states_backward, grads[0], asked, added, first, of_u, of_table)
        return of_u, of_table, None, None, None


def field_states(
    u: torch.Tensor,
    table: torch.Tensor,
    asked: torch.Tensor,
    added: torch.Tensor,
    first: torch.Tensor,
) -> torch.Tensor:
    """Return the states from which the fields of rows are drawn, all fields at once.

    The state of a field is that of the row plus the embeddings of what was chosen in the fields
    before it.

    Args:
        u: (n, D) states of the rows.
        table: (size, D) embeddings of all fields, one after another.
        asked: (n, K) bool, the fields that a row is asked.
        added: (n, A) int64, the rows of `table` that are added, -1 = none.
        first: (K + 1,) int64: columns first[k]..first[k + 1] - 1 of `added` belong to field k.

    Returns:
        (m, D), for each field the rows that are asked it, field after field.
    """
    out: torch.Tensor = _FieldStates.apply(u, table, asked, added, first)
    return out


@njit(cache=True)
def _places(asked):
    """Return where the states of each field begin, (K,)."""
    n, n_fields = asked.shape
    at = np.zeros(n_fields + 1, dtype=np.int64)
    for i in range(n):
        for k in range(n_fields):
            at[k + 1] += asked[i, k]
    return np.cumsum(at)[:-1]


@njit(cache=True)
def _field_states(u, table, asked, added, first, out):
    at = _places(asked)
    width = u.shape[1]
    state = np.empty(width, dtype=np.float32)
    for i in range(len(u)):
        for j in range(width):
            state[j] = u[i, j]
        for k in range(asked.shape[1]):
            if asked[i, k]:
                for j in range(width):
                    out[at[k], j] = state[j]
                at[k] += 1
            for a in range(first[k], first[k + 1]):
                if added[i, a] >= 0:
                    for j in range(width):
                        state[j] += table[added[i, a], j]


@njit(cache=True)
def _field_states_backward(grad, asked, added, first, of_u, of_table):
    at = _places(asked)
    width = of_u.shape[1]
    total = np.empty(width, dtype=np.float32)
    for i in range(len(asked)):
        total[:] = 0.0
        for k in range(asked.shape[1] - 1, -1, -1):
            for a in range(first[k], first[k + 1]):
                if added[i, a] >= 0:
                    for j in range(width):
                        of_table[added[i, a], j] += total[j]
            if asked[i, k]:
                for j in range(width):
                    total[j] += grad[at[k], j]
                at[k] += 1
        for j in range(width):
            of_u[i, j] = total[j]
