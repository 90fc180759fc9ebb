"""Causal Transformer: SASRec (Kang and McAuley 2018, arXiv:1808.09781), modernised.

It has pre-norm blocks, rotary positions and softmax cross-entropy.
"""

from __future__ import annotations

from typing import Annotated, Any

from torch import nn

from baselines.nn.backbones import Attention, check_heads
from baselines.nn.neural import NeuralModel
from eventlog._runtime.settings import Range


class Transformer(NeuralModel):
    """Self-attention over earlier events.

    Args:
        heads: attention heads; `dim` must be a multiple of twice their number.
        layers, settings: see `NeuralModel`.
    """

    def __init__(
        self,
        *,
        heads: Annotated[int, Range(1, 256)] = 2,
        layers: Annotated[int, Range(1, 64)] = 1,
        **settings: Any,
    ) -> None:
        super().__init__(layers=layers, **settings)
        check_heads(self.dim, heads)
        self.heads = heads

    def backbone(self) -> nn.Module:
        """Return causal blocks."""
        return Attention(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            causal=True,
            max_length=self.window + 1,
        )
