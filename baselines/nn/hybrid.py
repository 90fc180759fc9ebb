"""Hybrids: a sequence model that begins from, and is mixed with, counts, aggregates and trees.

What is mixed in, and where:

next items
    Item vectors begin as factors of the table of transitions; biases begin at popularity; a learnt
    gate mixes the network's probability with those by transitions and by repeats::

        p = g_0 softmax(h E^T) + g_1 p_transition + g_2 p_repeat,     g = softmax(W h)

    as in pointer networks (See et al. 2017, arXiv:1704.04368).
labels
    Rows carry running counts of the user and the delayed risk of their entities; the head sees
    point-in-time aggregates and begins as their logistic regression. Where questions are asked at
    events (fraud), half of the logit is that of boosted trees on the aggregates.

A hybrid at its first step is already a good model of the simple kind: `learning_curve` shows what
training adds to it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from baselines.base import Family
from baselines.nn.embedding import Past
from baselines.nn.heads import CLIP_SD, READS, LabelHead, NextItemHead
from baselines.nn.label import logistic
from baselines.nn.mixture import GatedItemHead, MixedObjective, gated_log_probability
from baselines.nn.neural import NeuralModel
from baselines.nn.next_item import SMOOTHING, NextItemObjective
from baselines.nn.scoring import ARMS
from baselines.sequences.transition_counts import REPEATS, Counts, item_vectors
from baselines.tabular.boosting import Bag
from baselines.tabular.entity_risk import EntityRisk, is_risk, order_runs
from baselines.tabular.features import Features
from baselines.tabular.tabular import has_both
from eventlog._runtime.settings import Above
from eventlog.arrays import DAY_MS, Examples, Queries, Sequences

HOUR_MS = 3_600_000
ORDER_ROLES = ("cart", "checkout", "payment", "payment_failed", "purchase")
TREES_SHARE = 0.5  # of a label's logit, where questions are asked at events
CATEGORY_START = 0.2  # factor on category vectors, since the item vectors know more


class Hybrid(NeuralModel):
    """A sequence model with counts, aggregates, entity risk and trees; see the module.

    Args:
        strength: inverse penalty of the logistic regression that a label's head begins as.
        settings: see `NeuralModel`.
    """

    family: ClassVar[Family] = "hybrid"
    objective: ClassVar[type[NextItemObjective]] = MixedObjective

    def __init__(self, *, strength: Annotated[float, Above(0.0)] = 0.03, **settings: Any) -> None:
        super().__init__(**settings)
        self.strength = strength

    # --- next items -------------------------------------------------------------------------------

    def item_head(self, train: Examples) -> NextItemHead:
        """Count transitions and repeats, and return a head with a gate to mix them in."""
        self.counts_ = Counts(train, self.encoder_.n_items)
        share = np.bincount(train.target, minlength=self.encoder_.n_items) + SMOOTHING
        return GatedItemHead(
            self.dim,
            share / share.sum(),
            dropout=self.dropout,
            question=not self.bidirectional,
        )

    def item_objective(self, train: Examples, rng: np.random.Generator) -> NextItemObjective:
        """Return the loss of the mixture."""
        objective = super().item_objective(train, rng)
        assert isinstance(objective, MixedObjective)
        objective.counted = self.network_.tensor(self.counts_.target_probability(train))
        self.counts_.forget_training()
        return objective

    @torch.no_grad()
    def begin_items(self, rng: np.random.Generator) -> None:
        """Begin with item vectors that factorise the transitions."""
        super().begin_items(rng)
        embedding = self.network_.embedding
        vectors = item_vectors(self.counts_, self.dim, rng)
        embedding.item.weight.copy_(self.network_.tensor(vectors))
        embedding.item.weight[0] = 0
        embedding.category.weight.mul_(CATEGORY_START)

    def item_log_probability(self, z: Tensor, past: Past, last: np.ndarray) -> Tensor:
        """Return the log-probability of each item by network and counts, (r, n_items)."""
        by_network = super().item_log_probability(z, past, last)
        counted = [self.network_.tensor(p) for p in self.counts_.after(last[:, :REPEATS])]
        gate = self.network_.head.log_gate(z)  # type: ignore[operator]
        return gated_log_probability(by_network, counted, gate[:, None])

    # --- labels -----------------------------------------------------------------------------------

    def label_head(self, train: Examples, valid: Examples | None, seed: int) -> LabelHead:
        """Learn the aggregates, start the head from them, and grow the trees."""
        self.features_ = Features(self.encoder_)
        self.trees_: Bag | None = None
        known = self.features_.fit(train, valid)
        uplift = self.kind_ == "uplift"
        head = LabelHead(
            self.dim,
            outputs=ARMS if uplift else 1,
            dropout=self.dropout,
            n_known=known.shape[1],
        )
        begin = READS * self.dim  # where the aggregates are among the head's inputs
        head.learn_scale(begin, torch.from_numpy(known))
        x = ((known - head.mean[begin:].numpy()) * head.scale[begin:].numpy()).clip(
            -CLIP_SD, CLIP_SD
        )
        start = logistic(
            x.clip(-CLIP_SD, CLIP_SD).astype(np.float64),
            train.target,
            train.treatment,
            strength=self.strength,
        )
        head.begin_as(begin, *start)
        # Trees use the aggregates better than a network does, and the network sees the order of
        # events: their errors differ. At dates the future lies outside the range in which the
        # trees were grown.
        if self.features_.at_event_ and not uplift and has_both(train.target):
            held_out = None
            if valid is not None and has_both(valid.target):
                table = self.features_.transform(valid.sequences, valid.queries)
                held_out = (table, valid.target > 0)
            self.trees_ = Bag(known, train.target > 0, held_out, seed=seed)
        return head

    def begin_labels(self, train: Examples, affordable: int) -> int:
        """Leave the head as it is: it began as the logistic regression of the aggregates."""
        return 0

    def extra_columns(self, sequences: Sequences) -> dict[str, np.ndarray]:
        """Return running counts of the user, and the risk of the rows' entities, for labels."""
        if self.kind_ == "next_item":
            return {}
        columns = running_features(sequences)
        if self.features_.risk_ is not None:
            columns |= row_risks(sequences, self.features_.risk_)
        return columns

    def known(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the aggregates of the questions, (n, F) float32."""
        return self.features_.transform(sequences, queries)

    def observe(self, known: Examples) -> None:
        """Take the answers into the entities' risk."""
        if self.kind_ != "next_item":
            self.features_.observe(known)
            self._tables.forget()  # its rows carry the risk

    def final_logits(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the logits of network and trees, (n, 2) float32."""
        logits = self.arm_logits(sequences, queries)
        if self.trees_ is None:
            return logits
        by_trees = self.trees_.logit(self.known(sequences, queries))[:, None]
        return (1 - TREES_SHARE) * logits + TREES_SHARE * by_trees


def running_features(s: Sequences) -> dict[str, np.ndarray]:
    """Return what is known of the user at each row, the row included, (n_rows,) each.

    Counts and money are given as log1p.
    """
    user, row = s.row_user(), np.arange(s.n_rows)
    first = s.offsets[user]

    def so_far(values: np.ndarray) -> np.ndarray:
        """Return the sum over the user's rows up to each one, (n_rows,)."""
        total = np.append(0.0, np.cumsum(values))
        return total[1:] - total[first]

    recent = [
        row - s.rows_before(user, s.time - window) + 1 for window in (HOUR_MS, DAY_MS, 7 * DAY_MS)
    ]
    new = sum((v for k, v in s.columns.items() if k.startswith("new_")), np.zeros(s.n_rows))
    price = s.raw.get("price", np.full(s.n_rows, np.nan))
    has = np.isfinite(price)
    level = np.log1p(np.where(has, np.maximum(price, 0), 0.0))
    paid, times = so_far(level) - level, so_far(has.astype(float)) - has  # before this row
    mean = paid / np.maximum(times, 1)
    return {
        "rows": np.log1p(row - first),
        "age": np.log1p((s.time - s.time[first]) / DAY_MS),
        "purchases": np.log1p(so_far(s.role == "purchase")),
        "payment_failures": np.log1p(so_far(s.role == "payment_failed")),
        "new_values": np.log1p(so_far(new)),
        "rows_hour": np.log1p(recent[0]),
        "rows_day": np.log1p(recent[1]),
        "rows_week": np.log1p(recent[2]),
        "price_level": level,
        "price_ratio": np.where(has & (times > 0), level - mean, 0.0),
    }


def row_risks(s: Sequences, risk: EntityRisk) -> dict[str, np.ndarray]:
    """Return the delayed risk of each row's entities as known at its time, (n_rows,) each.

    It is 0 for rows that do not belong to an order. A label is about an order, and the rows that
    lead up to it have the same item, device and country.
    """
    row = np.flatnonzero(np.isin(s.role, ORDER_ROLES))
    found = risk.columns(s, Queries(s.row_user()[row], row + 1, s.time[row]), order_runs(s))
    out = {}
    for name in risk.names:
        if is_risk(name):
            out[name] = np.zeros(s.n_rows)
            out[name][row] = found[name]
    return out
