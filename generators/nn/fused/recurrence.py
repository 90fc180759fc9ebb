"""A gated recurrence over the rows of a user."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from generators.nn.fused.call import run


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, candidate: torch.Tensor) -> torch.Tensor:
        gate, candidate = gate.contiguous(), candidate.contiguous()
        state = torch.empty_like(candidate)
        run(_scan, gate, candidate, state)
        ctx.save_for_backward(gate, candidate, state)
        return state

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gate, candidate, state = ctx.saved_tensors
        of_gate, of_candidate = torch.empty_like(gate), torch.empty_like(candidate)
        run(_scan_backward, grads[0], gate, candidate, state, of_gate, of_candidate)
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
