"""The Transformer mixed with counts, aggregates, entity risk and trees; see `nn/hybrid.py`."""

from __future__ import annotations

from baselines.models.sequence.transformer import Transformer
from baselines.nn.hybrid import Hybrid


class TransformerHybrid(Hybrid, Transformer):
    """A Transformer that begins from counts or a logistic regression, and is mixed with them."""
