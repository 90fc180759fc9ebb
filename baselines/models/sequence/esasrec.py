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

from baselines.nn.attention_model import AttentionModel
from baselines.nn.backbones import rotary_attention
from baselines.nn.dropout import Dropout
from eventlog._runtime.settings import Range


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
        qkv = self.qkv(self.norm1(x))
        y = self.out(rotary_attention(qkv, self.heads, cos, sin, mask, causal=self.causal))
        x = x + torch.sigmoid(self.gate1(x)) * self.dropout(y)
        value, gate = self.up(self.norm2(x)).chunk(2, dim=-1)  # (b, t, 4 dim) each
        y = self.down(self.dropout(F.silu(gate) * value))
        return x + torch.sigmoid(self.gate2(x)) * self.dropout(y)


class ESASRec(AttentionModel):
    """Causal self-attention in gated layers, trained by a sampled softmax.

    Args:
        layers, full_softmax, settings: see `AttentionModel` and `NeuralModel`. The softmax is
            sampled whatever the catalogue's size.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item"})
    block: ClassVar[type[nn.Module]] = LiGRBlock

    def __init__(
        self,
        *,
        layers: Annotated[int, Range(1, 64)] = 2,
        full_softmax: Annotated[int, Range(0)] = 0,
        **settings: Any,
    ) -> None:
        super().__init__(layers=layers, full_softmax=full_softmax, **settings)
