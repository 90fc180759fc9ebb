"""Causal self-attention over a user's rows, with a cache of keys and values for sampling.

Pre-norm blocks (Xiong et al. 2020, arXiv:2002.04745) with rotary positions (Su et al. 2021,
arXiv:2104.09864): only distances matter, so a layer trained on windows of WINDOW rows can slide
along a user of any length. Only Linear and LayerNorm hold parameters, for which opacus knows the
gradients of single users.

Shapes: B users, T rows, D hidden units, H heads, d = D / H.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from torch import nn

WINDOW = 128  # rows that a row can look back on
FIRST_SLOTS = 16  # rows that a new cache has room for
SWEEP_BELOW = 0.7  # share of active users at which the cache is packed
BASE = 1000.0  # of the rotary frequencies


class KeyValueCache:
    """The state of a layer while users are sampled: keys and values of their last rows.

    Each is (n, H, slots, d). The number of slots doubles up to WINDOW; then the oldest is reused.
    """

    def __init__(self, layer: AttentionLayer, users: int) -> None:
        self.layer, self.weights = layer, tuple(p.detach() for p in layer.parameters())
        self.keys = np.zeros((users, layer.heads, FIRST_SLOTS, layer.dim), dtype=np.float32)
        self.values = np.zeros_like(self.keys)
        # place of each active user in the cache, which is packed from time to time
        self.rows = np.arange(users)
        self.time = 0

    def step(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (n, D) of one more row (n, D) of each active user.

        They equal the last row of `forward` over all rows so far.
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
        projected = F.linear(F.layer_norm(x, (width,), norm, norm_bias), project, project_bias)
        angle = (self.time * self.layer.frequency).numpy()
        attended = torch.empty_like(x)
        _attend(
            projected.numpy(),
            np.cos(angle),
            np.sin(angle),
            self.keys,
            self.values,
            self.rows,
            self.time,
            attended.numpy(),
        )
        self.time += 1
        x = x + F.linear(attended, mix, mix_bias)
        return x + F.linear(
            F.linear(F.layer_norm(x, (width,), inner, inner_bias), up, up_bias).relu_(),
            down,
            down_bias,
        )

    def keep(self, index: torch.Tensor) -> None:
        """Go on with the active users at `index` only."""
        self.rows = self.rows[index.numpy()]
        if len(self.rows) < SWEEP_BELOW * len(self.keys):
            self.keys, self.values, self.rows = (
                self.keys[self.rows],
                self.values[self.rows],
                np.arange(len(self.rows)),
            )


@njit(cache=True, fastmath=True)
def _attend(projected, cos, sin, keys, values, rows, time, out):
    """Store keys and values of a row, and write to `out` (n, D) the attention over stored rows.

    Args:
        projected: (n, 3 D) query, key and value.
        cos, sin: (d / 2,) of the angles by which queries and keys are rotated.
        keys, values: (users, H, slots, d).
        rows: (n,) places of the active users in the cache.
        time: number of rows before this one.
    """
    _, heads, slots, dim = keys.shape
    half, filled, slot = dim // 2, min(time + 1, slots), time % slots
    query, score = np.empty(dim, dtype=np.float32), np.empty(filled, dtype=np.float32)
    scale = np.float32(1 / math.sqrt(dim))
    for i in range(len(rows)):
        for h in range(heads):
            key, value = keys[rows[i], h], values[rows[i], h]
            q, k, v = (
                projected[i, h * dim :],
                projected[i, (heads + h) * dim :],
                projected[i, (2 * heads + h) * dim :],
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
            attended, total = out[i, h * dim : (h + 1) * dim], np.float32(0)
            attended[:] = 0
            for s in range(filled):
                weight = math.exp(score[s] - highest)
                total += weight
                for j in range(dim):
                    attended[j] += weight * value[s, j]
            for j in range(dim):
                attended[j] /= total


class AttentionLayer(nn.Module):
    """Attention and a feed-forward part, both residual."""

    frequency: torch.Tensor  # (d / 2,)

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.dim = heads, width // heads
        self.norm, self.norm_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.register_buffer(
            "frequency",
            BASE ** (-torch.arange(self.dim // 2) / (self.dim // 2)),
            persistent=False,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (B, T, D) of a sequence `x` (B, T, D); row t sees the rows 0..t."""
        x = x + self.mix(self._attended(self.project(self.norm(x))))
        return x + self.down(torch.relu(self.up(self.norm_inner(x))))

    def rows(self, x: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Return what `forward` returns for sequences of several lengths one after another.

        Sequences of similar lengths are attended to together, padded to the longest of them.

        Args:
            x: (N, D) rows of all sequences.
            starts: (W + 1,) int64, where each begins; the last is N.
        """
        projected = self.project(self.norm(x))
        first, length = starts[:-1], starts.diff()
        group = torch.ceil(torch.log2(length.double()))
        parts, places = [], []
        for mine in group.unique():
            of = group == mine
            step = torch.arange(int(length[of].max()))
            at, here = first[of, None] + step, step < length[of, None]
            padded = projected[torch.where(here, at, first[of, None])]
            parts.append(self._attended(padded)[here])
            places.append(at[here])
        attended = torch.cat(parts).index_select(0, torch.argsort(torch.cat(places)))
        x = x + self.mix(attended)
        return x + self.down(torch.relu(self.up(self.norm_inner(x))))

    def _attended(self, projected: torch.Tensor) -> torch.Tensor:
        """Return the attention (B, T, D) of sequences with queries, keys and values (B, T, 3 D)."""
        b, t, _ = projected.shape
        # (B, H, T, d)
        query, key, value = projected.reshape(b, t, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4)
        # (T, d / 2)
        angle = torch.arange(t)[:, None] * self.frequency
        attended = F.scaled_dot_product_attention(
            _rotate(query, angle), _rotate(key, angle), value, is_causal=True
        )
        return attended.transpose(1, 2).reshape(b, t, -1)

    def start(self, users: int) -> KeyValueCache:
        """Return the state of `users` users who are sampled, before their first row."""
        return KeyValueCache(self, users)


def _rotate(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (x_i, x_{i + d/2}) of (..., d) by `angle` (..., d / 2)."""
    left, right = x.chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)
