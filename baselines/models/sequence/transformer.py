"""Causal Transformer: SASRec (Kang and McAuley 2018, arXiv:1808.09781), modernised.

It has pre-norm blocks, rotary positions and softmax cross-entropy.
"""

from __future__ import annotations

from baselines.nn.attention_model import AttentionModel


class Transformer(AttentionModel):
    """Self-attention over earlier events."""
