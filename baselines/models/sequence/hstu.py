"""HSTU: attention without softmax, with a bias of relative position and time (Zhai et al. 2024).

Actions Speak Louder than Words, arXiv:2402.17152. Its gated, pointwise attention keeps how strong a
preference is, where a softmax keeps only shares; elapsed time enters each pair of rows.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.nn.backbones import ShortConv
from baselines.nn.dropout import Dropout
from baselines.nn.embedding import AGE_BINS, age_bins
from baselines.nn.neural import NeuralModel
from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import Range


class HSTU(NeuralModel):
    """Causal HSTU layers.

    Args:
        heads: attention heads; `dim` must be a multiple of their number.
        layers, settings: see `NeuralModel`.
    """

    def __init__(
        self,
        *,
        heads: Annotated[int, Range(1, 256)] = 2,
        layers: Annotated[int, Range(1, 64)] = 2,
        **settings: Any,
    ) -> None:
        super().__init__(layers=layers, **settings)
        if self.dim % heads:
            raise InputError(
                f"dim is {self.dim} and heads is {heads}; dim must be a multiple of heads."
            )
        self.heads = heads

    def backbone(self) -> nn.Module:
        """Return HSTU layers behind a short convolution."""
        return HSTULayers(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            max_length=self.window + 1,
        )


class HSTULayers(nn.Module):
    """A stack of `HSTUBlock` and a final norm."""

    def __init__(
        self, dim: int, *, layers: int, heads: int, dropout: float, max_length: int
    ) -> None:
        super().__init__()
        self.near = ShortConv(dim, causal=True)
        self.blocks = nn.ModuleList(
            HSTUBlock(dim, heads, dropout, max_length) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, length: Tensor, ms: Tensor) -> Tensor:
        """Return (b, t, dim) of x (b, t, dim), the real rows (b,) and their times (b, t)."""
        gap = age_bins(ms[:, :, None] - ms[:, None])  # (b, t, t) from a row to an earlier one
        x = self.near(x, length)
        for block in self.blocks:
            x = block(x, gap)
        normed: Tensor = self.norm(x)
        return normed


class HSTUBlock(nn.Module):
    """y = W2(norm(A V) * U), A = silu(Q K^T + bias) / t, where [U V Q K] = silu(W1 norm(x)).

    The bias is the sum of one for the distance in rows and one for the bin of the elapsed time.
    """

    causal: Tensor
    distance: Tensor

    def __init__(self, dim: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.inner_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.uvqk, self.out = nn.Linear(dim, 4 * dim), nn.Linear(dim, dim)
        self.by_distance = nn.Parameter(torch.zeros(max_length))
        self.by_time = nn.Parameter(torch.zeros(AGE_BINS))
        self.dropout = Dropout(dropout)
        row = torch.arange(max_length)
        distance = row[:, None] - row
        self.register_buffer("causal", distance >= 0, persistent=False)
        self.register_buffer("distance", distance.clamp_min(0), persistent=False)

    def forward(self, x: Tensor, gap: Tensor) -> Tensor:
        """Return (b, t, dim) of x (b, t, dim) and bins of elapsed time (b, t, t)."""
        b, t, d = x.shape
        u, v, q, k = F.silu(self.uvqk(self.norm(x))).chunk(4, dim=-1)  # (b, t, dim) each
        split = lambda y: y.view(b, t, self.heads, d // self.heads).transpose(1, 2)
        bias = self.by_distance[self.distance[:t, :t]] + self.by_time[gap]  # (b, t, t)
        weight = F.silu(split(q) @ split(k).transpose(-1, -2) + bias[:, None])  # (b, heads, t, t)
        # Over the rows seen so far, so that neither padding nor the window's length matters.
        seen = torch.arange(1, t + 1, device=x.device)[:, None]
        weight = (weight / seen).masked_fill(~self.causal[:t, :t], 0.0)
        y = (weight @ split(v)).transpose(1, 2).reshape(b, t, d)
        return x + self.dropout(self.out(self.inner_norm(y) * u))
