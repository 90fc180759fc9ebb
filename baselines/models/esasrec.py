"""eSASRec: LiGR Transformer layers and a sampled softmax (Tikhonovich et al. 2025).

arXiv:2508.06450. Its three parts are SASRec's shifted-sequence objective, the gated layers of LiGR
(Borisyuk et al. 2025, arXiv:2502.03417) and the sampled softmax. Positions are rotary, and the
question's time is used, as in our other sequence models.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.nn.backbones import Attention, check_heads, rotate
from baselines.nn.dropout import Dropout
from baselines.nn.neural import NeuralModel
from eventlog._runtime.settings import Range


class ESASRec(NeuralModel):
    """Causal self-attention in gated layers, trained by a sampled softmax.

    Args:
        heads: attention heads; `dim` must be a multiple of twice their number.
        layers, full_softmax, settings: see `NeuralModel`. The softmax is sampled whatever the
            catalogue's size.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})

    def __init__(
        self,
        *,
        heads: Annotated[int, Range(1, 256)] = 2,
        layers: Annotated[int, Range(1, 64)] = 2,
        full_softmax: Annotated[int, Range(0)] = 0,
        **settings: Any,
    ) -> None:
        super().__init__(layers=layers, full_softmax=full_softmax, **settings)
        check_heads(self.dim, heads)
        self.heads = heads

    def backbone(self) -> nn.Module:
        """Return causal LiGR layers."""
        return Attention(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            causal=True,
            max_length=self.window + 1,
            block=LiGRBlock,
        )


class LiGRBlock(nn.Module):
    """x + g1(x) attention(norm(x)), then x + g2(x) swiglu(norm(x)), with gates g = sigmoid(W x)."""

    def __init__(self, dim: int, heads: int, dropout: float, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.gate1, self.gate2 = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = (
            nn.Linear(dim, 8 * dim, bias=False),
            nn.Linear(4 * dim, dim, bias=False),
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """Return (b, t, dim); the arguments are those of `backbones.Block`."""
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
        y = self.out(y.transpose(1, 2).reshape(b, t, d))
        x = x + torch.sigmoid(self.gate1(x)) * self.dropout(y)
        value, gate = self.up(self.norm2(x)).chunk(2, dim=-1)  # (b, t, 4 dim) each
        y = self.down(self.dropout(F.silu(gate) * value))
        return x + torch.sigmoid(self.gate2(x)) * self.dropout(y)
