"""What all neural models share: one network (embedding, backbone, head), its training for both
kinds of question, its scoring.

A model in `models/` names its defaults and builds its backbone; nothing else differs, except that a
backbone that looks both ways learns next items from masked rows (see `pretraining.py`) and a causal
one from every row at once.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from baselines.base import Kind, Model
from baselines.nn.embedding import EventEmbedding, EventTable, Fields, Past
from baselines.nn.heads import LabelHead, NextItemHead
from baselines.nn.losses import (
    arm_logit,
    binary_item_loss,
    binary_loss,
    gated_log_probability,
    item_logits,
    sampled_log_probability,
    softmax_log_probability,
)
from baselines.nn.pretraining import NextSession, choose_masked, masked_event_loss, swap_sessions
from baselines.nn.training import History, Schedule, forever, train
from baselines.nn.transfer import take_over
from baselines.nn.windows import Batch, Windows, batches, chunks, n_batches, tails
from baselines.sequences.item_history import last_items
from baselines.sequences.transition_counts import REPEATS, Counts, item_vectors
from baselines.tabular.boosting import Bag
from baselines.tabular.features import Features
from baselines.tabular.tabular import has_both
from baselines.uplift import arms
from eventlog._runtime.errors import InputError
from eventlog.arrays import FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder

SCORE_ROWS = 16_384  # padded rows scored at once
LOSSES = ("softmax", "gbce", "bce")
# share of the loss in which the network answers without the counts, so that it does not rest on
# them
ALONE = 0.5


class Network(nn.Module):
    """Embedding, backbone and head."""

    def __init__(self, embedding: EventEmbedding, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.embedding, self.backbone, self.head = embedding, backbone, head


class NeuralModel(Model):
    """A sequence model for next items, binary labels and uplift (a label under either of two arms).
    Settings:

    dim, layers, dropout: the network.  length: rows of history in one window.
    epochs, max_steps: training ends at the smaller of both (or earlier, on `valid`); binary_* for
    binary questions.
    batch_rows: padded rows in a batch.  lr, binary_lr, weight_decay: AdamW.
    mix_counts: mix with transitions and repeats by a learnt gate.  warm_start: item vectors begin
    where those counts point.
    question_time: show the network when the question is asked (next item; binary questions always
    do).
    logistic_start: a label head begins as the logistic regression of the aggregates, with inverse
    penalty `strength`.
    loss: "softmax"; "gbce" and "bce" are what it is compared with (no counts are mixed in: they
    need probabilities).
    pretrain_steps: a two-way backbone learns masked events and next sessions before labels; None =
    a third of `binary_max_steps`.
    trees: share of boosted trees on the aggregates in a label's final logit; None = half where
        questions are asked at events (fraud), none at dates (churn), where the future lies beyond
        the range in which trees were grown.
    entity_risk: show each row's delayed risk (fraud).
    full_softmax: catalogues up to this size use the full softmax, larger ones `negatives` shared
    samples.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"next_item", "binary", "uplift"})
    bidirectional: ClassVar[bool] = False

    def __init__(
        self,
        *,
        dim: int = 64,
        layers: int = 1,
        dropout: float = 0.3,
        length: int = 50,
        epochs: int = 20,
        max_steps: int = 250,
        binary_epochs: int = 12,
        binary_max_steps: int = 200,
        batch_rows: int = 1_600,
        lr: float = 3e-3,
        binary_lr: float = 1e-3,
        weight_decay: float = 0.01,
        mix_counts: bool = True,
        warm_start: bool = True,
        question_time: bool = True,
        logistic_start: bool = True,
        strength: float = 0.03,
        trees: float | None = None,
        entity_risk: bool = True,
        loss: Literal["softmax", "gbce", "bce"] = "softmax",
        pretrain_steps: int | None = None,
        full_softmax: int = 5_000,
        negatives: int = 512,
        evaluations: int = 6,
        patience: int = 4,
        valid_questions: int = 2_000,
    ) -> None:
        if loss not in LOSSES:
            raise InputError(f'loss is "{loss}"; it is one of {", ".join(LOSSES)}.')
        self.dim, self.layers, self.dropout, self.length = dim, layers, dropout, length
        self.epochs, self.max_steps = epochs, max_steps
        self.binary_epochs, self.binary_max_steps = binary_epochs, binary_max_steps
        self.batch_rows, self.weight_decay = batch_rows, weight_decay
        self.lr, self.binary_lr = lr, binary_lr
        self.mix_counts, self.warm_start, self.question_time = (
            mix_counts and loss == "softmax",
            warm_start,
            question_time,
        )
        self.loss, self.pretrain_steps = (
            loss,
            binary_max_steps // 3 if pretrain_steps is None else pretrain_steps,
        )
        self.logistic_start, self.strength, self.trees, self.entity_risk = (
            logistic_start,
            strength,
            trees,
            entity_risk,
        )
        self.full_softmax, self.negatives = full_softmax, negatives
        self.evaluations, self.patience, self.valid_questions = (
            evaluations,
            patience,
            valid_questions,
        )
        self._source: NeuralModel | None = None
        self._table: tuple[weakref.ref[Sequences], EventTable] | None = None

    def begin_with(self, source: NeuralModel) -> None:
        """Let `fit` begin with the weights of a model fitted on another log, where both mean the
        same (see `transfer.py`).
        """
        self._source = source

    @abstractmethod
    def backbone(self) -> nn.Module:
        """A module (b, t, dim), length (b,) -> (b, t, dim)."""

    # --- fitting ----------------------------------------------------------------------------------

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Learn; the kind of question is read off the answers: whole numbers are items, 0.0 and 1.0
        labels, with arms uplift.
        """
        label: Kind = "binary" if train.treatment is None else "uplift"
        self.kind_: Kind = "next_item" if np.issubdtype(train.target.dtype, np.integer) else label
        self.encoder_ = encoder
        self.device_ = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        rng = np.random.default_rng(seed)
        # Dropout draws from torch's global generator: seed it here, and leave the caller's as it
        # was.
        with torch.random.fork_rng(devices=[self.device_] if self.device_.type == "cuda" else []):
            torch.manual_seed(seed)
            self._build(train, valid, encoder, rng, seed)
            if self.kind_ == "next_item":
                self.history_ = self._fit_next_item(
                    _known(train), None if valid is None else _known(valid), encoder, rng
                )
            else:
                self.history_ = self._fit_label(train, valid, rng)
        self._table = None

    def _build(
        self,
        train: Examples,
        valid: Examples | None,
        encoder: Encoder,
        rng: np.random.Generator,
        seed: int,
    ) -> None:
        self.counts_: Counts | None = None
        if self.kind_ == "next_item":
            self.fields_ = Fields.of(train.sequences, encoder, running=False)
            counts = Counts(train, encoder.n_items)
            self.counts_ = counts if self.mix_counts else None
            question = self.question_time and not self.bidirectional
            self.item_head_ = NextItemHead(
                self.dim,
                encoder.n_items,
                dropout=self.dropout,
                question=question,
                gated=self.mix_counts,
            )
        else:
            self._build_label(train, valid, encoder, seed)
        embedding = EventEmbedding(self.fields_, encoder, self.dim, dropout=self.dropout)
        if self.kind_ == "next_item" and not self.bidirectional:
            # Hours, weekdays, devices tell users apart before they tell anything of use: what they
            # say is learnt from nothing.
            nn.init.zeros_(embedding.time.weight)
            nn.init.zeros_(embedding.codes.weight)
        if self.kind_ == "next_item" and self.warm_start:
            with torch.no_grad():
                embedding.item.weight.copy_(torch.from_numpy(item_vectors(counts, self.dim, rng)))
                embedding.item.weight[0] = 0
                embedding.category.weight.mul_(0.2)  # not to blur what the vectors already know
        head = self.item_head_ if self.kind_ == "next_item" else self.label_head_
        self.network_ = Network(embedding, self.backbone(), head).to(self.device_)
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
        table = self.table_of(train.sequences)
        # rows of each user that the questions reveal
        shown = np.zeros(len(train.sequences), dtype=np.int64)
        np.maximum.at(
            shown,
            train.queries.user,
            train.queries.end - train.sequences.offsets[train.queries.user],
        )
        revealed = (
            np.arange(train.sequences.n_rows)
            < (train.sequences.offsets[:-1] + shown)[train.sequences.row_user()]
        )
        if revealed.any():
            embedding.learn_scale(
                table.numeric[torch.from_numpy(np.flatnonzero(revealed)).to(self.device_)]
            )

    def _build_label(
        self, train: Examples, valid: Examples | None, encoder: Encoder, seed: int
    ) -> None:
        self.features_ = Features(encoder)
        known = self.features_.fit(train)
        self.fields_ = Fields.of(
            train.sequences,
            encoder,
            running=True,
            risk=self.features_.risk_ if self.entity_risk else None,
        )
        uplift = self.kind_ == "uplift"
        self.label_head_ = LabelHead(
            self.dim, known.shape[1], outputs=2 if uplift else 1, dropout=self.dropout
        )
        self.label_head_.learn_scale(known)
        if self.logistic_start:
            treatment = arms(train).astype(np.float64) if uplift else None
            # effects vary less than outcomes do
            strength = self.strength / 10 if uplift else self.strength
            self.label_head_.begin_as_logistic(known, train.target, treatment, strength=strength)
        # Trees see the table better than a network does, and the network sees the order of events:
        # their errors differ.
        self.trees_: Bag | None = None
        self.share_ = (
            (0.5 if self.features_.at_event_ else 0.0) if self.trees is None else self.trees
        )
        if self.share_ > 0 and not uplift and has_both(train.target):
            held_out = None
            if valid is not None and has_both(valid.target):
                held_out = (
                    self.features_.transform(valid.sequences, valid.queries),
                    valid.target > 0,
                )
            self.trees_ = Bag(known, train.target > 0, held_out, seed=seed)

    def _fit_next_item(
        self, examples: Examples, valid: Examples | None, encoder: Encoder, rng: np.random.Generator
    ) -> History:
        table, queries = self.table_of(examples.sequences), examples.queries
        offsets = examples.sequences.offsets
        target = self._tensor(examples.target.astype(np.int64))
        when, user, end = (
            self._tensor(table.question_time(queries)),
            self._tensor(queries.user),
            self._tensor(queries.end),
        )
        counted = None
        if self.counts_ is not None:
            counted = self._tensor(self.counts_.target_probability(examples))  # (n, 2)
            self.counts_.forget_training()
        share = np.bincount(examples.target, minlength=encoder.n_items) + 0.1
        share[:FIRST] = 0
        head = self.item_head_
        with torch.no_grad():
            head.bias.copy_(
                self._tensor(np.log(np.maximum(share / share.sum(), 1e-9)).astype(np.float32))
            )
        proposal = self._tensor((share**0.75 / (share**0.75).sum()).astype(np.float32))
        # A masked row is its own question: it stands where the answer will stand.
        asked = (
            Queries(queries.user, queries.end + 1, queries.time) if self.bidirectional else queries
        )

        def epoch_windows(draw: np.random.Generator | None) -> Windows:
            return chunks(offsets, asked, self.length, draw)

        def loss(batch: Batch) -> Tensor:
            alone = np.ones(1, dtype=bool)
            if self.bidirectional:
                batch, alone = choose_masked(batch, rng)
            last_only = self._tensor(alone)
            hidden = self._hidden(table, batch, masked=self.bidirectional)
            query = self._tensor(batch.query)
            z, gate = head(
                hidden, self.network_.embedding.when(when[query]) if head.question else hidden
            )
            items, repeats = (
                self.network_.embedding.items(),
                head.repeats(z, table.past(user[query], end[query])),
            )
            if self.loss != "softmax":
                n, calibration = (256, 0.75) if self.loss == "gbce" else (1, 0.0)
                return binary_item_loss(
                    z, items, head.bias, repeats, target[query], n=n, calibration=calibration
                ).mean()
            if encoder.n_items <= self.full_softmax:
                log_p = softmax_log_probability(z, items, head.bias, repeats, target[query])
            else:
                log_p = sampled_log_probability(
                    z, items, head.bias, repeats, target[query], proposal=proposal, n=self.negatives
                )
            if gate is not None and counted is not None:
                mixed = (1 - ALONE) * gated_log_probability(
                    log_p, counted[query].unbind(-1), gate
                ) + ALONE * log_p
                # The gate learns only where, as at scoring, the past alone is seen.
                log_p = torch.where(last_only, mixed, log_p)
            return -log_p.mean()

        measure = None
        if valid is not None and len(valid):
            some = np.sort(rng.permutation(len(valid))[: self.valid_questions])
            asked_valid, answer = valid.queries[some], valid.target[some]
            measure = lambda: _ndcg(self.score(valid.sequences, asked_valid), answer)
        return train(
            self.network_,
            forever(lambda: batches(epoch_windows(rng), self.batch_rows, rng)),
            loss,
            self._schedule(
                n_batches(epoch_windows(None), self.batch_rows), self.epochs, self.max_steps
            ),
            measure,
        )

    def _fit_label(
        self, examples: Examples, valid: Examples | None, rng: np.random.Generator
    ) -> History:
        table, queries, offsets = (
            self.table_of(examples.sequences),
            examples.queries,
            examples.sequences.offsets,
        )
        target = self._tensor(examples.target.astype(np.float32))
        arm = self._tensor(arms(examples).astype(np.float32)) if self.kind_ == "uplift" else None
        when, known = (
            self._tensor(table.question_time(queries)),
            self._tensor(self.features_.transform(examples.sequences, queries)),
        )
        if self.bidirectional and self.pretrain_steps > 0:
            self._pretrain(table, queries, rng)

        def epoch_windows(draw: np.random.Generator | None) -> Windows:
            return (
                tails(offsets, queries, self.length)
                if self.bidirectional
                else chunks(offsets, queries, self.length, draw)
            )

        def loss(batch: Batch) -> Tensor:
            query = self._tensor(batch.query)
            logits = self.logits(table, batch, when[query], known[query])
            return binary_loss(
                logits[:, 0] if arm is None else arm_logit(logits, arm[query]), target[query]
            )

        measure = None
        if valid is not None and len(valid):
            some = np.sort(rng.permutation(len(valid))[: 2 * self.valid_questions])
            asked, answer = valid.queries[some], valid.target[some]
            asked_arm = arms(valid)[some] if arm is not None else np.zeros(len(some), dtype=bool)
            # The network is judged by itself: what it learns should not be what the trees know
            # anyway.
            measure = lambda: _log_likelihood(
                _sigmoid(np.where(asked_arm, *self._scored(valid.sequences, asked, (2,)).T[::-1])),
                answer,
            )
        return train(
            self.network_,
            forever(lambda: batches(epoch_windows(rng), self.batch_rows, rng)),
            loss,
            self._schedule(
                n_batches(epoch_windows(None), self.batch_rows),
                self.binary_epochs,
                self.binary_max_steps,
            ),
            measure,
        )

    def _pretrain(self, table: EventTable, queries: Queries, rng: np.random.Generator) -> None:
        """Masked events and next sessions on what the training questions reveal, before the labels
        are looked at.
        """
        offsets = table.sequences.offsets
        end = np.zeros(len(offsets) - 1, dtype=np.int64)
        np.maximum.at(end, queries.user, queries.end)
        known = np.arange(table.sequences.n_rows) < end[table.sequences.row_user()]
        row = np.flatnonzero(known)
        # read at every row
        everything = Queries(table.sequences.row_user()[row], row + 1, table.sequences.time[row])
        windows = lambda draw: chunks(offsets, everything, self.length, draw)
        session = NextSession(self.dim).to(self.device_)
        pause = table.time[:, 0].cpu().numpy()

        def loss(batch: Batch) -> Tensor:
            batch, same = swap_sessions(batch, pause, rng)
            batch, _ = choose_masked(batch, rng)
            window, position = self._tensor(batch.window), self._tensor(batch.position)
            hide = torch.zeros(batch.rows.shape, dtype=torch.bool, device=self.device_)
            hide[window, position] = True
            states = self._states(table, batch, hide)
            told = masked_event_loss(
                self.network_.embedding,
                table,
                self._tensor(batch.rows)[window, position],
                states[window, position],
            )
            return told + session.loss(
                states, self._tensor(batch.length), self._tensor(same.astype(np.float32))
            )

        schedule = self._schedule(
            n_batches(windows(None), self.batch_rows), self.binary_epochs // 3, self.pretrain_steps
        )
        train(
            nn.ModuleList([self.network_, session]),
            forever(lambda: batches(windows(rng), self.batch_rows, rng)),
            loss,
            schedule,
        )

    def _schedule(self, per_epoch: int, epochs: int, max_steps: int) -> Schedule:
        return Schedule(
            steps=min(max(1, per_epoch * epochs), max_steps),
            lr=self.lr if self.kind_ == "next_item" else self.binary_lr,
            weight_decay=self.weight_decay,
            evaluations=self.evaluations,
            patience=self.patience,
        )

    # --- the network ------------------------------------------------------------------------------

    def _states(
        self,
        table: EventTable,
        batch: Batch,
        masked: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """(b, t, dim) states of the batch's rows."""
        x = self.network_.embedding(table, self._tensor(batch.rows), masked, time)
        states: Tensor = self.network_.backbone(x, self._tensor(batch.length))
        return states

    def _hidden(self, table: EventTable, batch: Batch, *, masked: bool) -> Tensor:
        """(r, dim) state at each read; with `masked` the content of exactly these rows is
        hidden.
        """
        window, position = self._tensor(batch.window), self._tensor(batch.position)
        hide = None
        if masked:
            hide = torch.zeros(batch.rows.shape, dtype=torch.bool, device=self.device_)
            hide[window, position] = True
        return self._states(table, batch, hide)[window, position]

    def logits(self, table: EventTable, batch: Batch, when: Tensor, known: Tensor) -> Tensor:
        """(r, 1) logit at each read; for uplift (r, 2): what the arms share and what divides
        them.
        """
        window, position = self._tensor(batch.window), self._tensor(batch.position)
        states = self._states(table, batch)
        # Reads of a two-way backbone stand at the end of their window, so "so far" is all of it.
        mean = states.cumsum(dim=1)[window, position] / (position + 1)[:, None]
        logits: Tensor = self.label_head_(
            states[window, position], mean, self.network_.embedding.when(when), known
        )
        return logits

    # --- scoring ----------------------------------------------------------------------------------

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """next_item: (n, n_items) float32 log-probabilities; binary: (n,) float32 probabilities;
        uplift: (n,) float32 differences.
        """
        if self.kind_ == "next_item":
            return self._scored(sequences, queries, (len(self.item_head_.bias),))
        logit = self._scored(sequences, queries, (2,))
        if self.trees_ is not None:
            logit = (1 - self.share_) * logit + self.share_ * self.trees_.logit(
                self.features_.transform(sequences, queries)
            )[:, None]
        p = _sigmoid(logit)
        return p[:, 1] - p[:, 0] if self.kind_ == "uplift" else p[:, 0]

    @torch.inference_mode()
    def _scored(self, sequences: Sequences, queries: Queries, shape: tuple[int, ...]) -> np.ndarray:
        """(n, *shape) float32, batch by batch: log-probabilities of items, or the network's logits
        under control and treated.
        """
        table = self.table_of(sequences)
        when = self._tensor(table.question_time(queries))
        label = self.kind_ != "next_item"
        known = self._tensor(self.features_.transform(sequences, queries)) if label else None
        scores = np.zeros((len(queries), *shape), dtype=np.float32)
        for batch in batches(
            tails(sequences.offsets, queries, self.length - (self.bidirectional and not label)),
            SCORE_ROWS,
        ):
            query = self._tensor(batch.query)
            if known is not None:
                logits = self.logits(table, batch, when[query], known[query])
                both = (
                    (logits, logits)
                    if logits.shape[1] == 1
                    else tuple(arm_logit(logits, k)[:, None] for k in (0.0, 1.0))
                )
                part = torch.cat(both, dim=1)
            else:
                part = self._item_scores(table, sequences, queries[batch.query], batch, when[query])
            scores[batch.query] = part.cpu().numpy()
        return scores

    def _item_scores(
        self, table: EventTable, sequences: Sequences, queries: Queries, batch: Batch, when: Tensor
    ) -> Tensor:
        """(r, n_items) log-probabilities."""
        hidden = self.hidden_of(table, batch, when)
        past = table.past(self._tensor(queries.user), self._tensor(queries.end))
        return self.answer(hidden, when, past, last_items(sequences, queries, last=REPEATS))

    def hidden_of(self, table: EventTable, batch: Batch, when: Tensor) -> Tensor:
        """(r, dim) state from which each read's next item is told."""
        return (
            self._hidden_of_next(table, batch, when)
            if self.bidirectional
            else self._hidden(table, batch, masked=False)
        )

    def answer(self, hidden: Tensor, when: Tensor, past: Past, item: np.ndarray) -> Tensor:
        """(r, n_items) log-probabilities of hidden (r, dim), the question's time codes (r, 3), its
        past, its last items (r, REPEATS).
        """
        head, embedding = self.item_head_, self.network_.embedding
        z, gate = head(hidden, embedding.when(when) if head.question else hidden)
        logits = item_logits(z, embedding.items(), head.bias, head.repeats(z, past))
        # missing and unknown are no answers; finite, so that no metric meets infinities
        logits[:, :FIRST] = -1e4
        log_p = torch.log_softmax(logits, dim=-1)
        if gate is not None and self.counts_ is not None:
            counted = [self._tensor(p) for p in self.counts_.after(item.astype(np.int64))]
            log_p = gated_log_probability(log_p, counted, gate[:, None])
        return log_p

    def _hidden_of_next(self, table: EventTable, batch: Batch, when: Tensor) -> Tensor:
        """(r, dim) state of a masked row appended to each window, which knows only when the
        question is asked.
        """
        b, empty = len(batch.rows), (batch.rows[:, 0] < 0)
        end = np.where(empty, 0, batch.length)  # (b,) position of the appended row
        rows = np.concatenate([batch.rows, np.full((b, 1), -1)], axis=1)
        at = np.arange(b), end
        hide = np.zeros(rows.shape, dtype=bool)
        hide[at] = True
        time = table.time[self._tensor(rows)]  # (b, t + 1, 3)
        time[self._tensor(at[0]), self._tensor(end)] = when
        longer = Batch(rows, end + 1, batch.window, batch.position, batch.query)
        return self._states(table, longer, self._tensor(hide), time)[
            self._tensor(at[0]), self._tensor(end)
        ]

    # --- small things -----------------------------------------------------------------------------

    def n_parameters(self) -> int:
        """Weights of the network."""
        return sum(p.numel() for p in self.network_.parameters())

    def table_of(self, sequences: Sequences) -> EventTable:
        """The log as tensors; kept as long as the same object is asked about, since scoring comes
        in batches.
        """
        if self._table is None or self._table[0]() is not sequences:
            self._table = (
                weakref.ref(sequences),
                EventTable(sequences, self.fields_, self.device_),
            )
        return self._table[1]

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device_)


def _known(examples: Examples) -> Examples:
    """Without the questions whose answer the encoder does not know: there is nothing to point
    at.
    """
    keep = examples.target >= FIRST
    return (
        examples
        if keep.all()
        else Examples(examples.sequences, examples.queries[keep], examples.target[keep])
    )


def _ndcg(scores: np.ndarray, target: np.ndarray) -> float:
    """Mean NDCG@10 of (n, n_items) scores, ties counted against the model."""
    scores = scores[:, FIRST:]
    # 1 = best
    rank = (scores >= scores[np.arange(len(target)), target - FIRST][:, None]).sum(axis=1)
    return float(np.where(rank <= 10, 1 / np.log2(rank + 1), 0.0).mean())


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def _log_likelihood(probability: np.ndarray, target: np.ndarray) -> float:
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return float((target * np.log(p) + (1 - target) * np.log1p(-p)).mean())
