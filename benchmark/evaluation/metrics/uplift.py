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
    got, bought = treated[order].astype(np.float64), label[order].astype(np.float64)
    true = None if true_effect is None else true_effect[order]

    def measure(ranked: np.ndarray) -> dict[str, np.ndarray]:
        """Measure under weights (b, n) in the order of the scores."""

        def above(amounts: np.ndarray) -> np.ndarray:
            """Return the sums at or above each threshold, (b, groups)."""
            sums = np.cumsum(amounts, axis=1)
            return sums if len(last) == sums.shape[1] else sums[:, last]

        treated_weight = ranked * got
        total, n_t = above(ranked), above(treated_weight)
        y, y_t = above(ranked * bought), above(treated_weight * bought)
        # Whole numbers, so the differences are exact.
        four = {"n_t": n_t, "n_c": total - n_t, "y_t": y_t, "y_c": y - y_t}
        found = {"qini": qini(**four), "auuc": auuc(**four)}
        if true is not None:
            best = among_best(total, above(ranked * true), UPLIFT_SHARE) / UPLIFT_SHARE
            found[TRUE_UPLIFT] = ratio(best, total[:, -1])
        return found

    values = {name: float(v[0]) for name, v in measure(np.ones((1, len(label)))).items()}
    index = np.unique(user, return_inverse=True)[1][order]
    blocks = [measure(w[:, index]) for w in resamples(int(index.max()) + 1, columns=len(label))]
    return Measured(values, {name: np.concatenate([b[name] for b in blocks]) for name in values})


def qini(n_t: np.ndarray, n_c: np.ndarray, y_t: np.ndarray, y_c: np.ndarray) -> np.ndarray:
    """Return the (b,) area between the Qini curve and the straight line to its end.

    The curve at a threshold is Y_t - Y_c N_t / N_c, the outcomes that treatment brought among those
    at or above it, per treated user (Radcliffe 2007); a constant gets 0. Each input is (b, groups):
    treated and controls at or above each threshold, and those of them with an outcome of 1.
    """
    curve = ratio(y_t - ratio(y_c * n_t, n_c, empty=0.0), n_t[:, -1:])
    return _area(n_t + n_c, curve) - curve[:, -1] / 2


def auuc(n_t: np.ndarray, n_c: np.ndarray, y_t: np.ndarray, y_c: np.ndarray) -> np.ndarray:
    """Return the (b,) area under the uplift curve x (Y_t / N_t - Y_c / N_c).

    x is the share at or above a threshold (Rzepakowski and Jaroszewicz 2012). A constant gets half
    of the average effect. Inputs are those of `qini`.
    """
    share = ratio(n_t + n_c, (n_t + n_c)[:, -1:])
    return _area(n_t + n_c, share * np.nan_to_num(ratio(y_t, n_t) - ratio(y_c, n_c)))


def _area(total: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the (b,) area under `curve` (b, groups) over the share of `total` (b, groups).

    The curve runs in straight lines from (0, 0).
    """
    zero = np.zeros((len(curve), 1))
    x = ratio(np.concatenate([zero, total], axis=1), total[:, -1:])
    return np.asarray(np.trapezoid(np.concatenate([zero, curve], axis=1), x, axis=1))
