"""markov: counts of what follows what, the baseline. No latent, no network.

Each field of a row is drawn given a context, a tuple of levels (see `generators.markov.contexts`):
what the row before was, where the user stands in the session and in the plan, the user's
attributes, traits of the row's item, and fields of the row that are drawn before. Which of them is
chosen field by field (`generators.markov.choice`). Users who have ordered are likelier to order
again, the more so the more often: counted so, buyers differ as much as in the log (Polya's urn
gives the negative binomial distribution). The item, where it is not a copy, follows the item
before.

A code counted n times of m in its context has the share (n + s * b) / (m + s), with b its share in
the coarser context and s the strength of the backoff (`generators.markov.backoff`): the Dirichlet
smoothing of MacKay and Peto (1995). Under a privacy budget the context is the usual one and the
counts are noisy (see `generators.markov.private_tables`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import torch
from numba import njit

from eventlog import EventLog
from eventlog._runtime.settings import Range
from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.parts import (
    ARRIVAL,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
)
from generators.codec.restore import restored
from generators.markov.backoff import BackoffTable
from generators.markov.choice import MOST_LEVELS, choose, parents
from generators.markov.contexts import (
    ContextFeatures,
    conditions,
    context,
    context_features,
    is_open,
    nothing_seen,
    order_level,
    purchases,
    size_of,
)
from generators.markov.private_questions import (
    ITEM_PAIRS,
    ROUNDS,
    PrivateQuestions,
    attribute_table,
    weight_of,
)
from generators.markov.private_tables import PrivateTables
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
from generators.privacy.pairs import Pairs, pseudo_pairs
from generators.sampling.step_model import draw
from generators.sequence_model import SequenceGenerator
from generators.sequences import feature_layout as layout
from generators.sequences.encode import EncodedSequences
from generators.validation import Record, StateError, array, no_others, shares

MOST_COUNTED = 1e15  # rows of an item
MOST_CONTEXTS = 10**9  # of a field
START_S, ROW_S = 8.0, 4e-5  # CPU seconds of a fit on the reference machine, and of each row
HOURS_A_DAY = 24
# The attribute that an attribute of users is given; the others are given the one before them.
PARENTS = {OBSERVATION_SPAN: ARRIVAL, LENGTH: OBSERVATION_SPAN, N_LABELLED_SESSIONS: LENGTH}


class Markov(SequenceGenerator):
    """A Markov chain over (event, category, item); all fields given what tells most about them.

    Args:
        strength: pseudo-counts of the coarser context, at the least.
        successors: items kept as successors of an item.
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
        self.shares_: dict[str, BackoffTable] = {}
        self.tables_: dict[str, np.ndarray] = {}
        self.given_: dict[str, list[int]] = {}
        known = conditions(codec)
        fields = [n for n in codec.fields() if n != "item"]
        if ledger.epsilon is not None:
            tables = Tables(ledger, ROUNDS, n_users=len(steps))
            pairs = Pairs.of(
                np.asarray(codec.items.category, dtype=np.int64), self.field_marginals_["item"]
            )
            questions = PrivateQuestions(codec, tables, owner, seen, column, pairs)
            answers, events = questions.ask(asked, clip_quantile=self.clip_quantile)
            private = PrivateTables(codec, answers, self.field_marginals_ | {"event": events})
            for name in fields:
                widths = [w for _, w in context(codec, name, seen)]
                self.given_[name] = list(range(len(widths)))
                self.shares_[name] = BackoffTable.dense(private.learn(name, widths), len(widths))
            self._learn_private_items(answers, pairs)
        else:
            answers = exact_answers(asked)
            for name in fields:
                code, size = column[name], codec.fields()[name]
                choice = choose(codec, name, code, seen, known, strength=self.strength)
                levels = context(codec, name, seen, choice.levels, known)
                self.given_[name] = choice.levels
                self.shares_[name] = BackoffTable.learn(
                    code.numpy(), levels, size, choice.strengths
                )
            self._learn_items(steps, column["item"].numpy(), owner)
        self._learn_user_attributes(answers)

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

    def _learn_private_items(self, answers: Answers, pairs: Pairs) -> None:
        """Learn how popular fresh items are, and which follow which, from counts with noise."""
        counts, noise = answers["item"]
        popular = np.where(counts > noise, counts, 0.0).astype(np.float32)
        successor = np.zeros((len(counts), self.successors), dtype=np.int32)
        count = np.zeros((len(counts), self.successors), dtype=np.float32)
        _, sd = answers[ITEM_PAIRS]
        for items, of in zip(pairs.members, pairs.matrices(*answers[ITEM_PAIRS]), strict=True):
            best = np.argsort(-of, axis=1, kind="stable")[:, : self.successors]
            rows, n = items[: len(of)], best.shape[1]
            found = np.take_along_axis(of, best, axis=1)
            # a category's popularity counts `strength` pairs, see MarkovStepModel.item_weights
            count[rows, :n] = found * self.strength / pseudo_pairs(len(of), sd)
            successor[rows, :n] = np.where(found > 0, items[best], 0)
        self.tables_ |= {
            "popularity": popular,
            "successor": successor,
            "successor_count": count,
        }

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
            self.shares_,
            self.tables_,
            self.attribute_shares_,
            self.parents_,
            self.given_,
            self.strength,
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        arrays = {f"table/{k}": v for k, v in self.tables_.items()} | {
            f"static/{k}": v for k, v in enumerate(self.attribute_shares_)
        }
        for name, table in self.shares_.items():
            arrays |= {f"{part}/{name}": values for part, values in vars(table).items()}
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
        self.shares_, self.tables_ = self._shares_of(arrays), self._item_tables_of(arrays)
        self.attribute_shares_ = []
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
                *(f"{part}/{n}" for part in ("offsets", "keys", "share") for n in self.shares_),
            ],
        )

    def _given(self, record: Record) -> dict[str, list[int]]:
        """Return what each field is given beside its context; see contexts.choose."""
        fields = [n for n in self.codec_.fields() if n != "item"]
        record.only(fields)
        seen, known, given = nothing_seen(self.codec_), conditions(self.codec_), {}
        for name in fields:
            usual = len(context(self.codec_, name, seen))
            chosen = record.integers(name, low=0, high=usual + len(known) - 1).tolist()
            more = [known[k - usual] for k in chosen if k >= usual]
            if not chosen or len(set(chosen)) < len(chosen) or len(chosen) > MOST_LEVELS:
                record.fail(name, "is no list of different levels")
            if not all(is_open(self.codec_, name, condition) for condition in more):
                record.fail(name, "gives a field what is drawn after it")
            given[name] = chosen
        return given

    def _shares_of(self, arrays: dict[str, np.ndarray]) -> dict[str, BackoffTable]:
        """Return the tables of fields, each of the shape that the codec asks for."""
        codec, seen, known = self.codec_, nothing_seen(self.codec_), conditions(self.codec_)
        tables = {}
        for name, size in codec.fields().items():
            if name == "item":
                continue
            levels = context(codec, name, seen, self.given_[name], known)
            offsets = array(
                arrays,
                f"offsets/{name}",
                dtype="int64",
                shape=(len(levels) + 2,),
                low=0,
                high=MOST_CONTEXTS,
            )
            n, highest = int(offsets[-1]), math.prod(width for _, width in levels)
            if n == 0 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
                raise StateError(f"model.safetensors: offsets/{name} does not rise from 0.")
            keys = array(arrays, f"keys/{name}", dtype="int64", shape=(n,), low=0, high=highest - 1)
            share = shares(arrays, f"share/{name}", dtype="float32", shape=(n, size))
            tables[name] = BackoffTable(offsets, keys, share)
        return tables

    def _item_tables_of(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the tables of items, each of the shape that the codec asks for."""
        n_items, tables = self.codec_.items.size, {}
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


class MarkovStepModel:
    """The StepModel of Markov: each logit is the logarithm of a table's entry."""

    def __init__(
        self,
        codec: Codec,
        shares: dict[str, BackoffTable],
        tables: dict[str, np.ndarray],
        attribute_shares: list[np.ndarray],
        parents: list[int],
        given: dict[str, list[int]],
        strength: float,
    ) -> None:
        self.codec, self.strength, self.attribute_shares = codec, strength, attribute_shares
        self.parents, self.given, self.known = parents, given, conditions(codec)
        # fields of the row that each field is given
        nothing = nothing_seen(codec)
        self.needs: dict[str, list[str]] = {}
        for name, chosen in given.items():
            usual = len(context(codec, name, nothing))
            more = [self.known[k - usual] for k in chosen if k >= usual]
            self.needs[name] = [c.field for c in more if c.field and c.table is None]
        self.kept = {field for fields in self.needs.values() for field in fields}
        self.shares = shares
        self.log = {name: table.log_share() for name, table in shares.items()}
        self.successor, self.count = tables["successor"], tables["successor_count"]
        popular, of = tables["popularity"] + 1e-3, codec.items.category
        popular[0] = 0.0  # no item
        # (n_items,) weight after any item
        self.fresh = (strength * popular / np.bincount(of, popular).clip(min=1e-9)[of]).astype(
            np.float32
        )
        no_hour = torch.zeros(1, codec.clock.size)
        weekly = codec.timing_params().weekly
        # (rhythms, 1 + WEEK_HOURS, gap codes)
        self.cycle = torch.stack([torch.cat([no_hour, codec.clock.cycle(w)]) for w in weekly])
        self.purchases = purchases(codec)

    def begin(
        self, users: int, generator: torch.Generator, allowed: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """See StepModel."""
        self.features = torch.zeros((users, 0), dtype=torch.int64)
        zero, no = torch.zeros(users).long(), torch.zeros(users).bool()
        self.event, self.is_session_start, self.session_label = zero, no, zero
        self.orders, self.level, self.bought = zero, zero, no
        codes: list[torch.Tensor] = []
        for k, table in enumerate(self.attribute_shares):
            parent = self.parents[k]
            share = torch.from_numpy(table)[zero if parent < 0 else codes[parent]] + 1e-12
            codes.append(draw(torch.log(share), None if allowed is None else allowed[k], generator))
        attributes = torch.stack(codes, 1)
        self.size = size_of(self.codec, attributes)
        self.attributes, self.item = attributes, zero
        self.drawn: dict[str, torch.Tensor] = {}
        self.rhythm = torch.from_numpy(self.codec.rhythms_of(attributes))
        return attributes

    def step(self, features: np.ndarray) -> None:
        """See StepModel."""
        self.features = torch.from_numpy(features)
        bought = self.purchases[self.features[:, layout.LAST_EVENT]]
        self.orders, self.bought = self.orders + (bought & ~self.bought), bought
        self.level = order_level(self.orders)
        self.event = torch.zeros(len(features), dtype=torch.int64)
        self.is_session_start = torch.zeros(len(features), dtype=torch.bool)
        self.session_label = (self.features[:, layout.LAST_SESSION_LABEL] - 1).clamp(min=0)
        # a first row has no gap
        self.drawn = {"gap": torch.zeros(len(features), dtype=torch.int64)}

    def logits(self, name: str, rows: np.ndarray) -> np.ndarray:
        """See StepModel."""
        index = torch.from_numpy(rows)
        seen = ContextFeatures(
            self.features,
            self.event,
            self.is_session_start,
            self.session_label,
            self.level,
            self.size,
            self.attributes,
            self.item,
            self.drawn,
        )
        if len(rows) < len(self.event):
            seen = seen.only(index, self.needs[name])
        levels = context(self.codec, name, seen, self.given[name], self.known)
        logits = self.log[name][torch.from_numpy(self.shares[name].rows(levels))]
        if name == "gap":
            # codes + 1, 0 = before the first row
            hour = self.features[index, layout.LAST_HOUR]
            weekday = self.features[index, layout.LAST_WEEKDAY]
            hour_of_week = torch.where(hour > 0, (weekday - 1) * HOURS_A_DAY + hour, 0)
            logits = logits + self.cycle[self.rhythm[index], hour_of_week]
        return logits.numpy()

    def item_weights(self, category: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return counts after the item before, plus `strength` times the shares in the category.

        See StepModel.
        """
        start = self.codec.items.start
        out = np.zeros((len(rows), int((start[1:] - start[:-1]).max())), dtype=np.float32)
        before = self.features[:, layout.LAST_ITEMS].numpy()[rows]
        _weigh(
            out,
            start[category],
            start[category + 1],
            before,
            self.fresh,
            self.successor,
            self.count,
        )
        return out

    def chose(self, name: str, rows: np.ndarray, code: np.ndarray) -> None:
        """See StepModel."""
        if name == "gap":
            self.is_session_start = self.codec.clock.starts_session(torch.from_numpy(code)) | (
                self.features[:, layout.LAST_EVENT] == 0
            )
        elif name == SESSION_LABEL:
            self.session_label = torch.from_numpy(code)
        elif name == "event":
            self.event = torch.from_numpy(code)
        elif name == "item":
            self.item = torch.from_numpy(code)
        if name in self.kept:
            self.drawn[name] = torch.from_numpy(code.copy())

    def keep(self, rows: np.ndarray) -> None:
        """See StepModel."""
        index = torch.from_numpy(rows)
        self.features, self.event = self.features[index], self.event[index]
        self.is_session_start = self.is_session_start[index]
        self.session_label = self.session_label[index]
        self.orders, self.bought = self.orders[index], self.bought[index]
        self.level, self.size = self.level[index], self.size[index]
        self.attributes, self.item = self.attributes[index], self.item[index]
        self.rhythm = self.rhythm[index]


@njit(cache=True)
def _weigh(out, first, stop, before, fresh, successor, count):
    """Write weights of the items first..stop - 1 to `out` (m, width).

    Args:
        first, stop, before: (m,) items of each row.
        fresh: (n_items,) weights after any item.
        successor, count: (n_items, successors) items and their counts after an item.
    """
    for k in range(len(out)):
        for item in range(first[k], stop[k]):
            out[k, item - first[k]] = fresh[item]
        for j in range(successor.shape[1]):
            item = successor[before[k], j]
            if item > 0 and first[k] <= item < stop[k]:
                out[k, item - first[k]] += count[before[k], j]
