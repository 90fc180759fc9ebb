"""What a neural model learns from labels: the objective and its validation measures."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from baselines.nn.embedding import EventTable
from baselines.nn.heads import LabelHead
from baselines.nn.losses import arm_logit, binary_loss
from baselines.nn.network import Network
from baselines.nn.windows import Batch
from eventlog.arrays import Examples, Queries, Sequences


class LabelObjective:
    """The loss of a batch of labelled questions, each in a window of its own.

    Args:
        network: what is trained; its logits begin at the base rate.
        table: the log of `examples`.
        examples: questions with labels; with a treatment for uplift.
        known: (n, F) what is known beside the sequence.
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


@torch.no_grad()
def begin_at_base_rate(head: LabelHead, target: np.ndarray) -> None:
    """Set the bias of the head's first output to the logit of the share of ones."""
    rate = (target.sum() + 0.5) / (len(target) + 1)
    head.last.bias[0] = float(np.log(rate / (1 - rate)))


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
