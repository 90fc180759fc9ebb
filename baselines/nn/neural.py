"""What all sequence models share: their settings, and how they are built and fitted.

A model in `models/` names its defaults and builds its backbone. It reads the sequence alone, with
all its columns, and learns from nothing but it: no aggregates, no trees, no other user. What is
mixed with such things is a hybrid (see `hybrid`). Where a label is about an event, a row also says
what it repeats of its user's earlier rows (see `NetworkModel.extra_columns`).

Training follows the data: it goes on as long as validation improves (see `training`), within
`budget`, which is given in CPU seconds of a reference machine (see `budget`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, cast

import numpy as np
import torch
from torch import nn

from baselines.base import Family, Kind
from baselines.nn.budgeted_training import (
    FEWEST_MEASURED,
    UNWATCHED_EPOCHS,
    BudgetedTrainer,
    judged_by,
)
from baselines.nn.embedding import EventEmbedding, Fields
from baselines.nn.heads import LabelHead, NextItemHead
from baselines.nn.label import (
    LabelObjective,
    asked_at_events,
    begin_as_regression,
    measure_of,
    measured,
    with_both,
)
from baselines.nn.last_row import LastRow
from baselines.nn.network import EVENT_MEMORY_DAYS, MEMORY_DAYS, Network
from baselines.nn.network_model import NetworkModel
from baselines.nn.next_item import NextItemObjective, at_the_answer, ndcg, with_known_answers
from baselines.nn.pretraining import MASK, Pretraining, known_rows
from baselines.nn.scoring import (
    ARMS,
    label_reads,
)
from baselines.nn.transfer import take_over
from baselines.nn.windows import Windows, chunks, tails
from eventlog._runtime.errors import InputError
from eventlog._runtime.settings import Above, Range
from eventlog.arrays import Examples
from eventlog.encode import Encoder

LINEAR_SHARE = 0.5  # of the budget for labels, at most, is spent on reading for a linear start

Size = Annotated[int, Range(1, 100_000)]
Share = Annotated[float, Range(0.0, 0.9)]
Dropout = Annotated[float, Range(0.0, 0.95)]
LearningRate = Annotated[float, Above(0.0, 1.0)]
Seconds = Annotated[float, Above(0.0, 1e7, "CPU seconds of the reference machine")]


class NeuralModel(NetworkModel):
    """A sequence model for next items, binary labels and uplift (a label under two arms).

    Args:
        dim: channels of the network.
        layers: layers of the backbone.
        dropout: in the embedding, the backbone and the head.
        length: rows of history in a window.
        label_length: the same for labels, which are about longer habits than the next item.
        budget: training ends after this many CPU seconds of the reference machine (see `budget`),
            or earlier, when validation no longer improves.
        batch_rows: padded rows in a batch.
        lr, label_lr, weight_decay: of AdamW; `label_lr` for labels.
        pretrain: share of the budget in which a model for labels first learns, without them, what
            comes next in all users' histories.
        full_softmax: largest catalogue with an exact softmax.
        negatives: sampled items, shared by a batch, for a larger catalogue.
        patience: measurements without improvement after which the learning rate falls.
        valid_questions: of `valid` that are scored, at most.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item", "binary", "uplift"})
    family: ClassVar[Family] = "sequence"
    budgeted: ClassVar[bool] = True
    objective: ClassVar[type[NextItemObjective]] = NextItemObjective

    def __init__(
        self,
        *,
        dim: Annotated[int, Range(1, 4_096)] = 64,
        layers: Annotated[int, Range(1, 64)] = 1,
        dropout: Dropout = 0.3,
        length: Size = 50,
        label_length: Size = 256,
        budget: Seconds = 200.0,
        batch_rows: Annotated[int, Range(1)] = 1_600,
        lr: LearningRate = 3e-3,
        label_lr: LearningRate = 3e-4,
        weight_decay: Annotated[float, Range(0.0, 10.0)] = 0.01,
        pretrain: Share = 0.0,
        full_softmax: Annotated[int, Range(0)] = 1_000,
        negatives: Annotated[int, Range(1)] = 256,
        patience: Annotated[int, Range(1)] = 3,
        valid_questions: Annotated[int, Range(1)] = 2_000,
    ) -> None:
        super().__init__()
        self.dim, self.layers, self.dropout = dim, layers, dropout
        self.length, self.label_length = length, label_length
        self.budget, self.batch_rows, self.weight_decay = budget, batch_rows, weight_decay
        self.lr, self.label_lr, self.pretrain = lr, label_lr, pretrain
        self.full_softmax, self.negatives = full_softmax, negatives
        self.patience, self.valid_questions = patience, valid_questions
        self._source: NeuralModel | None = None

    def begin_with(self, source: NeuralModel) -> None:
        """Let `fit` begin with the weights of a model fitted on another log (see `transfer`)."""
        self._source = source

    @abstractmethod
    def backbone(self) -> nn.Module:
        """Return a module of rows (b, t, dim), lengths (b,) and times (b, t) to (b, t, dim)."""

    # --- what a hybrid adds -----------------------------------------------------------------------

    def item_head(self, train: Examples) -> NextItemHead:
        """Return the head for next items."""
        question = not self.bidirectional
        n_items = self.encoder_.n_items
        return NextItemHead(self.dim, n_items, dropout=self.dropout, question=question)

    def item_objective(self, train: Examples, rng: np.random.Generator) -> NextItemObjective:
        """Return what is learnt from next items."""
        return self.objective(
            self.network_,
            self.table_of(train.sequences),
            train,
            full_softmax=self.full_softmax,
            negatives=self.negatives,
            rng=rng,
        )

    def label_head(self, train: Examples, valid: Examples | None, seed: int) -> LabelHead:
        """Return the head for labels."""
        outputs = ARMS if self.kind_ == "uplift" else 1
        self.last_row_ = LastRow(train) if self.at_event_ else None
        n_known = 0 if self.last_row_ is None else len(self.last_row_.bins)
        return LabelHead(self.dim, outputs=outputs, dropout=self.dropout, n_known=n_known)

    # --- fitting ----------------------------------------------------------------------------------

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Learn from `train`; the type of its answers tells the kind of question.

        Integers are items, 0.0 and 1.0 labels, and labels with a treatment are uplift.
        """
        label: Kind = "binary" if train.treatment is None else "uplift"
        self.kind_ = "next_item" if np.issubdtype(train.target.dtype, np.integer) else label
        self.at_event_ = self.kind_ == "binary" and asked_at_events(train.sequences, train.queries)
        self.encoder_ = encoder
        self.device_ = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        rng = np.random.default_rng(seed)
        # Dropout draws from torch's global generator: seed it here, and restore the caller's.
        with torch.random.fork_rng(devices=[self.device_] if self.device_.type == "cuda" else []):
            torch.manual_seed(seed)
            if self.kind_ == "next_item":
                self._fit_items(train, valid, rng)
            else:
                self._fit_labels(train, valid, rng, seed)
        self._tables.forget()

    def _fit_items(self, train: Examples, valid: Examples | None, rng: np.random.Generator) -> None:
        if "item" not in train.sequences.columns:
            raise InputError(
                "The log has no items (item_id is missing or empty), so a next-item model has "
                "nothing to learn."
            )
        train = with_known_answers(train)
        valid = None if valid is None else with_known_answers(valid)
        self._build(self.item_head(train), train)
        objective = self.item_objective(train, rng)
        self.begin_items(rng)
        asked = at_the_answer(train.queries) if self.bidirectional else train.queries
        self.measure_ = "ndcg@10"

        def windows(draw: np.random.Generator | None) -> Windows:
            return chunks(train.sequences.offsets, asked, self.length, draw)

        outputs = objective.outputs * (MASK if self.bidirectional else 1.0)
        trainer = self._trainer(outputs=outputs)
        price = trainer.price(windows(None))
        some = judged_by(valid, price, self.budget, rng, most=self.valid_questions)

        def measure() -> float:
            assert some is not None
            return ndcg(self.score(some.sequences, some.queries), some.target)

        self.history_ = trainer.train(
            objective.loss,
            windows,
            rng,
            lr=self.lr,
            seconds=self.budget,
            some=some,
            measure=measure,
            unwatched_epochs=UNWATCHED_EPOCHS,
        )

    def begin_items(self, rng: np.random.Generator) -> None:
        """Set the weights with which a model for next items begins."""
        if not self.bidirectional:
            # Hours, weekdays and devices separate users before they say anything useful: begin
            # without them.
            nn.init.zeros_(self.network_.embedding.time.weight)
            nn.init.zeros_(self.network_.embedding.codes.weight)

    def _fit_labels(
        self, train: Examples, valid: Examples | None, rng: np.random.Generator, seed: int
    ) -> None:
        queries, sequences = train.queries, train.sequences
        self._build(self.label_head(train, valid, seed), train)
        self.measure_ = measure_of(queries, sequences, train.treatment)
        seconds = self.budget * (1 - self.pretrain)
        trainer = self._trainer(outputs=0.0)
        price = trainer.price(tails(sequences.offsets, queries, self.window))
        some = judged_by(valid, price, seconds, rng, most=self.valid_questions)

        def measure() -> float:
            assert some is not None
            return measured(self.measure_, self.arm_logits(some.sequences, some.queries), some)

        start = None if some is None else measure()
        steps = self._pretrain(train, rng) if self.pretrain > 0 else 0
        affordable = int(LINEAR_SHARE * seconds / price.question)
        read = self.begin_labels(train, max(affordable, FEWEST_MEASURED))
        known = self.known(sequences, queries)
        objective = LabelObjective(self.network_, self.table_of(sequences), train, known)
        self.history_ = trainer.train(
            objective.loss,
            lambda draw: tails(sequences.offsets, queries, self.window),
            rng,
            lr=self.label_lr,
            seconds=seconds - read * price.question,
            some=some,
            measure=measure,
            unwatched_epochs=UNWATCHED_EPOCHS,
        )
        self.history_.follows(steps, start)

    def begin_labels(self, train: Examples, affordable: int) -> int:
        """Let the head begin as a logistic regression on what the network reads.

        Linear probing before fine-tuning (Kumar et al. 2022, arXiv:2202.10054): a convex fit finds
        at once what gradient steps on a few thousand questions do not.

        Args:
            train: the questions to learn from.
            affordable: how many questions may be read.

        Returns:
            How many were.
        """
        chosen, odds = with_both(train.target, affordable)
        sequences, queries = train.sequences, train.queries[chosen]
        known = self.known(sequences, queries)
        windows = tails(sequences.offsets, queries, self.window)
        table = self.table_of(sequences)
        read = label_reads(self.network_, table, windows, queries, dim=self.dim)
        treatment = None if train.treatment is None else train.treatment[chosen]
        begin_as_regression(
            cast(LabelHead, self.network_.head),
            self.network_.tensor(np.concatenate([read, known], axis=1)),
            train.target[chosen],
            treatment,
            queries.user,
            log_odds=odds,
        )
        return len(chosen)

    def _pretrain(self, train: Examples, rng: np.random.Generator) -> int:
        """Learn without labels from the histories of all users; return the steps made."""
        sequences, table = train.sequences, self.table_of(train.sequences)
        rows = known_rows(sequences, train.queries)
        objective = Pretraining(self.network_, table, self.dim, rng).to(self.device_)
        outputs = self.network_.embedding.codes.num_embeddings + 256.0
        trainer = self._trainer(outputs=outputs, module=objective)
        return trainer.train(
            objective.loss,
            lambda draw: chunks(sequences.offsets, rows, self.window, draw),
            rng,
            lr=self.lr,
            seconds=self.budget * self.pretrain,
        ).steps

    def _build(self, head: NextItemHead | LabelHead, train: Examples) -> None:
        """Build the network, and take over weights of a source."""
        sequences, encoder = train.sequences, self.encoder_
        extra = tuple(self.extra_columns(sequences))
        self.fields_ = Fields.of(sequences, encoder, extra=extra)
        embedding = EventEmbedding(self.fields_, encoder, self.dim, dropout=self.dropout)
        self.network_ = Network(
            embedding,
            self.backbone(),
            head,
            bidirectional=self.bidirectional,
            memory_days=EVENT_MEMORY_DAYS if self.at_event_ else MEMORY_DAYS,
        ).to(self.device_)
        if self.kind_ != "next_item":
            embedding.stress_events()
        if self._source is not None:
            take_over(self.network_, encoder, self._source.network_, self._source.encoder_)
        rows = known_rows(sequences, train.queries).end - 1
        if len(rows):
            embedding.learn_scale(self.table_of(sequences).numeric[self.network_.tensor(rows)])

    def _trainer(self, *, outputs: float, module: nn.Module | None = None) -> BudgetedTrainer:
        """Return what trains `module`, by default the network."""
        module = self.network_ if module is None else module
        return BudgetedTrainer(
            module, self.dim, self.batch_rows, self.weight_decay, self.patience, outputs
        )
