"""BERT-style model: masked rows told from both sides (BERT4Rec, Sun et al. 2019, arXiv:1904.06690).

A next item is a masked row at the end that knows only its time; for a label, masked events come
first, then fine-tuning.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from baselines.nn.backbones import Attention
from baselines.nn.neural import NeuralModel


class Bert(NeuralModel):
    """Self-attention both ways. `heads`: attention heads; see `NeuralModel` for the rest.

    A step learns from the masked rows alone, so in the time of a causal model's 250 steps it makes
    400.
    """

    bidirectional: ClassVar[bool] = True

    def __init__(
        self, *, heads: int = 2, layers: int = 1, max_steps: int = 400, **settings: Any
    ) -> None:
        super().__init__(layers=layers, max_steps=max_steps, **settings)
        self.heads = heads

    def backbone(self) -> nn.Module:
        """Blocks that look both ways."""
        return Attention(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            causal=False,
            max_length=self.length + 1,
        )
