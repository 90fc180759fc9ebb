"""What sequence models of rotary attention share: heads, and layers that look back or both ways."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from torch import nn

from baselines.nn.backbones import Attention, Block, check_heads
from baselines.nn.neural import NeuralModel
from eventlog._runtime.settings import Range


class AttentionModel(NeuralModel):
    """A sequence model whose backbone is self-attention; causal unless it is `bidirectional`.

    Args:
        heads: attention heads; `dim` must be a multiple of twice their number.
        layers, settings: see `NeuralModel`.
    """

    block: ClassVar[type[nn.Module]] = Block

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
        """Return the layers."""
        return Attention(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            dropout=self.dropout,
            causal=not self.bidirectional,
            max_length=self.window + 1,
            block=self.block,
        )
