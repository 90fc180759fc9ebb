"""Causal Transformer: SASRec (Kang and McAuley 2018, arXiv:1808.09781) with pre-norm, rotary
positions and softmax cross-entropy.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from baselines.nn.backbones import Attention
from baselines.nn.neural import NeuralModel


class Transformer(NeuralModel):
    """Self-attention over the events before. `heads`: attention heads; see `NeuralModel` for the
    rest.
    """

    def __init__(self, *, heads: int = 2, layers: int = 1, **settings: Any) -> None:
        super().__init__(layers=layers, **settings)
        self.heads = heads

    def backbone(self) -> nn.Module:
        """Causal blocks."""
        return Attention(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            causal=True,
            max_length=self.length + 1,
        )
