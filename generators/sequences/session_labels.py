"""The labels of sessions."""

from __future__ import annotations

import numpy as np
import torch

from generators.sequences import feature_layout as layout


def current_session_label(drawn: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Return `drawn` (...,) where it is not -1, and otherwise the session label of the last row.

    `features` (..., F) are those before the row.
    """
    last = (features[..., layout.LAST_SESSION_LABEL] - 1).clamp(min=0)
    return torch.where(drawn >= 0, drawn, last)


def label_pending(begins: np.ndarray, label: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return whether rows (n,) are still to carry the `label` of their session, (n,) bool.

    `begins` (n,) are rows that begin one; `before` (n,) is the feature that says so of the session
    of the row before, `Counter.LABEL_PENDING`.
    """
    found: np.ndarray = np.where(begins, label, before) > 0
    return found
