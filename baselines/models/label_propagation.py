"""Label propagation: suspicion spreads from frauds over shared devices, cards and terminals.

Orders and the entities that they share (user, device, card, terminal, address, ...) are a bipartite
graph. A known fraud has the suspicion 1, an honest order a part of the mean suspicion of its
entities, and an entity the smoothed mean of its orders; this is iterated, so that a device is
suspect too that only honest orders of a fraudster's other account have used (after Zhu and
Ghahramani, Learning from labeled and unlabeled data with label propagation, CMU-CALD-02-107, 2002).
A logistic regression weighs the suspicion of a question's entities.

The graph of a question has the orders whose labels were known at the beginning of its day, and that
are not too old. Orders without a label are not in it: at scoring those of other users are not
at hand.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd

from baselines.base import Model
from baselines.tabular.entity_risk import among, order_identity, user_values, with_sorted
from baselines.tabular.tabular import Platt, has_both, log_loss, smoothed_rate
from eventlog._runtime.settings import Above, Range
from eventlog.arrays import DAY_MS, FIRST, Examples, Queries, Sequences
from eventlog.encode import Encoder

UNSHARED = frozenset({"event", "item_id", "category", "brand", "query"})  # what orders are about
MISSING = -1


class LabelPropagation(Model):
    """Suspicion of a question's entities, spread over the graph of labelled orders.

    Args:
        windows_days: ages at which a labelled order may leave the graph; the validation part
            chooses one, without one it is the first.
        steps: of the propagation.
        passed_on: part of its entities' suspicion that an honest order passes on.
        smoothing: orders that the base rate is worth in the mean of an entity.
        delay_days: after which a label is known, where `Examples.known_at` does not say when.
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"binary"})
    tasks: ClassVar[frozenset[str] | None] = frozenset({"fraud"})
    seeded: ClassVar[bool] = False

    def __init__(
        self,
        *,
        windows_days: Several[Annotated[float, Above(0.0)]] = (30.0, 15.0, 90.0),
        steps: Annotated[int, Range(0, 100)] = 3,
        passed_on: Annotated[float, Range(0.0, 1.0)] = 0.5,
        smoothing: Annotated[float, Above(0.0)] = 3.0,
        delay_days: Annotated[float, Range(0.0)] = 7.0,
    ) -> None:
        self.windows, self.steps = tuple(int(d * DAY_MS) for d in windows_days), steps
        self.passed_on, self.smoothing = passed_on, smoothing
        self.delay = int(delay_days * DAY_MS)

    def fit(
        self, train: Examples, valid: Examples | None = None, *, encoder: Encoder, seed: int
    ) -> None:
        """Take in the labels, and weigh the suspicion of each kind of entity."""
        self.coded_ = [name for name in encoder.vocabularies if name not in UNSHARED]
        self.hashed_ = [name for name in encoder.high_cardinality if name not in UNSHARED]
        self.base_rate_ = smoothed_rate(train.target)
        width = len(self.coded_) + len(self.hashed_) + 1
        self.entity_ = np.zeros((0, width), dtype=np.int64)  # (n_labels, kinds of entity)
        self.time_ = np.zeros((0, 2), dtype=np.int64)  # (n_labels, 2) ms: placed, label known
        self.fraud_ = np.zeros(0, dtype=bool)  # (n_labels,)
        self.seen_ = np.zeros(0, dtype=np.int64)  # (n_labels,) orders with their labels, ascending
        self.observe(train)
        self.window_ = self.windows[0]
        if valid is None or not (has_both(train.target) and has_both(valid.target)):
            self.weigh_ = Platt(self._suspicions(train.sequences, train.queries), train.target)
            return
        self.observe(valid)
        losses, fitted = [], []
        for window in self.windows:
            self.window_ = window
            table, held = (self._suspicions(p.sequences, p.queries) for p in (train, valid))
            losses.append(log_loss(valid.target, Platt(table, train.target)(held)))
            both = np.concatenate([table, held]), np.concatenate([train.target, valid.target])
            fitted.append(Platt(*both))
        best = int(np.argmin(losses))
        self.window_, self.weigh_ = self.windows[best], fitted[best]

    def observe(self, known: Examples) -> None:
        """Add labelled orders to the graph, those that are not there with the same label."""
        order = order_identity(known, user_values(known.sequences, known.queries.user))
        order = order * 2 + (known.target > 0)
        new = np.flatnonzero(~among(self.seen_, order))
        self.seen_ = with_sorted(self.seen_, order[new])
        known = Examples(
            known.sequences,
            known.queries[new],
            known.target[new],
            known_at=None if known.known_at is None else known.known_at[new],
        )
        entity = self._entities(known.sequences, known.queries)
        placed = known.queries.time
        late = placed + self.delay if known.known_at is None else known.known_at
        time = np.stack([placed, np.maximum(late, placed + 1)], axis=1)
        self.entity_ = np.concatenate([self.entity_, entity])
        self.time_ = np.concatenate([self.time_, time])
        self.fraud_ = np.concatenate([self.fraud_, known.target > 0])

    def score(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the probability of 1, (n,) float64."""
        return self.weigh_(self._suspicions(sequences, queries))

    def _suspicions(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the log of suspicion over base rate of each question's entities.

        The shape is (n, kinds of entity + 2); the last columns are the mean and the largest.
        """
        entity = self._entities(sequences, queries)
        found = np.zeros(entity.shape)
        day = queries.time // DAY_MS
        order = np.argsort(day, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(day[order])) + 1):
            if len(rows):
                found[rows] = self._spread(entity[rows], int(day[rows[0]]) * DAY_MS)
        known = entity != MISSING
        mean = found.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return np.column_stack([found, mean, found.max(axis=1)])

    def _spread(self, asked: np.ndarray, now: int) -> np.ndarray:
        """Return the log of suspicion over base rate of entities, (n, kinds); 0 if missing.

        Args:
            asked: (n, kinds) int64 entities.
            now: ms; labels known later are left out.
        """
        use = (self.time_[:, 1] <= now) & (self.time_[:, 0] >= now - self.window_)
        entity, fraud = self.entity_[use], self.fraud_[use]
        if len(fraud) == 0:
            return np.zeros(asked.shape)
        base = smoothed_rate(fraud)
        m, kinds = entity.shape
        codes = [pd.factorize(np.append(entity[:, k], asked[:, k]))[0] for k in range(kinds)]
        sizes = [int(code.max()) + 1 for code in codes]
        has = entity != MISSING
        orders = [np.bincount(c[:m], minlength=n) for c, n in zip(codes, sizes, strict=True)]
        suspicion = fraud.astype(np.float64)  # of orders
        for step in range(self.steps + 1):
            of_entity = [
                (np.bincount(code[:m], weights=suspicion, minlength=n) + self.smoothing * base)
                / (count + self.smoothing)
                for code, n, count in zip(codes, sizes, orders, strict=True)
            ]
            if step < self.steps:
                near = np.column_stack([f[c[:m]] for f, c in zip(of_entity, codes, strict=True)])
                mean = (near * has).sum(axis=1) / np.maximum(has.sum(axis=1), 1)
                suspicion = np.where(fraud, 1.0, self.passed_on * mean)
        found = np.column_stack([f[c[m:]] for f, c in zip(of_entity, codes, strict=True)])
        return np.where(asked != MISSING, np.log(found / base), 0.0)

    def _entities(self, sequences: Sequences, queries: Queries) -> np.ndarray:
        """Return the entities of each question's last known row, (n, kinds) int64."""
        known = queries.end > sequences.offsets[queries.user]
        out = np.full((len(queries), len(self.coded_) + len(self.hashed_) + 1), MISSING)
        row = queries.end[known] - 1
        for k, name in enumerate(self.coded_):
            if name in sequences.columns:
                code = sequences.columns[name][row].astype(np.int64)
                out[known, k] = np.where(code >= FIRST, code, MISSING)
        for k, name in enumerate(self.hashed_, start=len(self.coded_)):
            if name in sequences.ids:
                out[known, k] = sequences.ids[name][row]
        out[known, -1] = user_values(sequences, queries.user[known])
        return out

    def n_parameters(self) -> int:
        """Return the number of labelled orders that the graph may hold."""
        return len(self.fraud_)
