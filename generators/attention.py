"""Causal self-attention over a user's rows, with a cache of keys and values for sampling.

Pre-norm blocks (Xiong et al. 2020) with rotary positions (Su et al. 2021, arXiv:2104.09864): only distances matter, so that a
layer trained on windows of WINDOW rows can slide along a user of any length. Only Linear and LayerNorm hold parameters,
which opacus knows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

WINDOW = 128   # rows that a row can look back on
FIRST_SLOTS = 16


class Cache:
    """Keys and values of the last rows of n users, (n, H, slots, d) each; slots grow until WINDOW, then they are used again."""

    def __init__(self, users: int, heads: int, dim: int) -> None:
        self.keys = torch.zeros((users, heads, FIRST_SLOTS, dim))
        self.values = torch.zeros_like(self.keys)
        self.rows = torch.arange(users)  # place of each active user; those who have ended are swept out now and then
        self.time = 0

    def push(self, key: torch.Tensor, value: torch.Tensor) -> None:
        """Store (n, H, d) of the active users at the next slot."""
        slots = self.keys.shape[2]
        if self.time == slots and slots < WINDOW:
            self.keys, self.values = (torch.cat([x, torch.zeros_like(x)], 2) for x in (self.keys, self.values))
        slot = self.time % self.keys.shape[2]
        self.keys[self.rows, :, slot], self.values[self.rows, :, slot] = key, value
        self.time += 1

    def attend(self, query: torch.Tensor) -> torch.Tensor:
        """(n, H, d) of (n, H, d): what the active users see of their stored rows."""
        filled = min(self.time, self.keys.shape[2])
        spread = query.new_zeros((len(self.keys), *query.shape[1:]))
        spread[self.rows] = query
        seen = F.scaled_dot_product_attention(spread[:, :, None], self.keys[:, :, :filled], self.values[:, :, :filled])
        return seen[self.rows, :, 0]

    def keep(self, index: torch.Tensor) -> Cache:
        """Go on with some of the active users."""
        self.rows = self.rows[index]
        if len(self.rows) < 0.7 * len(self.keys):
            self.keys, self.values, self.rows = self.keys[self.rows], self.values[self.rows], torch.arange(len(self.rows))
        return self


class AttentionLayer(nn.Module):
    """One block: attention, then a feed-forward part, both residual."""

    frequency: torch.Tensor  # (d / 2,)

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.dim = heads, width // heads
        self.norm, self.norm_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.register_buffer("frequency", 1000.0 ** (-torch.arange(self.dim // 2) / (self.dim // 2)), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) -> (B, T, D); row t sees rows 0..t."""
        b, t, width = x.shape
        query, key, value = self.project(self.norm(x)).reshape(b, t, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4)  # (B, H, T, d)
        angle = torch.arange(t)[:, None] * self.frequency                                                             # (T, d / 2)
        seen = F.scaled_dot_product_attention(_turn(query, angle), _turn(key, angle), value, is_causal=True)
        x = x + self.mix(seen.transpose(1, 2).reshape(b, t, width))
        return x + self.down(torch.relu(self.up(self.norm_inner(x))))

    def start(self, users: int) -> Cache:
        """An empty cache."""
        return Cache(users, self.heads, self.dim)

    def step(self, x: torch.Tensor, state: Cache) -> tuple[torch.Tensor, Cache]:
        """(n, D) -> (n, D), one row of each user; the same as the last row of `forward` over what was pushed so far."""
        query, key, value = self.project(self.norm(x)).reshape(len(x), 3, self.heads, self.dim).unbind(1)  # (n, H, d)
        angle = state.time * self.frequency
        state.push(_turn(key, angle), value)
        x = x + self.mix(state.attend(_turn(query, angle)).reshape(len(x), -1))
        return x + self.down(torch.relu(self.up(self.norm_inner(x)))), state


def _turn(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (x_i, x_{i + d/2}) of (..., d) by `angle` (..., d / 2)."""
    left, right = x.chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([left * cos - right * sin, left * sin + right * cos], -1)
