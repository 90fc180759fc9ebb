"""The LSTM mixed with counts, aggregates, entity risk and trees; see `nn/hybrid.py` for how."""

from __future__ import annotations

from baselines.models.sequence.lstm import LSTM
from baselines.nn.hybrid import Hybrid


class LSTMHybrid(Hybrid, LSTM):
    """An LSTM that begins from counts or a logistic regression, and is mixed with them."""
