"""Losses of the fields of rows, one field after another.

The state of a field is that of the row plus the embeddings of what was chosen in the fields before
it. There are dozens of fields, most of them with few codes: what lies between the matrix products
is done in one pass over the rows, and the gradients of a field are found while its states are in
the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import add, as_array, run
from generators.nn.fused.losses import softmax_slope


@dataclass(frozen=True)
class FieldSpec:
    """What n rows are asked: K fields, with A embeddings of a row to add between them."""

    code: torch.Tensor  # (K, n) int64, -1 = not asked
    weight: torch.Tensor  # (K, n) float, of the losses
    added: torch.Tensor  # (n, A) int64, the rows of the table that are added, -1 = none
    # (K + 1,) int64: columns first[k]..first[k + 1] - 1 of `added` belong to field k
    first: torch.Tensor
    # the outputs of each field: logits of its codes, then numbers that `additions` adds to some of
    # them; None = only the states are wanted
    outputs: list[slice | None]
    sizes: list[int]  # codes of each field
    # for each field (E, 3) int32: a row, a code, and the output that is added to the code's logit;
    # in the order of the rows
    additions: list[torch.Tensor]
    constants: list[torch.Tensor]  # for each field (n, codes) float, added to the logits, or (0, 0)
    keep: torch.Tensor  # (n, D) float factors of the active units (dropout), or (0, 0)


class _FieldLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        u, table, weight, bias, spec = inputs
        asked = spec.code >= 0
        wanted = torch.tensor([part is None for part in spec.outputs])[:, None] & asked
        # of the fields with, and of those without outputs
        slopes, states = (
            u.new_empty((int(m.sum()), u.shape[1])) for m in (asked & ~wanted, wanted)
        )
        of_weight, of_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        heads, head_slopes = _parts(weight, spec.outputs), _parts(of_weight, spec.outputs)
        biases, bias_slopes = as_array(bias), of_bias.numpy()
        counts, state, loss = asked.sum(1).tolist(), as_array(u).copy(), 0.0
        first, code, row_weight = spec.first.tolist(), as_array(spec.code), as_array(spec.weight)
        embedding, added, keep = map(as_array, (table, spec.added, spec.keep))
        done = {True: 0, False: 0}  # rows of `slopes` and of `states`
        for k, (part, n) in enumerate(zip(spec.outputs, counts, strict=True)):
            has = part is not None
            active = (slopes if has else states)[done[has] : done[has] + n]
            done[has] += n
            out, columns = active.numpy(), (first[k], first[k + 1])
            _read_states(embedding, code[k], added, *columns, has, keep, state, out)
            if part is None or not n:
                continue
            head = heads[k]
            logits = torch.mm(active, head.T)
            loss += _softmax_slopes(
                code[k],
                row_weight[k],
                spec.sizes[k],
                spec.additions[k].numpy(),
                spec.constants[k].numpy(),
                biases[part],
                logits.numpy(),
                bias_slopes[part],
            )
            torch.mm(logits.T, active, out=head_slopes[k])
            _through_active(torch.mm(logits, head).numpy(), code[k], keep, out)
        of_u, of_table = torch.zeros_like(u), torch.zeros_like(table)
        run(_states_backward, slopes, asked & ~wanted, spec.added, spec.first, of_u, of_table)
        ctx.save_for_backward(wanted, spec.added, spec.first)
        ctx.slopes = of_u, of_table, of_weight, of_bias
        return u.new_tensor(loss), states

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        # they are changed in place: gone back through once, like any graph that is not retained
        slopes, ctx.slopes = ctx.slopes, ()
        of_u, of_table, of_weight, of_bias = (slope.mul_(grads[0]) for slope in slopes)
        if len(grads[1]):
            run(_states_backward, grads[1], *ctx.saved_tensors, of_u, of_table)
        return of_u, of_table, of_weight, of_bias, None


def _parts(rows: torch.Tensor, outputs: list[slice | None]) -> list[torch.Tensor]:
    """Return the rows of each field's outputs, as views; none where it has no outputs."""
    sizes = [0 if part is None else part.stop - part.start for part in outputs]
    return list(rows.split(sizes))


def field_losses(
    u: torch.Tensor,
    table: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    spec: FieldSpec,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of the fields that have outputs, and the states of the others.

    Args:
        u: (n, D) states of the rows.
        table: (size, D) embeddings of the codes of all fields, one after another.
        weight, bias: (outputs, D) and (outputs,) of the heads of all fields; a head reads the
            active units of its field's state.
        spec: what the rows are asked.

    Returns:
        The weighted sum () of negative log likelihoods in nats, and (m, D): for each field without
        outputs the rows that are asked it, field after field.
    """
    loss, states = _FieldLosses.apply(u, table, weight, bias, spec)
    return loss, states


@njit(cache=True)
def _read_states(table, code, added, start, stop, activate, keep, state, out):
    """Write the states of a field to `out` (m, D), and go on to those of the next field.

    Columns start..stop - 1 of `added` belong to the field. If `activate`, its active units are
    written.
    """
    width, place, zero = state.shape[1], 0, np.float32(0)
    for i in range(len(code)):
        mine = state[i]
        if code[i] >= 0:
            written = out[place]
            for j in range(width):
                written[j] = mine[j] if not activate or mine[j] > zero else zero
            if activate and len(keep):
                kept = keep[i]
                for j in range(width):
                    written[j] *= kept[j]
            place += 1
        for a in range(start, stop):
            if added[i, a] >= 0:
                add(mine, table[added[i, a]])


@njit(cache=True, fastmath=True)
def _softmax_slopes(code, weight, size, additions, constant, bias, logits, of_bias):
    """Turn products (m, O) of a field, which lack the `bias`, into the gradients of its outputs.

    Their sum is written to `of_bias` (O,). Returns the weighted loss in nats.
    """
    loss, r, e = 0.0, 0, 0
    of_bias[:] = 0.0
    for i in range(len(code)):
        if code[i] < 0:
            continue
        add(logits[r], bias)
        if len(constant):
            add(logits[r, :size], constant[i])
        since = e
        while e < len(additions) and additions[e, 0] == i:
            logits[r, additions[e, 1]] += logits[r, additions[e, 2]]
            e += 1
        loss += softmax_slope(logits[r, :size], code[i], weight[i])
        for o in range(size, logits.shape[1]):
            logits[r, o] = 0
        for a in range(since, e):
            logits[r, additions[a, 2]] += logits[r, additions[a, 1]]
        add(of_bias, logits[r])
        r += 1
    return loss


@njit(cache=True)
def _through_active(slope, code, keep, active):
    """Turn the active units (m, D) of a field into the gradient of its states."""
    place, zero = 0, np.float32(0)
    for i in range(len(code)):
        if code[i] < 0:
            continue
        mine, through = active[place], slope[place]
        for j in range(len(mine)):
            mine[j] = through[j] if mine[j] > zero else zero
        if len(keep):
            kept = keep[i]
            for j in range(len(mine)):
                mine[j] *= kept[j]
        place += 1


@njit(cache=True)
def _states_backward(grad, wanted, added, first, of_u, of_table):
    """Add the gradients of the states of fields `wanted` (K, n) to those of `u` and `table`."""
    place, width = _places(wanted), of_u.shape[1]
    total = np.empty(width, dtype=np.float32)
    for i in range(wanted.shape[1]):
        total[:] = 0.0
        found = False
        for k in range(len(wanted) - 1, -1, -1):
            if found:
                for a in range(first[k], first[k + 1]):
                    if added[i, a] >= 0:
                        add(of_table[added[i, a]], total)
            if wanted[k, i]:
                add(total, grad[place[k]])
                place[k] += 1
                found = True
        add(of_u[i], total)


@njit(cache=True)
def _places(wanted):
    """Return where the states of each field begin, (K,)."""
    place = np.zeros(len(wanted), dtype=np.int64)
    for k in range(1, len(wanted)):
        place[k] = place[k - 1] + wanted[k - 1].sum()
    return place
