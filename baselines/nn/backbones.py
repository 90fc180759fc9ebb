"""Backbones (b, t, dim) -> (b, t, dim): recurrent, causal Transformer, two-way Transformer.

They follow GRU4Rec (arXiv:1511.06939), SASRec (arXiv:1808.09781, here with pre-norm) and BERT4Rec
(arXiv:1904.06690). Padding is on the right, so a causal backbone needs no mask: no real position
sees padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.nn.dropout import Dropout
from eventlog._runtime.errors import InputError

CONV_DECAY = 0.8  # initial weights of ShortConv fall by this factor per row
ROTARY_BASE = 100.0  # windows are short, so the slowest turn takes about 600 rows


class ShortConv(nn.Module):
    """Adds to each row a weighted sum of the rows around it, with weights for each channel.

    A short convolution before the backbone, as in Mamba (arXiv:2312.00752), makes adjacent rows
    available from the first step of training. A masked row, which has no content, begins as the
    decayed average of its surroundings.

    Args:
        dim: channels.
        causal: only earlier rows count.
        reach: rows on each side.
        strength: initial weight of the adjacent rows; it falls by CONV_DECAY per row.
    """

    def __init__(self, dim: int, *, causal: bool, reach: int = 4, strength: float = 0.5) -> None:
        super().__init__()
        distance = torch.arange(reach, -1 if causal else -reach - 1, -1).abs()
        weight = torch.where(
            distance > 0, strength * CONV_DECAY ** (distance - 1.0), torch.zeros(())
        )
        self.weight = nn.Parameter(weight[:, None].repeat(1, dim))  # (kernel, dim)
        self.left, self.right = reach, 0 if causal else reach

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        """Return (b, t, dim); padding counts as zeros on both sides."""
        t = x.shape[1]
        real = torch.arange(t, device=x.device) < length[:, None]
        near = F.pad(x * real[..., None], (0, 0, self.left, self.right))  # (b, left + t + right, d)
        for k, weight in enumerate(self.weight):  # shifts are many times faster than `conv1d`
            x = x + near[:, k : k + t] * weight
        return x


class Recurrent(nn.Module):
    """LSTM or GRU layers with residual connections and dropout."""

    def __init__(
        self, dim: int, *, layers: int, dropout: float, cell: Literal["lstm", "gru"]
    ) -> None:
        super().__init__()
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        cells = [kind(dim, dim, batch_first=True) for _ in range(layers)]
        self.near = ShortConv(dim, causal=True)
        self.layers, self.dropout = nn.ModuleList(cells), Dropout(dropout)
        for layer in cells:
            _, recurrent, _, bias = layer.all_weights[0]
            nn.init.orthogonal_(recurrent)
            if cell == "lstm":
                with torch.no_grad():
                    bias[dim : 2 * dim] = 1.0  # open forget gates: Jozefowicz et al. 2015

    def forward(self, x: Tensor, length: Tensor, ms: Tensor) -> Tensor:
        """Return (b, t, dim) of x (b, t, dim), the real rows (b,) and their times (b, t)."""
        x = self.near(x, length)
        for layer in self.layers:
            x = x + self.dropout(layer(x)[0])
        return x


class Attention(nn.Module):
    """Pre-norm Transformer blocks with rotary positions (arXiv:2104.09864).

    Only distances between rows matter, so a window may start anywhere.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        dim: int,
        *,
        layers: int,
        heads: int,
        dropout: float,
        causal: bool,
        max_length: int,
        block: Callable[[int, int, float, bool], nn.Module] | None = None,
    ) -> None:
        """Stack `layers` blocks, made by `block(dim, heads, dropout, causal)` or `Block`."""
        super().__init__()
        make = Block if block is None else block
        self.near = ShortConv(dim, causal=causal)
        self.blocks = nn.ModuleList(make(dim, heads, dropout, causal) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.causal = causal
        # (max_length, dim / heads / 2)
        angle = torch.arange(max_length)[:, None] * self.frequency(dim // heads)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    @staticmethod
    def frequency(size: int) -> Tensor:
        """Return the rotation of each pair of channels, (size / 2,) radians per row."""
        return ROTARY_BASE ** -(torch.arange(0, size, 2) / size)

    def real_keys(self, length: Tensor, t: int) -> Tensor | None:
        """Return which of `t` rows are real, (b, 1, 1, t); None where causality sees to it."""
        if self.causal:
            return None
        return (torch.arange(t, device=length.device) < length[:, None])[:, None, None]

    def forward(self, x: Tensor, length: Tensor, ms: Tensor) -> Tensor:
        """Return (b, t, dim) of x (b, t, dim), the real rows (b,) and their times (b, t)."""
        t = x.shape[1]
        mask = self.real_keys(length, t)
        x = self.near(x, length)
        for block in self.blocks:
            x = block(x, self.cos[:t], self.sin[:t], mask)
        return self.norm(x)

    def at(self, x: Tensor, length: Tensor, position: Tensor) -> Tensor:
        """Return what `forward` does at one position of each window, (b,): (b, dim).

        The last layer is computed there alone, as far as nothing else needs it.
        """
        t, row = x.shape[1], torch.arange(len(x), device=x.device)
        cos, sin = self.cos[:t], self.sin[:t]
        mask = self.real_keys(length, t)
        x = self.near(x, length)
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, cos, sin, mask)
        if not isinstance(last, Block):
            return self.norm(last(x, cos, sin, mask)[row, position])
        seen = position if self.causal else length - 1
        return self.norm(last.at(x, cos, sin, position, seen))


class Block(nn.Module):
    """A pre-norm block: x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, dim: int, heads: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)
        self.feed = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), Dropout(dropout), nn.Linear(4 * dim, dim)
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """Return (b, t, dim).

        Args:
            x: (b, t, dim).
            cos, sin: (t, dim / heads / 2) of the positions' angles.
            mask: (b, 1, 1, t) bool, the visible keys; None: all, for a causal block all earlier.
        """
        qkv = self.qkv(self.norm1(x))
        y = rotary_attention(qkv, self.heads, cos, sin, mask, causal=self.causal)
        return self._forward_of(x, y)

    def at(self, x: Tensor, cos: Tensor, sin: Tensor, position: Tensor, seen: Tensor) -> Tensor:
        """Return (b, dim), what `forward` does at one position (b,) of each window.

        `seen` (b,) is the last position that it sees.
        """
        b, t, d = x.shape
        row, visible = torch.arange(b, device=x.device), torch.arange(t, device=x.device)
        normed = self.norm1(x)
        split = lambda y: y.view(b, -1, self.heads, d // self.heads).transpose(1, 2)
        # (b, heads, 1, d / heads), and t of them
        q = split(F.linear(normed[row, position], self.qkv.weight[:d]))
        k, v = map(split, F.linear(normed, self.qkv.weight[d:]).chunk(2, dim=-1))
        q = rotate(q, cos[position][:, None, None], sin[position][:, None, None])
        mask = (visible <= seen[:, None])[:, None, None]
        y = F.scaled_dot_product_attention(q, rotate(k, cos, sin), v, attn_mask=mask)
        return self._forward_of(x[row, position], y.reshape(b, d))

    def _forward_of(self, x: Tensor, y: Tensor) -> Tensor:
        """Add to rows x (..., dim) what attention read, y, and what the feed-forward part makes."""
        x = x + self.dropout(self.out(y))
        return x + self.dropout(self.feed(self.norm2(x)))


def rotary_attention(
    qkv: Tensor, heads: int, cos: Tensor, sin: Tensor, mask: Tensor | None, *, causal: bool
) -> Tensor:
    """Return what softmax attention with rotary positions reads, (b, t, dim).

    `qkv` is (b, t, 3 dim): queries, keys and values; the rest is as for `Block`.
    """
    b, t, d = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    split = qkv.view(b, t, 3, heads, d // heads)
    # Both at once, (b, t, 2, heads, d / heads), while they lie side by side.
    turned = rotate(split[:, :, :2], cos[:, None, None], sin[:, None, None])
    # (b, heads, t, d / heads)
    q, k, v = (y.transpose(1, 2) for y in (*turned.unbind(2), split[:, :, 2]))
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    return y.transpose(1, 2).reshape(b, t, d)


def states_at(
    backbone: nn.Module, x: Tensor, length: Tensor, ms: Tensor, position: Tensor
) -> Tensor:
    """Return a backbone's states at one position (b,) of each window, (b, dim)."""
    if isinstance(backbone, Attention):
        return backbone.at(x, length, position)
    states: Tensor = backbone(x, length, ms)
    return states[torch.arange(len(x), device=x.device), position]


def check_heads(dim: int, heads: int) -> None:
    """Raise InputError unless rotary attention can divide `dim` channels among `heads` heads."""
    if dim % (2 * heads):
        raise InputError(
            f"dim is {dim} and heads is {heads}; dim must be a multiple of {2 * heads}, twice the "
            "number of heads."
        )


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of channels of x (..., d) by angles (..., d / 2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
