"""What all neural models share: their settings, how they are built and fitted, and their scores.

A model in `models/` names its defaults and builds its backbone; nothing else differs. A causal
backbone learns next items from every row at once, one that looks both ways from masked rows.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from baselines.base import Kind, Model
from baselines.nn.embedding import EventEmbedding, EventTable, Fields
from baselines.nn.fit_label import fit_label, sigmoid
from baselines.nn.fit_next_item import SAMPLED_LOSSES, fit_next_item, with_known_answers
from baselines.nn.heads import LabelHead, NextItemHead
from baselines.nn.losses import arm_logit
from baselines.nn.network import Network
from baselines.nn.training import History, Schedule
from baselines.nn.transfer import take_over
from baselines.nn.windows import batches, tails
from baselines.sequences.item_history import last_items
from baselines.sequences.transition_counts import REPEATS, Counts, item_vectors
from baselines.tabular.boosting import Bag
from baselines.tabular.features import Features
from baselines.tabular.tabular import has_both
from baselines.uplift import arms
from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import Above, Range
from eventlog.arrays import Examples, Queries, Sequences
from eventlog.encode import Encoder

SCORE_ROWS = 16_384  # padded rows scored at once
LOSSES = ("softmax", *SAMPLED_LOSSES)
ARMS = 2  # control and treated
TREES_SHARE = 0.5  # of a label's logit, where questions are asked at events
CATEGORY_START = 0.2  # factor on category vectors under a warm start
UPLIFT_PENALTY = 10  # times that of a label: effects vary less than outcomes

Size = Annotated[int, Range(1, 100_000)]
Steps = Annotated[int, Range(0, 10_000_000)]
Share = Annotated[float, Range(0.0, 1.0)]
Dropout = Annotated[float, Range(0.0, 0.95)]
LearningRate = Annotated[float, Above(0.0, 1.0)]


class NeuralModel(Model):
    """A sequence model for next items, binary labels and uplift (a label under two arms).

    Args:
        dim: channels of the network.
        layers: layers of the backbone.
        dropout: in the embedding, the backbone and the head.
        length: rows of history in a window.
        epochs, max_steps: training for next items ends at the smaller of both, or earlier if
            `valid` no longer improves.
        binary_epochs, binary_max_steps: the same for labels.
        batch_rows: padded rows in a batch.
        lr, binary_lr, weight_decay: of AdamW; `binary_lr` for labels.
        mix_counts: mix in transitions and repeats by a learnt gate (softmax loss only).
        warm_start: begin with item vectors that factorise the transitions.
        question_time: show the network when a next item is asked for; labels always do.
        logistic_start: begin a label's head as the logistic regression of the aggregates.
        strength: inverse penalty of that regression.
        trees: share of boosted trees in a label's logit. None: half where questions are asked at
            events (fraud), none at dates (churn), where the future lies outside the range in which
            the trees were grown.
        entity_risk: show the delayed risk of each row's entities, for labels asked at events.
        loss: "softmax", or "gbce" or "bce" to compare with; these give no probabilities, so counts
            are not mixed in.
        pretrain_steps: steps of pre-training for labels, for a backbone that looks both ways. None:
            a third of `binary_max_steps`.
        full_softmax: largest catalogue with an exact softmax.
        negatives: sampled items, shared by a batch, for a larger catalogue.
        evaluations: how many times `valid` is scored during training.
        patience: evaluations without improvement after which training ends.
        valid_questions: of `valid` that are scored, at most; for labels twice as many.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item", "binary", "uplift"})
    bidirectional: ClassVar[bool] = False

    def __init__(
        self,
        *,
        dim: Annotated[int, Range(1, 4_096)] = 64,
        layers: Annotated[int, Range(1, 64)] = 1,
        dropout: Dropout = 0.3,
        length: Size = 50,
        epochs: Steps = 20,
        max_steps: Steps = 250,
        binary_epochs: Steps = 12,
        binary_max_steps: Steps = 200,
        batch_rows: Annotated[int, Range(1)] = 1_600,
        lr: LearningRate = 3e-3,
        binary_lr: LearningRate = 1e-3,
        weight_decay: Annotated[float, Range(0.0, 10.0)] = 0.01,
        mix_counts: bool = True,
        warm_start: bool = True,
        question_time: bool = True,
        logistic_start: bool = True,
        strength: Annotated[float, Above(0.0)] = 0.03,
        trees: Share | None = None,
        entity_risk: bool = True,
        loss: Literal["softmax", "gbce", "bce"] = "softmax",
        pretrain_steps: Steps | None = None,
        full_softmax: Annotated[int, Range(0)] = 5_000,
        negatives: Annotated[int, Range(1)] = 512,
        evaluations: Annotated[int, Range(1, 10_000)] = 6,
        patience: Annotated[int, Range(1)] = 4,
        valid_questions: Annotated[int, Range(1)] = 2_000,
    ) -> None:
        if loss not in LOSSES:
            raise InputError(f"loss is {loss!r}; it must be one of {', '.join(LOSSES)}.")
        self.dim, self.layers, self.dropout, self.length = dim, layers, dropout, length
        self.epochs, self.max_steps = epochs, max_steps
        self.binary_epochs, self.binary_max_steps = binary_epochs, binary_max_steps
        self.batch_rows, self.weight_decay = batch_rows, weight_decay
        self.lr, self.binary_lr = lr, binary_lr
        self.loss, self.mix_counts = loss, mix_counts and loss == "softmax"
        self.warm_start, self.question_time = warm_start, question_time
        self.logistic_start, self.strength = logistic_start, strength
        self.trees, self.entity_risk = trees, entity_risk
        third = binary_max_steps // 3
        self.pretrain_steps = third if pretrain_steps is None else pretrain_steps
        self.full_softmax, self.negatives = full_softmax, negatives
        self.evaluations, self.patience = evaluations, patience
        self.valid_questions = valid_questions
        self._source: NeuralModel | None = None
        self._table: tuple[weakref.ref[Sequences], EventTable] | None = None

    def begin_with(self, source: NeuralModel) -> None:
        """Let `fit` begin with the weights of a model fitted on another log (see `transfer`)."""
        self._source = source

    @abstractmethod
    def backbone(self) -> nn.Module:
        """Return a module (b, t, dim), length (b,) -> (b, t, dim)."""

    # --- fitting ----------------------------------------------------------------------------------

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Learn from `train`; the type of its answers tells the kind of question.

        Integers are items, 0.0 and 1.0 labels, and labels with a treatment are uplift.
        """
        label: Kind = "binary" if train.treatment is None else "uplift"
        self.kind_: Kind = "next_item" if np.issubdtype(train.target.dtype, np.integer) else label
        self.encoder_ = encoder
        self.device_ = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        rng = np.random.default_rng(seed)
        # Dropout draws from torch's global generator: seed it here, and restore the caller's.
        with torch.random.fork_rng(devices=[self.device_] if self.device_.type == "cuda" else []):
            torch.manual_seed(seed)
            self._build(train, valid, rng, seed)
            self.history_ = self._train(train, valid, rng)
        self._table = None

    def _train(self, train: Examples, valid: Examples | None, rng: np.random.Generator) -> History:
        if self.kind_ != "next_item":
            return fit_label(self, train, valid, rng)
        known_valid = None if valid is None else with_known_answers(valid)
        return fit_next_item(self, with_known_answers(train), known_valid, rng)

    def _build(
        self, train: Examples, valid: Examples | None, rng: np.random.Generator, seed: int
    ) -> None:
        """Build the network, and the counts or the trees that it is combined with."""
        encoder = self.encoder_
        self.counts_: Counts | None = None
        self.trees_: Bag | None = None
        items = self.kind_ == "next_item"
        head: NextItemHead | LabelHead
        if items:
            self.fields_ = Fields.of(train.sequences, encoder, running=False)
            counts = Counts(train, encoder.n_items)
            self.counts_ = counts if self.mix_counts else None
            head = NextItemHead(
                self.dim,
                encoder.n_items,
                dropout=self.dropout,
                question=self.question_time and not self.bidirectional,
                gated=self.mix_counts,
            )
        else:
            head = self._build_label_head(train, valid, seed)
        embedding = EventEmbedding(self.fields_, encoder, self.dim, dropout=self.dropout)
        if items and not self.bidirectional:
            # Hours, weekdays and devices separate users before they say anything useful: begin
            # without them.
            nn.init.zeros_(embedding.time.weight)
            nn.init.zeros_(embedding.codes.weight)
        if items and self.warm_start:
            with torch.no_grad():
                embedding.item.weight.copy_(torch.from_numpy(item_vectors(counts, self.dim, rng)))
                embedding.item.weight[0] = 0
                embedding.category.weight.mul_(CATEGORY_START)  # the item vectors know more
        self.network_ = Network(
            embedding, self.backbone(), head, bidirectional=self.bidirectional
        ).to(self.device_)
        if self._source is not None:
            other = self._source.network_
            take_over(
                embedding,
                self.network_.backbone,
                encoder,
                other.embedding,
                other.backbone,
                self._source.encoder_,
            )
        revealed = _revealed(train)
        if revealed.any():
            rows = self.network_.tensor(np.flatnonzero(revealed))
            embedding.learn_scale(self.table_of(train.sequences).numeric[rows])

    def _build_label_head(self, train: Examples, valid: Examples | None, seed: int) -> LabelHead:
        """Learn the aggregates, start the head from them, and grow the trees."""
        self.features_ = Features(self.encoder_)
        known = self.features_.fit(train)
        self.fields_ = Fields.of(
            train.sequences,
            self.encoder_,
            running=True,
            risk=self.features_.risk_ if self.entity_risk else None,
        )
        uplift = self.kind_ == "uplift"
        head = LabelHead(
            self.dim, known.shape[1], outputs=ARMS if uplift else 1, dropout=self.dropout
        )
        head.learn_scale(known)
        if self.logistic_start:
            treatment = arms(train).astype(np.float64) if uplift else None
            strength = self.strength / UPLIFT_PENALTY if uplift else self.strength
            head.begin_as_logistic(known, train.target, treatment, strength=strength)
        # Trees use the aggregates better than a network does, and the network sees the order of
        # events: their errors differ.
        at_event = TREES_SHARE if self.features_.at_event_ else 0.0
        self.share_ = at_event if self.trees is None else self.trees
        if self.share_ > 0 and not uplift and has_both(train.target):
            held_out = None
            if valid is not None and has_both(valid.target):
                table = self.features_.transform(valid.sequences, valid.queries)
                held_out = (table, valid.target > 0)
            self.trees_ = Bag(known, train.target > 0, held_out, seed=seed)
        return head

    def schedule(self, per_epoch: int, epochs: int, max_steps: int) -> Schedule:
        """Return how long and how fast to train, given the batches in an epoch."""
        return Schedule(
            steps=min(max(1, per_epoch * epochs), max_steps),
            lr=self.lr if self.kind_ == "next_item" else self.binary_lr,
            weight_decay=self.weight_decay,
            evaluations=self.evaluations,
            patience=self.patience,
        )

    # --- scoring ----------------------------------------------------------------------------------

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return log-probabilities of items, probabilities of a label, or effects; float32.

        next_item: (n, n_items); binary: (n,); uplift: (n,), the difference of probabilities.
        """
        if self.kind_ == "next_item":
            return self._item_scores(sequences, queries)
        logit = self.arm_logits(sequences, queries)
        if self.trees_ is not None:
            known = self.features_.transform(sequences, queries)
            by_trees = self.trees_.logit(known)[:, None]
            logit = (1 - self.share_) * logit + self.share_ * by_trees
        control, treated = sigmoid(logit).T
        return treated - control if self.kind_ == "uplift" else control

    @torch.inference_mode()
    def arm_logits(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the network's logits under control and treated, (n, 2) float32, without trees.

        For binary labels both are the same.
        """
        table, network = self.table_of(sequences), self.network_
        when = network.tensor(table.question_time(queries))
        known = network.tensor(self.features_.transform(sequences, queries))
        scores = np.zeros((len(queries), ARMS), dtype=np.float32)
        for batch in batches(tails(sequences.offsets, queries, self.length), SCORE_ROWS):
            query = network.tensor(batch.query)
            logits = network.logits(table, batch, when[query], known[query])
            both = (logits, logits)
            if logits.shape[1] == ARMS:
                both = (arm_logit(logits, 0.0)[:, None], arm_logit(logits, 1.0)[:, None])
            scores[batch.query] = torch.cat(both, dim=1).cpu().numpy()
        return scores

    @torch.inference_mode()
    def _item_scores(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the log-probabilities of next items, (n, n_items) float32."""
        table, network = self.table_of(sequences), self.network_
        when = network.tensor(table.question_time(queries))
        scores = np.zeros((len(queries), self.encoder_.n_items), dtype=np.float32)
        length = self.length - self.bidirectional  # a masked row is appended
        for batch in batches(tails(sequences.offsets, queries, length), SCORE_ROWS):
            asked, at = queries[batch.query], when[network.tensor(batch.query)]
            state = network.next_state(table, batch, at)
            past = table.past(network.tensor(asked.user), network.tensor(asked.end))
            last = last_items(sequences, asked, last=REPEATS)
            part = network.item_log_probability(state, at, past, last, self.counts_)
            scores[batch.query] = part.cpu().numpy()
        return scores

    # --- the log as tensors -----------------------------------------------------------------------

    def n_parameters(self) -> int:
        """Return the number of weights of the network."""
        return sum(p.numel() for p in self.network_.parameters())

    def table_of(self, sequences: Sequences) -> EventTable:
        """Return the log as tensors; those of the log asked about last are kept."""
        if self._table is None or self._table[0]() is not sequences:
            table = EventTable(sequences, self.fields_, self.device_)
            self._table = (weakref.ref(sequences), table)
        return self._table[1]


def _revealed(train: Examples) -> np.ndarray:
    """Return which rows the training questions reveal, (n_rows,) bool."""
    sequences, queries = train.sequences, train.queries
    shown = np.zeros(len(sequences), dtype=np.int64)  # rows of each user
    np.maximum.at(shown, queries.user, queries.end - sequences.offsets[queries.user])
    stop = (sequences.offsets[:-1] + shown)[sequences.row_user()]
    revealed: np.ndarray = np.arange(sequences.n_rows) < stop
    return revealed
