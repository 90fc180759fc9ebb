"""A gated recurrence over the rows of users, and the layer of a decoder around it.

Rows of all sequences stand one after another, so that none is computed for padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import njit

from eventlog._runtime.compiled import inner
from generators.nn.fused.call import run
from generators.nn.fused.normalisation import normalise, normalise_backward


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        projected = projected.clone()
        state = scan_(projected, starts)
        ctx.save_for_backward(projected, state, starts)
        return state

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        return scan_backward(grads[0], *ctx.saved_tensors), None


def scan(projected: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """Return the states (N, D) h_t = h_{t-1} + g_t (c_t - h_{t-1}) of each row, from h_{-1} = 0.

    Args:
        projected: (N, 2 D) of each row the gate before its sigmoid, then the candidate c.
        starts: (W + 1,) int64, where each sequence begins; the last is N.
    """
    out: torch.Tensor = _Scan.apply(projected, starts)
    return out


def scan_(projected: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """Return what `scan` returns; the gates of `projected` become their sigmoid."""
    n, width = len(projected), projected.shape[1] // 2
    projected[:, :width].sigmoid_()
    state = projected.new_empty((n, width))
    run(_scan, projected, starts, state)
    return state


def scan_backward(
    grad: torch.Tensor, projected: torch.Tensor, state: torch.Tensor, starts: torch.Tensor
) -> torch.Tensor:
    """Return the gradient (N, 2 D) of what `scan_` was given, which is `projected` now.

    Args:
        grad: (N, D) of the states.
    """
    out = torch.empty_like(projected)
    run(_scan_backward, grad, projected, state, starts, out)
    return out


@njit(cache=True)
def _scan(projected, starts, state):
    width = state.shape[1]
    for w in range(len(starts) - 1):
        for t in range(starts[w], starts[w + 1]):
            gate, candidate, mine = projected[t, :width], projected[t, width:], state[t]
            if t == starts[w]:
                for j in range(width):
                    mine[j] = gate[j] * candidate[j]
            else:
                before = state[t - 1]
                for j in range(width):
                    mine[j] = before[j] + gate[j] * (candidate[j] - before[j])


@njit(cache=True)
def _scan_backward(grad, projected, state, starts, out):
    width = state.shape[1]
    # of the state of a row, and the state before the first row
    total, none = np.empty(width, dtype=np.float32), np.zeros(width, dtype=np.float32)
    for w in range(len(starts) - 1):
        total[:] = 0.0
        for t in range(starts[w + 1] - 1, starts[w] - 1, -1):
            _step_backward(
                total,
                grad[t],
                projected[t, :width],
                projected[t, width:],
                state[t - 1] if t > starts[w] else none,
                out[t, :width],
                out[t, width:],
            )


@inner
def _step_backward(total, grad, gate, candidate, before, of_gate, of_candidate):
    """Go back by a row (D,); `total` is the gradient of its state, then that of the state before.

    Rows by themselves let the compiler use vectors.
    """
    for j in range(len(total)):
        whole = total[j] + grad[j]
        of_candidate[j] = whole * gate[j]
        total[j] = whole - of_candidate[j]
        of_gate[j] = total[j] * gate[j] * (candidate[j] - before[j])


class _RecurrentLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: torch.Tensor) -> torch.Tensor:
        x, starts, *weights = inputs
        norm, norm_bias, inner_, inner_bias, gates, gates_bias, *rest = weights
        mix, mix_bias, up, up_bias, down, down_bias = rest
        seen, *of_norm = normalise(x, norm, norm_bias)
        projected = torch.addmm(gates_bias, seen, gates.T)
        state = scan_(projected, starts)
        mixed = torch.addmm(mix_bias, state, mix.T)
        seen_inner, *of_inner = normalise(mixed, inner_, inner_bias, add=x)
        active = torch.addmm(up_bias, seen_inner, up.T).relu_()
        out = torch.addmm(down_bias, active, down.T).add_(mixed)
        ctx.save_for_backward(
            starts, seen, *of_norm, projected, state, seen_inner, *of_inner, active, *weights
        )
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        starts, seen, shape, root, projected, state, *saved = ctx.saved_tensors
        seen_inner, inner_shape, inner_root, active, *weights = saved
        norm, _, inner_, _, gates, _, mix, _, up, _, down, _ = weights
        grad = grads[0].contiguous()
        of_active = torch.ops.aten.threshold_backward(torch.mm(grad, down), active, 0)
        of_mixed, *of_inner = normalise_backward(
            torch.mm(of_active, up), grad, inner_shape, inner_root, inner_
        )
        of_projected = scan_backward(torch.mm(of_mixed, mix), projected, state, starts)
        of_x, *of_norm = normalise_backward(
            torch.mm(of_projected, gates), of_mixed, shape, root, norm
        )
        products = (
            (of_projected, seen),
            (of_mixed, state),
            (of_active, seen_inner),
            (grad, active),
        )
        of_linear = [part for of, given in products for part in (torch.mm(of.T, given), of.sum(0))]
        return of_x, None, *of_norm, *of_inner, *of_linear


def recurrent_layer(
    x: torch.Tensor, starts: torch.Tensor, weights: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return the outputs (N, D) of a `RecurrentLayer` for rows (N, D), with gradients.

    Args:
        x: the rows of all sequences.
        starts: (W + 1,) int64, see `scan`.
        weights: the layer's parameters in their order.
    """
    out: torch.Tensor = _RecurrentLayer.apply(x, starts, *weights)
    return out
