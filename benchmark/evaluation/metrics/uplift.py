"""Metrics of the effect of a treatment."""

from __future__ import annotations

import numpy as np

from benchmark.evaluation.metrics.resampling import Measured, among_best, ratio, resamples

UPLIFT_SHARE = 0.20  # of the customers who could get a coupon, those that a shop would send one
TRUE_UPLIFT = "true_uplift@20%"


def uplift_metrics(
    effect: np.ndarray,
    label: np.ndarray,
    treated: np.ndarray,
    user: np.ndarray,
    *,
    true_effect: np.ndarray | None = None,
) -> Measured:
    """Return qini, auuc and, where it is known, the true effect among the best-ranked users.

    Args:
        effect: (n,) what a model says.
        label: (n,) 0/1, the outcome.
        treated: (n,) 0/1; treatment must be randomised.
        user: (n,) whose question each is.
        true_effect: (n,); its mean is taken over the best-ranked UPLIFT_SHARE.
    """
    order = np.argsort(-effect, kind="stable")
    last = np.flatnonzero(np.append(np.diff(effect[order]) != 0, True))
    parts = {
        "n_t": treated,
        "n_c": 1 - treated,
        "y_t": treated * label,
        "y_c": (1 - treated) * label,
    }
    if true_effect is not None:
        parts["true"] = true_effect

    def measure(w: np.ndarray) -> dict[str, np.ndarray]:
        # (b, groups)
        sums = {
            name: np.cumsum(w[:, order] * value[order], axis=1)[:, last]
            for name, value in parts.items()
        }
        found = {"qini": qini(**_four(sums)), "auuc": auuc(**_four(sums))}
        if true_effect is not None:
            found[TRUE_UPLIFT] = (
                among_best(sums["n_t"] + sums["n_c"], sums["true"], UPLIFT_SHARE) / UPLIFT_SHARE
            )
            found[TRUE_UPLIFT] = ratio(found[TRUE_UPLIFT], (sums["n_t"] + sums["n_c"])[:, -1])
        return found

    values = {name: float(v[0]) for name, v in measure(np.ones((1, len(label)))).items()}
    index = np.unique(user, return_inverse=True)[1]
    blocks = [measure(w[:, index]) for w in resamples(int(index.max()) + 1, columns=len(label))]
    return Measured(values, {name: np.concatenate([b[name] for b in blocks]) for name in values})


def qini(n_t: np.ndarray, n_c: np.ndarray, y_t: np.ndarray, y_c: np.ndarray) -> np.ndarray:
    """Return the (b,) area between the Qini curve and the straight line to its end.

    The curve at a threshold is Y_t - Y_c N_t / N_c, the outcomes that treatment brought among those
    at or above it, per treated user (Radcliffe 2007); a constant gets 0. Each input is (b, groups):
    treated and controls at or above each threshold, and those of them with an outcome of 1.
    """
    curve = ratio(y_t - np.nan_to_num(ratio(y_c * n_t, n_c)), n_t[:, -1:])
    return _area(n_t + n_c, curve) - curve[:, -1] / 2


def auuc(n_t: np.ndarray, n_c: np.ndarray, y_t: np.ndarray, y_c: np.ndarray) -> np.ndarray:
    """Return the (b,) area under the uplift curve x (Y_t / N_t - Y_c / N_c).

    x is the share at or above a threshold (Rzepakowski and Jaroszewicz 2012). A constant gets half
    of the average effect. Inputs are those of `qini`.
    """
    share = ratio(n_t + n_c, (n_t + n_c)[:, -1:])
    return _area(n_t + n_c, share * np.nan_to_num(ratio(y_t, n_t) - ratio(y_c, n_c)))


def _four(sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: sums[name] for name in ("n_t", "n_c", "y_t", "y_c")}


def _area(total: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the (b,) area under `curve` (b, groups) over the share of `total` (b, groups).

    The curve runs in straight lines from (0, 0).
    """
    zero = np.zeros((len(curve), 1))
    x = ratio(np.concatenate([zero, total], axis=1), total[:, -1:])
    return np.asarray(np.trapezoid(np.concatenate([zero, curve], axis=1), x, axis=1))
