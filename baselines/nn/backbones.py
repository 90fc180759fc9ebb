"""Backbones: (b, t, dim) -> (b, t, dim). Recurrent (GRU4Rec's lineage, arXiv:1511.06939), causal
Transformer (SASRec's, arXiv:1808.09781, with pre-norm), and the same blocks looking both ways
(BERT4Rec's, arXiv:1904.06690).

Padding is on the right, so a causal backbone needs no mask at all: a real position never sees
padding.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ShortConv(nn.Module):
    """x + a weighted sum of the rows around each row, weights per channel, which begin as
    `strength` .8^distance.

    A short convolution before the backbone (as in Mamba, arXiv:2312.00752): what lies next to a row
    is at hand from the first step, and so a masked row, which has no content, begins as the decayed
    average of what surrounds it.
    """

    def __init__(self, dim: int, *, causal: bool, reach: int = 4, strength: float = 0.5) -> None:
        super().__init__()
        distance = torch.arange(reach, -1 if causal else -reach - 1, -1).abs()
        weight = torch.where(distance > 0, strength * 0.8 ** (distance - 1.0), torch.zeros(()))
        self.weight = nn.Parameter(weight.repeat(dim, 1, 1))  # (dim, 1, kernel)
        self.left, self.right = reach, 0 if causal else reach

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        """(b, t, dim); padding counts as zeros on both sides."""
        real = torch.arange(x.shape[1], device=x.device) < length[:, None]
        # (b, dim, left + t + right)
        near = F.pad((x * real[..., None]).transpose(1, 2), (self.left, self.right))
        return x + F.conv1d(near, self.weight, groups=x.shape[-1]).transpose(1, 2)


class Recurrent(nn.Module):
    """One LSTM or GRU layer after another, dropout between them."""

    def __init__(
        self, dim: int, *, layers: int, dropout: float, cell: Literal["lstm", "gru"]
    ) -> None:
        super().__init__()
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        cells = [kind(dim, dim, batch_first=True) for _ in range(layers)]
        self.near = ShortConv(dim, causal=True)
        self.layers, self.dropout = nn.ModuleList(cells), nn.Dropout(dropout)
        for layer in cells:
            _, recurrent, _, bias = layer.all_weights[0]
            nn.init.orthogonal_(recurrent)
            if cell == "lstm":
                with torch.no_grad():
                    bias[dim : 2 * dim] = 1.0  # the forget gate opens first: Jozefowicz et al. 2015

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        """(b, t, dim); `length` is not needed, padding comes last."""
        x = self.near(x, length)
        for layer in self.layers:
            x = x + self.dropout(layer(x)[0])
        return x


class Attention(nn.Module):
    """Pre-norm Transformer blocks with rotary positions (arXiv:2104.09864): only distances count,
    so a window may start anywhere.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self, dim: int, *, layers: int, heads: int, dropout: float, causal: bool, max_length: int
    ) -> None:
        super().__init__()
        self.near = ShortConv(dim, causal=causal)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, causal) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.causal = causal
        # (max_length, dim / heads / 2)
        angle = torch.arange(max_length)[:, None] * self.frequency(dim // heads)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    @staticmethod
    def frequency(size: int) -> Tensor:
        """(size / 2,) radians a row; windows are short, so the slowest turn takes about 600
        rows.
        """
        return 100.0 ** -(torch.arange(0, size, 2) / size)

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        """(b, t, dim) of x (b, t, dim) and the number of real positions (b,)."""
        t = x.shape[1]
        mask = None
        if not self.causal:
            # (b, 1, 1, t): keys that are real
            mask = (torch.arange(t, device=x.device) < length[:, None])[:, None, None]
        x = self.near(x, length)
        for block in self.blocks:
            x = block(x, self.cos[:t], self.sin[:t], mask)
        return self.norm(x)


class Block(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x)."""

    def __init__(self, dim: int, heads: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
        self.feed = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """(b, t, dim); `mask` (b, 1, 1, t) bool says which keys may be seen, None = all before
        (causal) or all.
        """
        b, t, d = x.shape
        # (b, heads, t, d / heads)
        q, k, v = (
            self.qkv(self.norm1(x))
            .view(b, t, 3, self.heads, d // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        y = F.scaled_dot_product_attention(
            rotate(q, cos, sin), rotate(k, cos, sin), v, attn_mask=mask, is_causal=self.causal
        )
        x = x + self.dropout(self.out(y.transpose(1, 2).reshape(b, t, d)))
        return x + self.dropout(self.feed(self.norm2(x)))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of (b, heads, t, d) by the angles (t, d / 2) of their positions."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
