"""Distances between two samples: Jensen-Shannon, Kolmogorov-Smirnov, and the area under the ROC.

SciPy and scikit-learn compute them. What is added here is the answer for empty samples and missing
values, on which the libraries raise or return NaN. Both libraries are slow to import, so each
function imports what it needs.
"""

from __future__ import annotations

import numpy as np


def js(p: np.ndarray, q: np.ndarray) -> float:
    """Return the Jensen-Shannon divergence of two count vectors (k,), in bits (0..1).

    This is the square of SciPy's Jensen-Shannon distance to base 2 (Lin 1991,
    doi:10.1109/18.61115). An empty vector is at distance 1 from any other, and at 0 from an empty
    one.
    """
    from scipy.spatial.distance import jensenshannon

    empty_p, empty_q = np.sum(p) == 0, np.sum(q) == 0
    if empty_p or empty_q:
        return float(empty_p != empty_q)
    p, q = np.asarray(p) / np.sum(p), np.asarray(q) / np.sum(q)
    with np.errstate(invalid="ignore"):
        distance = float(jensenshannon(p, q, base=2))
    # Equal vectors can sum to a tiny number below 0, of which SciPy then takes the root.
    return 0.0 if np.isnan(distance) else min(distance**2, 1.0)


def ks(x: np.ndarray, y: np.ndarray) -> float:
    """Return the two-sample Kolmogorov-Smirnov statistic (0..1) of `x` (n,) and `y` (m,).

    NaN entries are left out. The result is NaN where both samples are empty, and 1 where one is.
    """
    from scipy.stats import ks_2samp

    x, y = np.asarray(x), np.asarray(y)
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    if len(x) == 0 or len(y) == 0:
        return float("nan") if len(x) == len(y) else 1.0
    with np.errstate(divide="ignore"):  # in the p-value of single values, which is not used
        return float(ks_2samp(x, y, method="asymp").statistic)


def total_variation(x: np.ndarray, y: np.ndarray) -> float:
    """Return the total variation distance (0..1) of two samples of codes (n,), (m,), all >= 0."""
    width = int(max(x.max(), y.max())) + 1
    shares = [np.bincount(codes, minlength=width) / len(codes) for codes in (x, y)]
    return float(np.abs(shares[0] - shares[1]).sum()) / 2


def auc_score(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return P(positive > negative) + P(equal) / 2 of two samples of finite scores (n,), (m,)."""
    from sklearn.metrics import roc_auc_score

    is_positive = np.repeat([1, 0], [len(positive), len(negative)])
    return float(roc_auc_score(is_positive, np.concatenate([positive, negative])))
