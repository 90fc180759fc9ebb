"""markov: counts of what follows what, the baseline. No latent, no network.

Each field of a row is drawn given a context, a tuple of levels (see `generators.markov.contexts`):
what the row before was, the user's place in the session and in the plan, the user's attributes,
traits of the row's item, and fields of the row that are drawn before. Which of them is chosen field
by field (`generators.markov.choice`). Users who have ordered are likelier to order again, the more
so the more often: counted so, buyers differ as much as in the log (Polya's urn gives the negative
binomial distribution). The item, where it is not a copy, follows the last three different ones of
the category (see `generators.markov.label_chain`) and, without a budget, the item before, as far as
counts of pairs say more than that (see `generators.markov.item_weights`).

A code counted n times of m in its context has the share (n + s * b) / (m + s), with b its share in
the coarser context and s the strength of the backoff (`generators.markov.backoff`): the Dirichlet
smoothing of MacKay and Peto (1995). Under a privacy budget the context is the usual one and the
counts are noisy (see `generators.markov.private_tables`).
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import numpy as np
import torch

from eventlog import EventLog
from eventlog._runtime.settings import Range
from generators.codec.restore.codec import restored
from generators.markov.attributes import AttributeTables
from generators.markov.backoff import BackoffTable, restored_table
from generators.markov.choice import MOST_LEVELS, choose
from generators.markov.conditions import Condition, ContextFeatures
from generators.markov.contexts import (
    conditions,
    context,
    context_features,
    is_open,
    levels_of,
    usual_levels,
)
from generators.markov.expected import (
    Expectation,
    Expected,
    expected_fields,
    learn_expected,
    restored_expectations,
)
from generators.markov.item_weights import (
    Chain,
    Successors,
    facts_of,
    learn_items,
    restored_successors,
)
from generators.markov.label_chain import LabelChain, Visits
from generators.markov.pacing import Pacing
from generators.markov.private_attributes import attribute_questions, learn_attributes
from generators.markov.private_questions import ITEM_PAIRS, ROUNDS, PrivateQuestions
from generators.markov.private_tables import PrivateTables
from generators.markov.step_model import MarkovStepModel
from generators.markov.tables import FRESH_PRICE, part_codes, table_sizes
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import Tables
from generators.privacy.pairs import Pairs
from generators.sampling.biases import Biases, restored_biases, state_of
from generators.sampling.calibration import calibrate_fields
from generators.sampling.parts import FIELDS_STREAM, stream
from generators.sequence_model import SequenceGenerator
from generators.sequences.encode import EncodedSequences
from generators.sequences.sampled import Sampled
from generators.validation import Record, no_others

ITEMS = "items"  # what the chain is of
# CPU seconds of a fit on the reference machine, of each column of events, and of each of its values
COLUMN_S, VALUE_S = 0.57, 4.3e-6


class Markov(SequenceGenerator):
    """A Markov chain over (event, category, item); all fields given what tells most about them.

    Args:
        strength: pseudo-counts of the coarser context, at the least.
        successors: items kept as successors of an item, without a privacy budget.
        clip_quantile: under a privacy budget, the share of users whose counts are not scaled down.
        sequence: see `SequenceGenerator`.
    """

    supports_epsilon = True
    plans_sessions = True
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
        columns = len(log.events.columns)
        return None if private else columns * (COLUMN_S + VALUE_S * len(log))

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
        column = {n: steps.target[:, k].numpy() for k, n in enumerate(steps.names)}
        owner = np.repeat(np.arange(len(steps)), steps.lengths())
        seen = context_features(codec, steps)
        self.shares_: dict[str, BackoffTable] = {}
        self.tables_: dict[str, np.ndarray] = {}
        self.given_: dict[str, list[int]] = {}
        self.expected_: dict[str, Expectation] = {}
        self.biases_: Biases = {}
        self.pacing_: Pacing | None = None
        if ledger.epsilon is not None:
            visits = Visits.of(owner, steps.items.numpy() - 1)
            self._learn_privately(seen, column, owner, visits, attributes, ledger)
            return
        gap = steps.target[:, steps.names.index("gap")]
        parts = {n: code.numpy() for n, code in part_codes(codec, gap, steps.features).items()}
        self._learn_fields(seen, column | parts)
        self.chain_, self.tables_ = learn_items(
            codec, steps, owner, column["item"], most=self.successors, least=self.strength
        )
        self.attributes_ = AttributeTables.learn(codec, attributes, strength=self.strength)
        self.biases_ = calibrate_fields(codec, steps, partial(self._pilot, seed), network=False)

    @torch.inference_mode()
    def _pilot(self, seed: int, biases: Biases, users: int, labelled: int, number: int) -> Sampled:
        """Return the rows of `users` users, drawn with `biases`; `number` is that of the sample."""
        assert not labelled  # tables know what sessions with labels are like
        self.biases_ = biases
        generator = stream(seed, FIELDS_STREAM, number)
        return self._rows(users, None, generator, with_shares=True)

    def _learn_privately(
        self,
        seen: ContextFeatures,
        column: dict[str, np.ndarray],
        owner: np.ndarray,
        visits: Visits,
        attributes: np.ndarray,
        ledger: PrivacyLedger,
    ) -> None:
        """Learn all from noisy answers, in the usual contexts; `owner` (n,) is each row's user."""
        codec, tables = self.codec_, Tables(ledger, ROUNDS, n_users=len(attributes))
        asked = attribute_questions(codec, attributes)
        group = np.asarray(codec.items.category[1:], dtype=np.int64)
        paired_by = self.field_marginals_["item"][1:].astype(np.float32)
        pairs = Pairs.of(group, paired_by)
        questions = PrivateQuestions(codec, tables, owner, seen, column, visits, pairs)
        answers, events = questions.ask(asked, clip_quantile=self.clip_quantile)
        private = PrivateTables(codec, answers, self.field_marginals_ | {"event": events})
        for name in table_sizes(codec):
            widths = [level.size for level in usual_levels(codec, name)]
            self.given_[name] = list(range(len(widths)))
            self.shares_[name] = BackoffTable.dense(private.learn(name, widths), len(widths))
            if name == "gap":
                self.pacing_ = private.pacing(widths)
        nothing = np.zeros(0), 0.0  # is not asked of a log without items
        counts, noise = answers.get("item", nothing)
        counted = answers.get(ITEM_PAIRS, nothing)
        self.chain_ = LabelChain.learned(
            group, paired_by, (counts[1:], noise), counted, facts_of(codec.items)
        )
        self.attributes_ = learn_attributes(
            codec, answers, self.attribute_counts_, strength=self.strength
        )

    def _learn_fields(self, seen: ContextFeatures, column: dict[str, np.ndarray]) -> None:
        """Learn the table of each field and part of the gap, of codes (n,), in chosen contexts."""
        codec, sizes = self.codec_, table_sizes(self.codec_)
        if FRESH_PRICE in sizes:
            level, item = codec.items.habits["price"], column["item"]
            column[FRESH_PRICE] = np.where(item > 0, level[np.maximum(item, 0)], -1)
        known = self._known()
        for name in expected_fields(codec):
            found = learn_expected(codec, name, column[name], seen, known)
            if found is not None:
                self.expected_[name] = found
        known = self._known()
        for name, size in sizes.items():
            code = column[name]
            choice = choose(codec, name, code, size, seen, known, strength=self.strength)
            levels = levels_of(context(codec, name, choice.levels, known), seen)
            self.given_[name] = choice.levels
            self.shares_[name] = BackoffTable.learn(code, levels, size, choice.strengths)

    def _known(self) -> list[Condition]:
        """Return what fields may be given: what the codec says, and what numbers are expected."""
        known = conditions(self.codec_)
        expected = [Expected.made(name, known, of) for name, of in self.expected_.items()]
        return known + [condition for conditions_ in expected for condition in conditions_]

    def _step_model(self, past: EncodedSequences | None = None) -> MarkovStepModel:
        return MarkovStepModel(
            self.codec_,
            self.shares_,
            self.attributes_,
            self.given_,
            self._known(),
            self._item_weights(),
            float(self.tables_["odds_of_another"][0]) if self.tables_ else 0.0,
            self.biases_,
            self.pacing_,
        )

    def _item_weights(self) -> Chain:
        if self.codec_.private:
            return Chain(self.codec_, self.chain_)
        return Successors(self.codec_, self.chain_, self.tables_)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        arrays = {f"table/{k}": v for k, v in self.tables_.items()}
        arrays |= self.chain_.state(ITEMS) | self.attributes_.state() | state_of(self.biases_)
        arrays |= {} if self.pacing_ is None else self.pacing_.state()
        for name, table in self.shares_.items():
            arrays |= {f"{part}/{name}": values for part, values in vars(table).items()}
        for name, of in self.expected_.items():
            arrays |= of.state(name)
        data = {
            "codec": self.codec_.to_json(),
            "given": self.given_,
            "parents": self.attributes_.parents_by_name(),
        }
        return arrays, data

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        own = Record(data)
        own.only(("codec", "given", "parents"))
        self.codec_ = restored({"codec": own.value("codec")}, max_rows=self.max_rows)
        if self.codec_.private != self.codec_.users.plans_sessions:
            own.fail("codec", "plans sessions without a budget, or does not under one")
        parents = own.record("parents")
        self.attributes_ = AttributeTables.restored(self.codec_, arrays, parents)
        self.expected_ = restored_expectations(self.codec_, arrays)
        self.given_ = self._given(own.record("given"))
        self.shares_ = self._shares_of(arrays)
        group = np.asarray(self.codec_.items.category[1:], dtype=np.int64)
        self.chain_ = LabelChain.restored(arrays, ITEMS, group)
        private, size, clock = self.codec_.private, self.codec_.items.size, self.codec_.clock
        self.tables_ = {} if private else restored_successors(arrays, size)
        self.pacing_ = Pacing.restored(arrays, clock.size - clock.within.size) if private else None
        self.biases_ = {} if private else restored_biases(self.codec_, arrays, network=False)
        no_others(
            arrays,
            [
                *(f"table/{n}" for n in self.tables_),
                *self.chain_.state(ITEMS),
                *(self.pacing_.state() if self.pacing_ else ()),
                *state_of(self.biases_),
                *self.attributes_.state(),
                *(f"{part}/{n}" for n, table in self.shares_.items() for part in vars(table)),
                *(key for n, of in self.expected_.items() for key in of.state(n)),
            ],
        )

    def _given(self, record: Record) -> dict[str, list[int]]:
        """Return the levels of each field's context, as `choice.Choice` has them."""
        fields = table_sizes(self.codec_)
        record.only(fields)
        known, given = self._known(), {}
        for name in fields:
            usual = len(usual_levels(self.codec_, name))
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
        codec, known = self.codec_, self._known()
        tables = {}
        for name, size in table_sizes(codec).items():
            widths = [level.size for level in context(codec, name, self.given_[name], known)]
            tables[name] = restored_table(arrays, "", name, widths, size)
        return tables
