"""Gradient-boosted trees that see the order of events: what an expert tries before a network.

Beside the aggregates of `lightgbm` they get the last events with their gaps, pairs of roles, trends
and the course of the current session; see `baselines.tabular.order_features`.
"""

from __future__ import annotations

from baselines.models.lightgbm import LightGBM
from baselines.tabular.order_features import OrderFeatures


class LightGBMOrder(LightGBM):
    """LightGBM on aggregates and on features of order; see `LightGBM` for the settings."""

    features = OrderFeatures
