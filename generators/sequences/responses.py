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

RIDGE, RIDGE_WITH_ARM, RIDGE_OF_GROUP = 1.0, 8.0, 2.0  # inverse variances of the weights
LEAST_RIDGE = 1e-4  # of a weight that is free
TOLERANCE = 1e-6
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


def fit_logistic(
    x: np.ndarray,
    y: np.ndarray,
    *,
    group: np.ndarray | None = None,
    groups: int = 0,
    ridge: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (p,) of a logistic regression, and the intercepts (max(groups, 1),).

    Args:
        x: (m, p) variables.
        y: (m,) 0 or 1; where only one of them occurs, all rows are alike.
        group: (m,) the group of each row, with an intercept of its own beside the common one.
        groups: number of groups.
        ridge: (p,) how strongly the weights are drawn to 0.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(y)) < 2:
        alike = logit(np.array([(y.sum() + 0.5) / (len(y) + 1)]))
        return np.zeros(x.shape[1]), np.repeat(alike, max(groups, 1))
    strength = np.full(x.shape[1], RIDGE) if ridge is None else ridge.clip(LEAST_RIDGE)
    table = x
    if group is not None:
        strength = np.append(strength, np.full(groups, RIDGE_OF_GROUP))
        table = np.hstack([x, np.eye(groups)[group]])
    # scikit-learn draws all weights to 0 alike, so what is drawn less has the larger unit
    unit = 1 / np.sqrt(strength)
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=TOLERANCE).fit(table * unit, y)
    weights = model.coef_[0] * unit
    own = np.append(0.0, weights[x.shape[1] :])[-max(groups, 1) :]
    return weights[: x.shape[1]], own + model.intercept_[0]
