"""Causal self-attention over a user's rows, with a cache of keys and values for sampling.

Pre-norm blocks (Xiong et al. 2020) with rotary positions (Su et al. 2021, arXiv:2104.09864): only
distances matter, so that a layer trained on windows of WINDOW rows can slide along a user of any
length. Only Linear and LayerNorm hold parameters, which opacus knows.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from torch import nn

WINDOW = 128  # rows that a row can look back on
FIRST_SLOTS = 16


class Cache:
    """One layer while users are sampled: keys and values of their last rows, (n, H, slots, d) each;
    slots grow until WINDOW, then they are used again.
    """

    def __init__(self, layer: AttentionLayer, users: int) -> None:
        self.layer, self.weights = layer, tuple(p.detach() for p in layer.parameters())
        self.keys = np.zeros((users, layer.heads, FIRST_SLOTS, layer.dim), dtype=np.float32)
        self.values = np.zeros_like(self.keys)
        # place of each active user; those who have ended are swept out now and then
        self.rows = np.arange(users)
        self.time = 0

    def step(self, x: torch.Tensor) -> torch.Tensor:
        """(n, D) -> (n, D), one row of each active user; the same as the last row of `forward` over
        all rows so far.
        """
        (
            norm,
            norm_bias,
            inner,
            inner_bias,
            project,
            project_bias,
            mix,
            mix_bias,
            up,
            up_bias,
            down,
            down_bias,
        ) = self.weights
        slots, width = self.keys.shape[2], x.shape[1]
        if self.time == slots and slots < WINDOW:
            self.keys, self.values = (
                np.concatenate([k, np.zeros_like(k)], 2) for k in (self.keys, self.values)
            )
        # (n, 3 D)
        told = F.linear(F.layer_norm(x, (width,), norm, norm_bias), project, project_bias)
        angle = (self.time * self.layer.frequency).numpy()
        seen = torch.empty_like(x)
        _attend(
            told.numpy(),
            np.cos(angle),
            np.sin(angle),
            self.keys,
            self.values,
            self.rows,
            self.time,
            seen.numpy(),
        )
        self.time += 1
        x = x + F.linear(seen, mix, mix_bias)
        return x + F.linear(
            F.linear(F.layer_norm(x, (width,), inner, inner_bias), up, up_bias).relu_(),
            down,
            down_bias,
        )

    def keep(self, index: torch.Tensor) -> None:
        """Go on with some of the active users."""
        self.rows = self.rows[index.numpy()]
        if len(self.rows) < 0.7 * len(self.keys):
            self.keys, self.values, self.rows = (
                self.keys[self.rows],
                self.values[self.rows],
                np.arange(len(self.rows)),
            )


@njit(cache=True, fastmath=True)
def _attend(told, cos, sin, keys, values, rows, time, out):
    """Stores the keys and values of `told` (n, 3 D: query, key, value) of the active users `rows`
    (n,), and writes to `out` (n, D) what each sees of the stored rows; `cos`, `sin` (d / 2,) of the
    angle that queries and keys are turned by.
    """
    _, heads, slots, dim = keys.shape
    half, filled, slot = dim // 2, min(time + 1, slots), time % slots
    query, score = np.empty(dim, dtype=np.float32), np.empty(filled, dtype=np.float32)
    scale = np.float32(1 / math.sqrt(dim))
    for i in range(len(rows)):
        for h in range(heads):
            key, value = keys[rows[i], h], values[rows[i], h]
            q, k, v = (
                told[i, h * dim :],
                told[i, (heads + h) * dim :],
                told[i, (2 * heads + h) * dim :],
            )
            for j in range(half):
                query[j], query[j + half] = (
                    q[j] * cos[j] - q[j + half] * sin[j],
                    q[j] * sin[j] + q[j + half] * cos[j],
                )
                key[slot, j], key[slot, j + half] = (
                    k[j] * cos[j] - k[j + half] * sin[j],
                    k[j] * sin[j] + k[j + half] * cos[j],
                )
            for j in range(dim):
                value[slot, j] = v[j]
            highest = np.float32(-np.inf)
            for s in range(filled):
                dot = np.float32(0)
                for j in range(dim):
                    dot += query[j] * key[s, j]
                score[s] = dot * scale
                highest = max(highest, score[s])
            seen, total = out[i, h * dim : (h + 1) * dim], np.float32(0)
            seen[:] = 0
            for s in range(filled):
                weight = math.exp(score[s] - highest)
                total += weight
                for j in range(dim):
                    seen[j] += weight * value[s, j]
            for j in range(dim):
                seen[j] /= total


class AttentionLayer(nn.Module):
    """One block: attention, then a feed-forward part, both residual."""

    frequency: torch.Tensor  # (d / 2,)

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.dim = heads, width // heads
        self.norm, self.norm_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.register_buffer(
            "frequency",
            1000.0 ** (-torch.arange(self.dim // 2) / (self.dim // 2)),
            persistent=False,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) -> (B, T, D); row t sees rows 0..t."""
        b, t, width = x.shape
        # (B, H, T, d)
        query, key, value = (
            self.project(self.norm(x)).reshape(b, t, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4)
        )
        # (T, d / 2)
        angle = torch.arange(t)[:, None] * self.frequency
        seen = F.scaled_dot_product_attention(
            _turn(query, angle), _turn(key, angle), value, is_causal=True
        )
        x = x + self.mix(seen.transpose(1, 2).reshape(b, t, width))
        return x + self.down(torch.relu(self.up(self.norm_inner(x))))

    def start(self, users: int) -> Cache:
        """The layer before the first row of `users` users who are sampled."""
        return Cache(self, users)


def _turn(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (x_i, x_{i + d/2}) of (..., d) by `angle` (..., d / 2)."""
    left, right = x.chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)
