"""What a neural model learns from labels: the objective and its validation measures."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from baselines.nn.embedding import EventTable
from baselines.nn.heads import LabelHead
from baselines.nn.losses import arm_logit, binary_loss
from baselines.nn.network import Network
from baselines.nn.windows import Batch
from eventlog.arrays import Examples, Queries, Sequences

AVERAGE_SCALE = 3.0  # of an average effect's column: its penalty is a ninth of the others'
STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2)  # inverse penalties among which one is chosen
FEWEST = 200  # of either answer, for a sample of all questions to do
FOLDS = 3  # of users, over which they are compared
UPLIFT_PENALTY = 10  # times that of a label


class LabelObjective:
    """The loss of a batch of labelled questions, each in a window of its own.

    Args:
        network: what is trained; begins as a linear model.
        table: the log of `examples`.
        examples: questions with labels; with a treatment for uplift.
        known: (n, F) what is read beside the states.
    """

    def __init__(
        self, network: Network, table: EventTable, examples: Examples, known: np.ndarray
    ) -> None:
        self.network, self.table = network, table
        self.target = network.tensor(examples.target.astype(np.float32))
        self.asked = table.asked(examples.queries)
        self.known = network.tensor(known)
        self.arm: Tensor | None = None
        if examples.treatment is not None:
            self.arm = network.tensor(examples.treatment.astype(np.float32))

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy."""
        query = self.network.tensor(batch.query)
        logits = self.network.logits(self.table, batch, self.asked.at(query), self.known[query])
        logit = logits[:, 0] if self.arm is None else arm_logit(logits, self.arm[query])
        return binary_loss(logit, self.target[query])


def logistic(
    x: np.ndarray, target: np.ndarray, treatment: np.ndarray | None, *, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (outputs, F) and biases of the logistic regression of answers on inputs.

    For uplift it is that on [x, t, t x] with t = -1/2 or 1/2: the first output is what the arms
    share, the second what separates them. With one answer alone it is the base rate.

    Args:
        x: (n, F) float64, standardised.
        target: (n,) 0 or 1.
        treatment: (n,) 0 or 1, for uplift.
        strength: inverse penalty (sklearn's C); for uplift a tenth of it, since effects vary less
            than outcomes.
    """
    outputs = 1 if treatment is None else 2
    rate = (target.sum() + 0.5) / (len(target) + 1)
    weight, bias = np.zeros((outputs, x.shape[1])), np.zeros(outputs)
    bias[0] = np.log(rate / (1 - rate))
    if not 0 < target.sum() < len(target):
        return weight, bias
    if treatment is not None:
        t = treatment[:, None].astype(np.float64) - 0.5
        x = np.concatenate([x, t * x, AVERAGE_SCALE * t], axis=1)
        strength = strength / UPLIFT_PENALTY
    fitted = LogisticRegression(C=strength, solver="lbfgs", max_iter=200).fit(x, target > 0)
    if treatment is None:
        weight[0], bias[0] = fitted.coef_[0], fitted.intercept_[0]
    else:
        weight[:] = fitted.coef_[0, :-1].reshape(2, -1)
        bias[:] = fitted.intercept_[0], AVERAGE_SCALE * fitted.coef_[0, -1]
    return weight, bias


def best_strength(
    x: np.ndarray, target: np.ndarray, treatment: np.ndarray | None, user: np.ndarray
) -> float:
    """Return the inverse penalty with which `logistic` predicts the answers of other users best.

    That is by log-likelihood over folds of the users: the validation part is far smaller.

    Args:
        x, target, treatment: as for `logistic`.
        user: (n,) who is asked about.
    """
    fold = np.unique(user, return_inverse=True)[1] % FOLDS
    loss = np.zeros(len(STRENGTHS))
    for k in range(FOLDS):
        rest, held = fold != k, fold == k
        some = None if treatment is None else treatment[rest]
        for i, strength in enumerate(STRENGTHS):
            weight, bias = logistic(x[rest], target[rest], some, strength=strength)
            logits = x[held] @ weight.T + bias
            logit = logits[:, 0]
            if treatment is not None:
                logit = logit + (treatment[held] - 0.5) * logits[:, 1]
            loss[i] += np.logaddexp(0, np.where(target[held] > 0, -logit, logit)).sum()
    return STRENGTHS[int(loss.argmin())]


def begin_as_regression(
    head: LabelHead,
    read: Tensor,
    target: np.ndarray,
    treatment: np.ndarray | None,
    user: np.ndarray,
    *,
    log_odds: float = 0.0,
) -> None:
    """Let the head begin as the logistic regression of answers on all that it reads.

    Args:
        head: its scale is learnt too.
        read: (n, width) its inputs.
        target, treatment: as for `logistic`.
        user: (n,) who is asked about.
        log_odds: of the first answer among these questions beyond those among all of them.
    """
    head.learn_scale(0, read)
    x = head.standard(read).cpu().double().numpy()
    strength = best_strength(x, target, treatment, user)
    weight, bias = logistic(x, target, treatment, strength=strength)
    bias[0] -= log_odds
    head.begin_as(0, weight, bias)


def with_both(target: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """Choose at most `most` questions, evenly over time; of a rare answer all, or half of them.

    An answer is rare if FEWEST or fewer of it would be among them. Then the answers are sampled
    apart (case-control sampling), which moves nothing but the intercept of a logistic regression
    (Prentice and Pyke 1979).

    Returns:
        (m,) places, ascending, and how much higher the log-odds of 1 are among them than among all.
    """
    chosen = _evenly(np.arange(len(target)), min(most, len(target)))
    common = min((target[chosen] > 0).sum(), (target[chosen] <= 0).sum())
    if len(target) <= most or common > FEWEST:
        return chosen, 0.0
    yes, no = np.flatnonzero(target > 0), np.flatnonzero(target <= 0)
    few = min(len(yes), len(no), most // 2)
    n_yes = few if len(yes) <= len(no) else most - few
    chosen = np.sort(np.concatenate([_evenly(yes, n_yes), _evenly(no, most - n_yes)]))
    if not 0 < n_yes < most:
        return chosen, 0.0
    shares = n_yes / len(yes), (most - n_yes) / len(no)
    return chosen, float(np.log(shares[0] / shares[1]))


def _evenly(places: np.ndarray, n: int) -> np.ndarray:
    return places[np.linspace(0, len(places) - 1, n).astype(np.int64)]


def measure_of(queries: Queries, sequences: Sequences, treatment: np.ndarray | None) -> str:
    """Return what training is judged by.

    roc_auc for labels asked at dates, pr_auc for those asked at events, r_score for uplift.
    """
    if treatment is not None:
        return "r_score"
    return "pr_auc" if asked_at_events(sequences, queries) else "roc_auc"


def asked_at_events(sequences: Sequences, queries: Queries) -> bool:
    """Return whether most questions are asked at the time of the last known row."""
    known = queries.end > sequences.offsets[queries.user]
    row = queries.end[known] - 1
    return bool(len(row)) and bool(np.median(queries.time[known] - sequences.time[row]) == 0)


def measured(name: str, logits: np.ndarray, examples: Examples) -> float:
    """Return the measure of logits (n, 2), under control and treated; higher is better.

    r_score is 1 - R-loss / the R-loss of no effect (Nie and Wager 2021, arXiv:1712.04912), with one
    propensity and one mean for all.
    """
    target = examples.target > 0
    if name == "r_score":
        p = sigmoid(logits.astype(np.float64))
        assert examples.treatment is not None
        answer, arm = target - target.mean(), examples.treatment - examples.treatment.mean()
        left = answer - arm * (p[:, 1] - p[:, 0])
        return float(1 - np.mean(left**2) / max(np.mean(answer**2), 1e-12))
    if target.all() or not target.any():
        return -float(np.logaddexp(0, np.where(target, -1, 1) * logits[:, 0]).mean())
    score = roc_auc_score if name == "roc_auc" else average_precision_score
    return float(score(target, logits[:, 0]))


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits."""
    return 1 / (1 + np.exp(-logit))
