"""BERT-style model: predicts masked rows from both sides (BERT4Rec, arXiv:1904.06690).

A next item is a masked row at the end, of which only the time is known. Before labels are learnt
it can be pre-trained on masked events (`pretrain`).
"""

from __future__ import annotations

from typing import ClassVar

from baselines.nn.attention_model import AttentionModel


class Bert(AttentionModel):
    """Self-attention in both directions."""

    bidirectional: ClassVar[bool] = True
