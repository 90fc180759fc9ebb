"""The labels of sessions."""

from __future__ import annotations

import torch

from generators.sequences import feature_layout as layout


def current_session_label(drawn: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Return `drawn` (...,) where it is not -1, and otherwise the session label of the last row.

    `features` (..., F) are those before the row.
    """
    last = (features[..., layout.LAST_SESSION_LABEL] - 1).clamp(min=0)
    return torch.where(drawn >= 0, drawn, last)
