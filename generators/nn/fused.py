"""Operations of a training step that are fused into one compiled pass each, with their gradients.

A row has a score of small heads, and one row is a few hundred bytes: as single tensor operations
they cost more in calls and in memory traffic than in arithmetic. Each function here reads its
inputs once and keeps its working set, one row, in the first-level cache. `RowNet` uses them unless
gradients of single users are wanted, for which opacus needs plain layers.

Shapes: n rows, D hidden units, K fields.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numba import njit


def _array(x: torch.Tensor) -> np.ndarray:
    out: np.ndarray = x.detach().contiguous().numpy()
    return out


def _run(kernel: Any, *arguments: Any) -> Any:
    """Call a compiled function, with tensors as arrays; it writes to the last, contiguous ones."""
    return kernel(*(_array(x) if isinstance(x, torch.Tensor) else x for x in arguments))


# --- sums of embeddings ---------------------------------------------------------------------------


class _EmbeddingSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, table: torch.Tensor, index: torch.Tensor, offset: torch.Tensor, sparse: bool
    ) -> torch.Tensor:
        ctx.save_for_backward(index, offset)
        ctx.shape, ctx.sparse = table.shape, sparse
        out = table.new_empty((len(index), table.shape[1]))
        _run(_sum_embeddings, table, index, offset, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        index, offset = map(_array, ctx.saved_tensors)
        rows, place = _rows_used(index, offset, ctx.shape[0])
        values = np.zeros((len(rows), ctx.shape[1]), dtype=np.float32)
        _run(_scatter_embeddings, grads[0], index, offset, place, values)
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
        index: (n, k) int64.
        offset: (k,) int64, where the codes of each column begin in the table.
        sparse: should the gradient of the table hold only the rows that occur?
    """
    out: torch.Tensor = _EmbeddingSum.apply(table, index, offset, sparse)
    return out


@njit(cache=True)
def _sum_embeddings(table, index, offset, out):
    for i in range(len(index)):
        out[i] = 0.0
        for k in range(index.shape[1]):
            row = index[i, k] + offset[k]
            for j in range(out.shape[1]):
                out[i, j] += table[row, j]


@njit(cache=True)
def _rows_used(index, offset, size):
    """Return the rows (m,) of the table that occur, ascending, and the place of each row in it."""
    place = np.full(size, -1, dtype=np.int64)
    for i in range(len(index)):
        for k in range(index.shape[1]):
            place[index[i, k] + offset[k]] = 0
    rows = np.flatnonzero(place == 0)
    for k in range(len(rows)):
        place[rows[k]] = k
    return rows, place


@njit(cache=True)
def _scatter_embeddings(grad, index, offset, place, out):
    for i in range(len(index)):
        for k in range(index.shape[1]):
            row = place[index[i, k] + offset[k]]
            for j in range(out.shape[1]):
                out[row, j] += grad[i, j]


# --- a recurrence ---------------------------------------------------------------------------------


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
        gate, candidate = gate.contiguous(), candidate.contiguous()
        state = torch.empty_like(candidate)
        _run(_scan, gate, candidate, state)
        ctx.save_for_backward(gate, candidate, state)
        return state

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, candidate, state = ctx.saved_tensors
        of_gate, of_candidate = torch.empty_like(gate), torch.empty_like(candidate)
        _run(_scan_backward, grads[0], gate, candidate, state, of_gate, of_candidate)
        return of_gate, of_candidate


def scan(gate: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
    """Return h_t = h_{t-1} + g_t (c_t - h_{t-1}) over dimension 1 of (B, T, D), from h_{-1} = 0."""
    out: torch.Tensor = _Scan.apply(gate, candidate)
    return out


@njit(cache=True)
def _scan(gate, candidate, state):
    for b in range(gate.shape[0]):
        last = np.zeros(gate.shape[2], dtype=np.float32)
        for t in range(gate.shape[1]):
            for j in range(gate.shape[2]):
                last[j] += gate[b, t, j] * (candidate[b, t, j] - last[j])
                state[b, t, j] = last[j]


@njit(cache=True)
def _scan_backward(grad, gate, candidate, state, of_gate, of_candidate):
    for b in range(gate.shape[0]):
        total = np.zeros(gate.shape[2], dtype=np.float32)
        for t in range(gate.shape[1] - 1, -1, -1):
            for j in range(gate.shape[2]):
                total[j] += grad[b, t, j]
                before = state[b, t - 1, j] if t > 0 else np.float32(0)
                of_gate[b, t, j] = total[j] * (candidate[b, t, j] - before)
                of_candidate[b, t, j] = total[j] * gate[b, t, j]
                total[j] *= 1 - gate[b, t, j]


# --- the fields of a row --------------------------------------------------------------------------


class _FieldStates(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: torch.Tensor,
        table: torch.Tensor,
        asked: torch.Tensor,
        added: torch.Tensor,
        first: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(asked, added, first)
        ctx.shape = table.shape
        out = u.new_empty((int(asked.sum()), u.shape[1]))
        _run(_field_states, u, table, asked, added, first, out)
        return out

    @staticmethod
    def backward(
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None, None, None]:
        asked, added, first = ctx.saved_tensors
        of_u = grads[0].new_empty((len(asked), grads[0].shape[1]))
        of_table = grads[0].new_zeros(ctx.shape)
        _run(_field_states_backward, grads[0], asked, added, first, of_u, of_table)
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


# --- losses ---------------------------------------------------------------------------------------


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, code: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        slope = torch.empty(logits.shape)
        loss = _run(_cross_entropy, logits, code, weight, slope)
        ctx.save_for_backward(slope)
        return logits.new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.saved_tensors[0] * grads[0], None, None


def cross_entropy(logits: torch.Tensor, code: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted sum () of the negative log likelihoods of codes (n,), in nats.

    Args:
        logits: (n, size).
        code: (n,) int64.
        weight: (n,) float.
    """
    out: torch.Tensor = _CrossEntropy.apply(logits, code, weight)
    return out


@njit(cache=True, fastmath=True)
def _cross_entropy(logits, code, weight, slope):
    loss = 0.0
    for i in range(len(logits)):
        highest = logits[i].max()
        total = np.float32(0)
        for k in range(logits.shape[1]):
            slope[i, k] = math.exp(logits[i, k] - highest)
            total += slope[i, k]
        loss += weight[i] * (math.log(total) + highest - logits[i, code[i]])
        scale = weight[i] / total
        for k in range(logits.shape[1]):
            slope[i, k] *= scale
        slope[i, code[i]] -= weight[i]
    return loss


class _ItemLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        gain: torch.Tensor,
        traits: torch.Tensor,
        asked: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        parts: list[tuple[slice, slice]],
    ) -> torch.Tensor:
        code, known, row_weight = asked
        of_query, of_weight = torch.empty_like(query), torch.zeros_like(weight)
        of_bias, of_gain = torch.zeros_like(bias), torch.zeros_like(gain)
        loss = 0.0
        for rows, items in parts:
            logits = torch.addmm(bias[items], query[rows], weight[items].T)
            loss += _run(
                _choose,
                logits,
                gain[rows],
                traits[items],
                code[rows] - items.start,
                known[rows] - items.start,
                row_weight[rows],
                of_gain[rows],
            )
            torch.mm(logits, weight[items], out=of_query[rows])
            torch.mm(logits.T, query[rows], out=of_weight[items])
            of_bias[items] = logits.sum(0)
        ctx.save_for_backward(of_query, of_weight, of_bias, of_gain)
        return query.new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return *(slope * grads[0] for slope in ctx.saved_tensors), None, None, None


def item_loss(
    query: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    gain: torch.Tensor,
    traits: torch.Tensor,
    asked: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    parts: list[tuple[slice, slice]],
) -> torch.Tensor:
    """Return the loss () of items drawn within their categories, one category after another.

    Args:
        query: (n, D).
        weight, bias: (n_items, D) and (n_items,).
        gain: (n, traits), what each trait adds to the logit of an item that has it.
        traits: (n_items, A).
        asked: codes (n,), items that cannot be drawn (n, k) int32, and weights of rows (n,).
        parts: of each category its rows and its items.
    """
    out: torch.Tensor = _ItemLoss.apply(query, weight, bias, gain, traits, asked, parts)
    return out


@njit(cache=True, fastmath=True)
def _choose(logits, gain, traits, code, known, weight, of_gain):
    """Turn `logits` into their gradients, add those of `gain` to `of_gain`; return the loss."""
    loss = 0.0
    size = logits.shape[1]
    for i in range(len(logits)):
        for k in range(size):
            for a in range(traits.shape[1]):
                logits[i, k] += gain[i, traits[k, a]]
        for r in range(known.shape[1]):
            if 0 <= known[i, r] < size:
                logits[i, known[i, r]] = np.float32(-1e30)
        highest, total, chosen = logits[i].max(), np.float32(0), logits[i, code[i]]
        for k in range(size):
            logits[i, k] = math.exp(logits[i, k] - highest)
            total += logits[i, k]
        loss += weight[i] * (math.log(total) + highest - chosen)
        scale = weight[i] / total
        for k in range(size):
            logits[i, k] *= scale
        logits[i, code[i]] -= weight[i]
        for k in range(size):
            for a in range(traits.shape[1]):
                of_gain[i, traits[k, a]] += logits[i, k]
    return loss


# --- the update of a table ------------------------------------------------------------------------


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
    _run(
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
