"""LSTM over events: GRU4Rec's lineage (Hidasi et al. 2016, arXiv:1511.06939) with shifted targets
at every row.
"""

from __future__ import annotations

from torch import nn

from baselines.nn.backbones import Recurrent
from baselines.nn.neural import NeuralModel


class LSTM(NeuralModel):
    """Recurrent model with a carried state."""

    def backbone(self) -> nn.Module:
        """LSTM layers."""
        return Recurrent(self.dim, layers=self.layers, dropout=self.dropout, cell="lstm")
