"""Learn from the offers of a log who is treated, and what users do about an offer.

Both are logistic regressions on what a user did before the offer: of the arm, and of whether the
user buys while the offer is open, given the arm, the past, and how the two go together. The second
one is what the effect of a treatment, and whom it moves, come from.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from generators.codec.codec import Codec
from generators.codec.parts import Responses
from generators.sequences.encode import EncodedSequences
from generators.sequences.offers import N_PAST, QUANTILES

RIDGE, RIDGE_WITH_ARM, RIDGE_OF_GROUP = 1.0, 8.0, 2.0  # half the inverse variances of the weights
STEPS, CLOSE = 40, 1e-7  # of Newton's method at most; change of the weights at which it ends
MOST_LOGIT = 15.0
LOWEST = 0.05  # of the quantiles of rows and time until a purchase


def learn_responses(codec: Codec, steps: EncodedSequences) -> Codec:
    """Return `codec` with what follows from the offers of `steps`; without offers, as it is.

    Under a budget nothing is learnt: arms have the shares that were declared.
    """
    calendar = codec.structure.calendar
    if calendar is None:
        return codec
    share = np.array([c.treated for c in calendar.campaigns])
    arm = np.zeros((len(share), N_PAST))
    arm[:, 0] = logit(share)
    if codec.private:
        return replace(codec, responses=replace(Responses(), arm=arm))
    offers, seen = steps.offers, steps.offers.described[:, 0] > 0
    past = offers.described[seen, 1:]
    campaign, treated = offers.campaign[seen], offers.treated[seen] == 1
    for k, one in enumerate(calendar.campaigns):
        rows = campaign == k
        if not one.randomised and 0 < treated[rows].sum() < rows.sum():
            weights, own = fit_logistic(past[rows], treated[rows].astype(float))
            arm[k] = np.append(own[0], weights)
    buys = offers.buys[seen] == 1
    response = _response(past, campaign, treated, buys, len(share))
    places = np.linspace(LOWEST, 1 - LOWEST, QUANTILES)
    rows, lag = (
        np.quantile(v[seen][buys], places) if buys.any() else np.zeros(QUANTILES)
        for v in (offers.rows.astype(float), offers.lag.astype(float))
    )
    return replace(codec, responses=Responses(arm, response, rows, lag))


def logit(share: np.ndarray) -> np.ndarray:
    """Return the log-odds of shares, within MOST_LOGIT."""
    with np.errstate(divide="ignore"):
        odds: np.ndarray = np.log(share) - np.log1p(-share)
    return odds.clip(-MOST_LOGIT, MOST_LOGIT)


def _response(
    past: np.ndarray, campaign: np.ndarray, treated: np.ndarray, buys: np.ndarray, campaigns: int
) -> np.ndarray:
    """Return the log-odds to buy, (2 * campaigns, N_PAST), by campaign and arm.

    What is described of offers in `past` (m, N_PAST - 1) counts alike in all campaigns.
    """
    arm = treated.astype(float)[:, None]
    x = np.hstack([past, past * arm, arm])
    ridge = np.full(x.shape[1], RIDGE)
    ridge[N_PAST - 1 : -1], ridge[-1] = RIDGE_WITH_ARM, 0.0
    weights, own = fit_logistic(
        x, buys.astype(float), group=2 * campaign + treated, groups=2 * campaigns, ridge=ridge
    )
    main, with_arm, of_arm = weights[: N_PAST - 1], weights[N_PAST - 1 : -1], weights[-1]
    out = np.zeros((campaigns, 2, N_PAST))
    out[:, :, 0] = own.reshape(-1, 2) + np.array([0.0, of_arm])
    out[:, 0, 1:], out[:, 1, 1:] = main, main + with_arm
    return out.reshape(-1, N_PAST)


def expit(x: np.ndarray) -> np.ndarray:
    """Return the logistic function."""
    out: np.ndarray = 1 / (1 + np.exp(-np.clip(x, -30, 30)))
    return out


def fit_logistic(
    x: np.ndarray,
    y: np.ndarray,
    *,
    group: np.ndarray | None = None,
    groups: int = 1,
    ridge: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (p,) of a logistic regression, and the intercepts (groups,).

    Args:
        x: (m, p) variables.
        y: (m,) 0 or 1.
        group: (m,) the group of each row, with an intercept of its own beside the common one.
        groups: number of groups.
        ridge: (p,) how strongly the weights are drawn to 0.
    """
    group = np.zeros(len(x), dtype=np.int64) if group is None else group
    full = np.hstack([np.ones((len(x), 1)), x])
    penalty = np.append(1e-6, np.full(x.shape[1], RIDGE) if ridge is None else ridge + 1e-6)
    weights, own = np.zeros(full.shape[1]), np.zeros(groups)
    for _ in range(STEPS):
        chance = expit(full @ weights + own[group])
        spread = chance * (1 - chance)
        curve = (full * spread[:, None]).T @ full + np.diag(penalty)
        step = np.linalg.solve(curve, full.T @ (y - chance) - penalty * weights)
        weights = weights + step.clip(-5, 5)
        if groups > 1:
            chance = expit(full @ weights + own[group])
            total, spread = (
                np.bincount(group, v, groups) for v in (y - chance, chance * (1 - chance))
            )
            own += ((total - RIDGE_OF_GROUP * own) / (spread + RIDGE_OF_GROUP)).clip(-5, 5)
        if np.abs(step).max() < CLOSE:
            break
    return weights[1:], own + weights[0]
