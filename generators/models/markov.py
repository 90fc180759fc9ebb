"""markov: counts of what follows what, the baseline. No latent, no memory beyond the last row.

Each field of a row is drawn given a context (see `generators.markov.contexts`)::

    gap        the event before, whether the cart is empty, the pace, the position in the session
    label      how many labelled sessions are to come, and in how many rows
    event      the event before, whether a session begins, the cart, the user's number of rows,
               the orders so far
    category   the event, the last category
    item       where it is not a copy: the item before; under a budget the last three different
               items of the category (see `generators.markov.label_chain`)
    a value    the event, whether a session begins, the user's value before
    an id      the event, whether a session begins (the first or a later one), the orders so far,
               the event before
    others     the event, the event before, whether a session begins

and each also given the session's label, and up to three attributes of the user, or the price level
of the item, that tell most about it (`contexts.choose`). Users who have ordered are likelier to
order again, the more so the more often: counted so, buyers differ as much as in the log (Pólya's
urn gives the negative binomial distribution).

A code counted n times of m in its context has the share (n + s * b) / (m + s), with b its share in
the coarser context and s the strength of the backoff: the Dirichlet smoothing of MacKay and Peto
(1995). Under a privacy budget the counts are noisy (see `generators.markov.private_tables`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import torch

from eventlog import EventLog
from eventlog._runtime.settings import Range
from generators.codec.codec import Codec
from generators.codec.parts import ARRIVAL, LENGTH, N_LABELLED_SESSIONS, OBSERVATION_SPAN
from generators.codec.restore import restored
from generators.markov.contexts import (
    MOST_CHOSEN,
    ContextFeatures,
    Levels,
    choose,
    context,
    context_features,
    index_of,
    parents,
    sizes_about,
)
from generators.markov.item_weights import Chain, ItemWeights, Successors, facts_of
from generators.markov.label_chain import MOST_COUNTED, LabelChain, Visits
from generators.markov.private_questions import (
    ITEM_PAIRS,
    ROUNDS,
    PrivateQuestions,
    attribute_table,
    weight_of,
)
from generators.markov.private_tables import PrivateTables
from generators.markov.step_model import MarkovStepModel
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import (
    Answers,
    Question,
    Tables,
    backed_off,
    exact_answers,
    given_rows,
    raked,
)
from generators.privacy.pairs import Pairs
from generators.sequence_model import SequenceGenerator
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from generators.validation import Record, array, no_others, shares

ITEMS = "items"  # what the chain is of, under a budget
START_S, ROW_S = 8.0, 4e-5  # CPU seconds of a fit on the reference machine, and of each row
# The attribute that an attribute of users is given; the others are given the one before them.
PARENTS = {OBSERVATION_SPAN: ARRIVAL, LENGTH: OBSERVATION_SPAN, N_LABELLED_SESSIONS: LENGTH}


class Markov(SequenceGenerator):
    """A first-order Markov chain over (event, category, item); other fields given the event.

    Args:
        strength: pseudo-counts of the coarser context.
        successors: items kept as successors of an item, without a privacy budget.
        clip_quantile: under a privacy budget, the share of users whose counts are not scaled down.
        sequence: see `SequenceGenerator`.
    """

    supports_epsilon = True
    retired_settings = frozenset({"clip"})

    def __init__(
        self,
        *,
        strength: Annotated[float, Range(1e-6, 1e9)] = 2.0,
        successors: Annotated[int, Range(1, 1_000_000)] = 50,
        clip_quantile: Annotated[float, Range(0.01, 1.0)] = 0.3,
        **sequence: Any,
    ) -> None:
        super().__init__(**sequence)
        self.strength, self.successors = strength, successors
        self.clip_quantile = clip_quantile

    def expected_seconds(self, log: EventLog, *, private: bool) -> float | None:
        """See Generator.expected_seconds; not known under a budget."""
        return None if private else START_S + ROW_S * len(log)

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {
            **super().settings(),
            "strength": self.strength,
            "successors": self.successors,
            "clip_quantile": self.clip_quantile,
        }

    def _learn(self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger) -> None:
        codec, attributes = self.codec_, steps.user_attributes.numpy()
        column = {n: steps.target[:, k] for k, n in enumerate(steps.names)}
        owner = np.repeat(np.arange(len(steps)), steps.lengths())
        seen = context_features(codec, steps)
        asked = self._attribute_questions(attributes)
        self.tables_: dict[str, np.ndarray] = {}
        self.given_: dict[str, list[int]] = {}
        fields = [n for n in codec.fields() if n != "item"]
        if ledger.epsilon is not None:
            tables = Tables(ledger, ROUNDS, n_users=len(steps))
            group = np.asarray(codec.items.category[1:], dtype=np.int64)
            paired_by = self.field_marginals_["item"][1:].astype(np.float32)
            pairs = Pairs.of(group, paired_by)
            visits = Visits.of(owner, steps.items.numpy() - 1)
            questions = PrivateQuestions(codec, tables, owner, seen, column, visits, pairs)
            answers, events = questions.ask(asked, clip_quantile=self.clip_quantile)
            private = PrivateTables(codec, answers, self.field_marginals_ | {"event": events})
            for name in fields:
                self.given_[name] = []
                widths = [w for _, w in context(codec, name, seen)]
                self.tables_[name] = private.learn(name, widths).astype(np.float32)
            counts, noise = answers["item"]
            facts = facts_of(codec.items)
            self.chain_ = LabelChain.learned(
                group, paired_by, (counts[1:], noise), answers[ITEM_PAIRS], facts
            )
        else:
            answers = exact_answers(asked)
            for name in fields:
                self.given_[name] = choose(codec, name, column[name], seen)
                levels = context(codec, name, seen, self.given_[name])
                self.tables_[name] = self._exact(name, column[name], levels).astype(np.float32)
            self._learn_items(steps, column["item"].numpy(), owner)
        self._learn_user_attributes(answers)

    def _exact(self, name: str, code: torch.Tensor, levels: Levels) -> np.ndarray:
        """Return the shares of a field's codes (n,) in each context, (contexts, size)."""
        size, (at, n) = self.codec_.fields()[name], index_of(levels)
        counts = np.bincount((at * size + code)[code >= 0].numpy(), minlength=n * size)
        return backed_off(
            counts,
            [w for _, w in levels],
            np.full(size, 1 / size),
            strength=self.strength,
            noise=0.0,
        )

    def _attribute_questions(self, attributes: np.ndarray) -> list[Question]:
        """Return the table of each attribute given another; `attributes` (n_users, S) codes."""
        sizes = self.codec_.user_attribute_sizes()
        self.parents_ = (
            [parent_of(self.codec_, k) for k in range(len(sizes))]
            if self.codec_.private
            else parents(self.codec_, attributes)
        )
        everyone, questions = np.arange(len(attributes)), []
        for k, (name, size) in enumerate(sizes.items()):
            parent = self.parents_[k]
            wide = 1 if parent < 0 else list(sizes.values())[parent]
            cell = attributes[:, k] + (0 if parent < 0 else attributes[:, parent] * size)
            scale = math.sqrt(weight_of(self.codec_, name))
            rows = given_rows((everyone, cell, None))
            questions.append(Question(attribute_table(name), wide * size, rows, scale))
        return questions

    def _learn_user_attributes(self, answers: Answers) -> None:
        """Learn the shares of each attribute given another.

        Under a budget a noisy table of pairs follows the marginals, which are known better.
        """
        self.attribute_shares_: list[np.ndarray] = []
        reached: list[np.ndarray] = []  # shares of the codes of each attribute, as they are drawn
        for k, (name, size) in enumerate(self.codec_.user_attribute_sizes().items()):
            counts, noise = answers[attribute_table(name)]
            marginal, parent = self.attribute_marginals_[k], self.parents_[k]
            share = backed_off(
                counts, [len(counts) // size], marginal, first=self.strength, noise=noise
            )
            before = np.ones(1) if parent < 0 else reached[parent]
            if noise:
                share = raked(share, before, marginal)
            reached.append(before @ share)
            self.attribute_shares_.append(share)

    def _learn_items(self, steps: EncodedSequences, item: np.ndarray, owner: np.ndarray) -> None:
        """Learn how popular fresh items are, and which item follows which; `item` (n,) codes."""
        fresh, size = item >= 0, self.codec_.items.size
        popularity = np.bincount(item[fresh], minlength=size)
        self.tables_["popularity"] = popularity.astype(np.float32)
        before = steps.features[fresh, layout.LAST_ITEMS].numpy()
        self._learn_successors(owner[fresh], before, item[fresh], size)

    def _learn_successors(
        self, user: np.ndarray, before: np.ndarray, item: np.ndarray, size: int
    ) -> None:
        """Keep the most frequent fresh items after each item.

        They are (size, successors) codes, 0 = none, and counts. A pair of a single user is left
        out: it would identify that user.
        """
        pair, place, count = np.unique(
            before * size + item, return_inverse=True, return_counts=True
        )
        users = np.bincount(
            np.unique(place * (user.max(initial=0) + 1) + user) // (user.max(initial=0) + 1),
            minlength=len(pair),
        )
        pair, count = pair[users > 1], count[users > 1]
        first = pair // size
        order = np.lexsort((pair, -count, first))
        pair, count, first = pair[order], count[order], first[order]
        rank = np.arange(len(first)) - np.searchsorted(first, first)
        keep = rank < self.successors
        self.tables_["successor"] = np.zeros((size, self.successors), dtype=np.int32)
        self.tables_["successor_count"] = np.zeros((size, self.successors), dtype=np.float32)
        self.tables_["successor"][first[keep], rank[keep]] = pair[keep] % size
        self.tables_["successor_count"][first[keep], rank[keep]] = count[keep]

    def _step_model(self, past: EncodedSequences | None = None) -> MarkovStepModel:
        return MarkovStepModel(
            self.codec_,
            self.tables_,
            self.attribute_shares_,
            self.parents_,
            self.given_,
            self._item_weights(),
        )

    def _item_weights(self) -> ItemWeights:
        if self.codec_.private:
            return Chain(self.codec_, self.chain_)
        return Successors(self.codec_, self.tables_, self.strength)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        arrays = {f"table/{k}": v for k, v in self.tables_.items()} | {
            f"static/{k}": v for k, v in enumerate(self.attribute_shares_)
        }
        if self.codec_.private:
            arrays |= self.chain_.state(ITEMS)
        data = {"codec": self.codec_.to_json(), "given": self.given_, "parents": self.parents_}
        return arrays, data

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        own = Record(data)
        own.only(("codec", "given", "parents"))
        self.codec_ = restored({"codec": own.value("codec")}, max_rows=self.max_rows)
        sizes = list(self.codec_.user_attribute_sizes().values())
        parents = own.integers("parents", size=len(sizes), low=-1, high=len(sizes) - 1)
        if (parents >= np.arange(len(sizes))).any():
            own.fail("parents", "gives an attribute one that is drawn after it")
        self.parents_, self.given_ = parents.tolist(), self._given(own.record("given"))
        self.tables_, self.attribute_shares_ = self._tables_of(arrays), []
        chain: dict[str, np.ndarray] = {}
        if self.codec_.private:
            group = np.asarray(self.codec_.items.category[1:], dtype=np.int64)
            self.chain_ = LabelChain.restored(arrays, ITEMS, group)
            chain = self.chain_.state(ITEMS)
        for k, size in enumerate(sizes):
            parent = self.parents_[k]
            shape = (1 if parent < 0 else sizes[parent], size)
            self.attribute_shares_.append(
                shares(arrays, f"static/{k}", dtype="float64", shape=shape)
            )
        no_others(
            arrays,
            [
                *(f"table/{n}" for n in self.tables_),
                *(f"static/{k}" for k in range(len(sizes))),
                *chain,
            ],
        )

    def _given(self, record: Record) -> dict[str, list[int]]:
        """Return what each field is given beside its context; see contexts.choose."""
        fields = [n for n in self.codec_.fields() if n != "item"]
        record.only(fields)
        last = len(sizes_about(self.codec_)) - 1
        given = {n: record.integers(n, low=0, high=last).tolist() for n in fields}
        later = {*self.codec_.value_fields, *self.codec_.rest_fields}
        for name, columns in given.items():
            if len(columns) > MOST_CHOSEN or (last in columns and name not in later):
                record.fail(name, "gives a field too much, or what is drawn after it")
        return given

    def _tables_of(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the tables of fields and items, each of the shape that the codec asks for."""
        codec, n_items = self.codec_, self.codec_.items.size
        nothing = torch.zeros(0, dtype=torch.int64)
        seen = ContextFeatures(
            features=torch.zeros((0, len(codec.feature_sizes())), dtype=torch.int64),
            event=nothing,
            is_session_start=nothing,
            session_label=nothing,
            orders=nothing,
            size=nothing,
            about=torch.zeros((0, len(sizes_about(codec))), dtype=torch.int64),
        )
        tables = {}
        for name, size in codec.fields().items():
            if name != "item":
                contexts = index_of(context(codec, name, seen, self.given_[name]))[1]
                tables[name] = shares(
                    arrays, f"table/{name}", dtype="float32", shape=(contexts, size)
                )
        if codec.private:
            return tables
        counts = {
            "popularity": ((n_items,), "float32"),
            "successor": ((n_items, None), "int32"),
            "successor_count": ((n_items, None), "float32"),
        }
        for name, (shape, dtype) in counts.items():
            high = n_items - 1 if name == "successor" else MOST_COUNTED
            tables[name] = array(
                arrays, f"table/{name}", dtype=dtype, shape=shape, low=0, high=high
            )
        array(arrays, "table/successor_count", dtype="float32", shape=tables["successor"].shape)
        return tables


def parent_of(codec: Codec, k: int) -> int:
    """Return the attribute that the k-th is given under a budget: a fixed one, or the one before.

    It is -1 for the first.
    """
    names = list(codec.user_attributes)
    named = PARENTS.get(names[k])
    return names.index(named) if named in names else k - 1
