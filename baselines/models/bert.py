"""BERT-style model: predicts masked rows from both sides (BERT4Rec, arXiv:1904.06690).

A next item is a masked row at the end, of which only the time is known. Labels are learnt after
pre-training on masked events.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from torch import nn

from baselines.nn.backbones import Attention, check_heads
from baselines.nn.neural import NeuralModel
from eventlog._runtime.settings import Range


class Bert(NeuralModel):
    """Self-attention in both directions.

    Args:
        heads: attention heads; `dim` must be a multiple of twice their number.
        layers, settings: see `NeuralModel`.
    """

    bidirectional: ClassVar[bool] = True

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
        """Return blocks that look both ways."""
        return Attention(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            causal=False,
            max_length=self.window + 1,
        )
