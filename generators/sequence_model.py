"""SequenceGenerator: what the generators share.

`fit` learns a codec from the log and turns the log into training steps; `sample` draws rows from a
step model and turns them back into a log. A generator in `models/` says how it learns from the
steps (`_learn`) and what the next row is drawn from (`_step_model`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from eventlog import EventLog
from eventlog._runtime import plugins
from eventlog._runtime.errors import InputError, WorkError
from eventlog._runtime.seeds import check_seed
from eventlog._runtime.settings import Range
from generators.base import Generator, SampleConditions
from generators.codec.codec import MOST_ROWS, Codec
from generators.codec.column_changes import column_changes
from generators.codec.fit import LENGTH_WEIGHT, learn, total_query_weight
from generators.codec.new_ids import unused_prefix
from generators.codec.parts import LENGTH, SESSIONS
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import shares_of
from generators.privacy.public import Public
from generators.privacy.queries import PrivateQueries
from generators.privacy.shrinkage import with_tail
from generators.sampling.conditions import (
    UserFilter,
    accept_where,
    label_of,
    limits_of,
    mix,
    with_labelled_sessions,
)
from generators.sampling.parts import (
    CONTINUED_STREAM,
    LABEL_STREAM,
    ORDER_STREAM,
    PART_STREAM,
    PILOT_STREAM,
    one_thread,
    part_sizes,
    stream,
)
from generators.sampling.prefix import continued_statement, prefix_of
from generators.sampling.sampler import sample_rows
from generators.sampling.step_model import StepModel
from generators.sequences.decode import decode, offers_of
from generators.sequences.encode import EncodedSequences, encode
from generators.sequences.responses import learn_responses
from generators.sequences.sampled import Sampled, joined
from generators.sequences.validity import learn_needs, learn_rules
from generators.structure.declared import Declared, read_declared
from generators.structure.finding.breaches import carts_end
from generators.structure.finding.finder import declared_structure, find_structure
from generators.structure.structure import Structure
from generators.structure.tables import Past, Tables

ASSUMED_PUBLIC = [
    "names and types of columns",
    "what an event name stands for (its role)",
    "currency",
    "settings of the generator",
]
# What is said of offers under a privacy budget.
UNANSWERED = "responses to offers; users act alike whether an offer is treated or not"
UNDECLARED = "campaigns; declare them (--structure), or offers are drawn like any other row"
UNCONDITIONAL = SampleConditions()
PILOT = 400  # users with, and without, labelled sessions from which a rate is set


class SequenceGenerator(Generator):
    """A generator that draws the rows of a user one after another.

    Args:
        min_users: values that fewer users have are not kept; under a privacy budget the noise
            decides instead.
        intervals: intervals of a numeric column, at most.
        max_rows: rows of a user, at most.
    """

    plans_sessions = False  # under a budget: is the number of a user's sessions drawn first?

    def __init__(
        self,
        *,
        min_users: Annotated[int, Range(1, 10**9)] = 5,
        intervals: Annotated[int, Range(2, 10**9)] = 32,
        max_rows: Annotated[int, Range(2, MOST_ROWS)] = 1024,
    ) -> None:
        self.min_users, self.intervals, self.max_rows = min_users, intervals, max_rows

    @abstractmethod
    def _learn(self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger) -> None:
        """Learn from `steps`; where `ledger` has an epsilon, spend only through it."""

    @abstractmethod
    def _step_model(self, past: EncodedSequences | None = None) -> StepModel:
        """Return a step model of new users, or of the users of `past` after their rows."""

    def _rows_of_a_user(self, private: bool) -> int:
        """Return how many rows of a user are learnt from."""
        return self.max_rows

    def fit(
        self,
        log: EventLog,
        *,
        seed: int,
        epsilon: float | None = None,
        delta: float | None = None,
        public: Sequence[str] | Mapping[str, Any] = (),
        noise_seed: int | None = None,
        structure: Path | str | None = None,
    ) -> None:
        """See Generator.fit.

        `structure` is a file that declares what is determined; under a budget nothing else is used.
        """
        if epsilon is not None and not self.supports_epsilon:
            raise InputError(
                f"The generator {self._name()!r} cannot be fitted with epsilon; it proves no "
                "privacy."
            )
        if len(log) == 0:
            raise InputError("The log has no events; there is nothing to learn from.")
        log = log.ordered()  # the rows of a user stand together, since the unit is the user
        ids = log.events["user_id"].cat.categories.astype(str).to_numpy()
        private = epsilon is not None
        declared = Public.declared(log, public, private=private)
        ledger = PrivacyLedger.open(epsilon, delta, len(ids), noise_seed=noise_seed)
        derived = self._structure(log, structure, seed, private=private)
        sources = dict(declared.sources)
        if structure is not None:
            sources["structure"] = f"the relations that {Path(structure).name} declares"
        offers = derived.offers_in(log)
        log = derived.reduce(log)
        if len(log) == 0:
            raise InputError("Nothing is left to learn once what is determined is taken out.")
        ids = log.events["user_id"].cat.categories.astype(str).to_numpy()
        queries = PrivateQueries(
            n_users=len(ids),
            min_users=self.min_users,
            ledger=ledger,
            plan=total_query_weight(log, plan_sessions=self.plans_sessions),
            ids=ids,
        )
        codec = learn(
            log,
            queries,
            public=declared,
            intervals=self.intervals,
            max_rows=self.max_rows,
            plan_sessions=self.plans_sessions and private,
        )
        ends = not private and carts_end(Tables.of(log))
        codec = replace(codec, rules=replace(codec.rules, carts_end=ends))
        restorable = derived.restorable(codec.columns_learnt())
        kept = {r.column for r in restorable.relations}
        lost = [r.column for r in derived.relations if r.column not in kept]
        not_learnt = list(dict.fromkeys([*codec.columns.not_learnt, *lost]))
        codec = replace(
            codec,
            rules=replace(codec.rules, required_flags=learn_needs(log, codec, queries)),
            columns=replace(codec.columns, not_learnt=not_learnt),
            structure=restorable,
            id_prefix=unused_prefix(log, ledger),
        )
        rows = self._rows_of_a_user(private)
        steps = encode(log, codec, max_rows=rows, private=private, offers=offers)
        self.codec_: Codec = learn_responses(learn_rules(codec, steps, queries), steps)
        self._learn_marginals(steps, queries)
        self._learn(steps, seed=seed, ledger=ledger)
        self.privacy = ledger.statement(sources, ASSUMED_PUBLIC).to_json()

    def _structure(
        self, log: EventLog, file: Path | str | None, seed: int, *, private: bool
    ) -> Structure:
        """Return types of columns and what is derived; under a budget only what `file` says."""
        declared = None if file is None else read_declared(file, log)
        if private:
            return declared_structure(log, declared or Declared())
        return find_structure(log, min_users=self.min_users, seed=seed, declared=declared)

    @torch.inference_mode()
    def sample(
        self,
        users: int,
        *,
        seed: int,
        where: Mapping[str, str] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> EventLog:
        """See Generator.sample.

        Args:
            users: number of users.
            seed: decides every draw.
            where: values of users' attributes, e.g. {"country": "DE"}.
            rates: shares of rows with a label among the rows that can have it, e.g.
                {"fraud_rate": 0.05}.

        Raises:
            InputError: there is no such column, value or label, or there are too few such users.
        """
        if users < 1:
            raise InputError(f"users is {users}; at least one is needed.")
        seed = check_seed(seed)
        conditions = SampleConditions(where or {}, rates or {})
        if not conditions.rates:
            parts = [self.part(n, seed, k, conditions) for k, n in enumerate(part_sizes(users))]
            return self.sampled_log(parts, seed=seed, conditions=conditions)
        label = label_of(self.codec_, conditions.rates)
        accept = accept_where(self.codec_, conditions.where)
        kinds = [with_labelled_sessions(self.codec_, yes, accept) for yes in (True, False)]
        labelled = round(users * self._labelled_share(label, kinds, min(users, PILOT), seed))
        sizes = (labelled, users - labelled)
        parts = [
            self._rows(n, kind, stream(seed, LABEL_STREAM, k, part))
            for k, (size, kind) in enumerate(zip(sizes, kinds, strict=True))
            if size
            for part, n in enumerate(part_sizes(size))
        ]
        sampled = joined(parts, torch.randperm(users, generator=stream(seed, ORDER_STREAM)))
        return self._log(self.codec_, sampled, seed, {"users": users, **conditions.given()})

    @torch.inference_mode()
    def part(
        self, users: int, seed: int, number: int, conditions: SampleConditions = UNCONDITIONAL
    ) -> Sampled:
        """Return the rows of part `number` of a sample, see `sampling.parts`.

        They do not depend on where the part is drawn, or on what else is drawn.
        """
        accept = accept_where(self.codec_, conditions.where)
        return self._rows(users, accept, stream(seed, PART_STREAM, number))

    def sampled_log(
        self,
        parts: list[Sampled],
        *,
        seed: int,
        conditions: SampleConditions = UNCONDITIONAL,
    ) -> EventLog:
        """Return the log of all `parts`, in their order."""
        sampled = joined(parts)
        facts = {"users": len(sampled.user_attributes), **conditions.given()}
        return self._log(self.codec_, sampled, seed, facts)

    @torch.inference_mode()
    def continue_log(self, log: EventLog, *, days: float, seed: int) -> EventLog:
        """Continue the users of `log` for `days`, under their own ids; all other ids are new.

        When users come back, and with how many rows, follows from similar users in `log` itself
        (see `generators.sampling.continuation`); what the rows hold follows from the generator. A
        user who does not come back has no rows. No privacy is proved for these users, and the
        manifest says so.

        Raises:
            InputError: `log` has no event that the generator knows.
            WorkError: no user comes back.
        """
        seed = check_seed(seed)
        before = self.codec_.structure.past_of(log.ordered())
        past = prefix_of(
            self.codec_,
            before,
            days=days,
            sample=lambda users: self.sample(users, seed=seed),
            rng=np.random.default_rng([seed, 12]),
        )
        with one_thread():
            model = self._step_model(past.steps)
            sampled = sample_rows(
                past.codec, model, len(past.steps), stream(seed, CONTINUED_STREAM), given=past
            )
        if len(sampled.user) == 0:
            raise WorkError(
                f"None of the {len(past.steps)} users has an event in the {days:g} days; continue "
                "more users or longer."
            )
        facts = {
            "users": len(past.steps),
            "continued_days": days,
            "privacy": continued_statement(self.privacy),
        }
        return self._log(past.codec, sampled, seed, facts, past.users, before)

    def _rows(
        self,
        users: int,
        accept: UserFilter | None,
        generator: torch.Generator,
        *,
        with_shares: bool = False,
    ) -> Sampled:
        model = self._step_model()
        with one_thread():
            return sample_rows(
                self.codec_, model, users, generator, accept=accept, with_shares=with_shares
            )

    def _labelled_share(
        self, label: tuple[str, float], kinds: list[UserFilter], pilot: int, seed: int
    ) -> float:
        """Return the share of users with labelled sessions that gives a label its rate.

        It is found from a pilot sample of users with, and one of users without, such sessions.

        Args:
            label: its kind and its rate.
            kinds: filters for users with, and for users without, labelled sessions.
            pilot: users of either sample.
        """
        kind, rate = label
        column = self.codec_.rest_fields.index(f"label:{kind}")
        can = torch.from_numpy(self.codec_.rules.allowed[f"label:{kind}"][:, 1:].any(1))
        counts = []
        for k, accept in enumerate(kinds):
            row = self._rows(pilot, accept, stream(seed, PILOT_STREAM, k)).row
            counts.append(
                (
                    float((row.rest[:, column] > 0).sum()) / pilot,
                    float(can[row.event].sum()) / pilot,
                )
            )
        return mix(rate, labelled=counts[0][0], rows=counts[0][1], others=counts[1][1])

    def _log(
        self,
        codec: Codec,
        sampled: Sampled,
        seed: int,
        facts: dict[str, Any],
        names: np.ndarray | None = None,
        past: Past | None = None,
    ) -> EventLog:
        limits = limits_of(codec, facts.get("where", {}))
        log = decode(codec, sampled, seed=seed, names=names, limits=limits)
        rng = np.random.default_rng([seed, 4])
        log = codec.structure.restore(log, rng, past, offers_of(codec, sampled, seed, names))
        log.manifest |= {
            "made_by": "generators",
            "generator": self._name(),
            "seed": seed,
            "privacy": self.privacy,
            "columns": column_changes(codec),
            **facts,
        }
        campaigns = codec.structure.campaigns()
        if campaigns:
            log.manifest["campaigns"] = campaigns
        return log

    def _learn_marginals(self, steps: EncodedSequences, queries: PrivateQueries) -> None:
        """Learn the shares of codes of each attribute of users and of each field of rows."""
        owner, rows = steps.codes, np.repeat(steps.codes, steps.lengths())
        # how many users have each code of an attribute, and the sd of the noise on that
        self.attribute_counts_: list[tuple[np.ndarray, float]] = []
        for k, (name, size) in enumerate(self.codec_.user_attribute_sizes().items()):
            weight = LENGTH_WEIGHT if name == LENGTH else 1.0
            counts = queries.histogram(
                f"marginal of users' {name}",
                owner,
                steps.user_attributes[:, k].numpy(),
                size,
                per_user=1,
                weight=weight,
            )
            noise = queries.noise_of(weight=weight, per_user=1)
            if name in (LENGTH, SESSIONS):
                counts = with_tail(counts, noise)
            self.attribute_counts_.append((counts, noise))
        self.field_marginals_: dict[str, np.ndarray] = {}
        for k, (name, size) in enumerate(self.codec_.fields().items()):
            code = steps.target[:, k].numpy()
            asked = code >= 0
            weight = 2.0 if name == "item" else 0.5  # of the budget: there are many items
            counts = queries.histogram(
                f"marginal of {name}", rows[asked], code[asked], size, per_user=8, weight=weight
            )
            self.field_marginals_[name] = shares_of(counts)

    def changes(self) -> list[str]:
        """See Generator.changes."""
        said = column_changes(self.codec_)
        lines = [f"dropped: {name}" for name in said["dropped"]]
        lines += [f"folded: {name}: {how}" for name, how in said["folded"].items()]
        lines.append(f"turned into new ids: {', '.join(said['ids'])}")
        lines += [f"derived: {how}" for how in said["derived"]]
        if self.codec_.private and self.codec_.structure.calendar is not None:
            lines.append(f"not learnt: {UNANSWERED}")
        elif self.codec_.private and "coupon_offer" in self.codec_.roles.values():
            lines.append(f"not learnt: {UNDECLARED}")
        return lines

    def _name(self) -> str:
        return plugins.name_of("generators.models", type(self)) or type(self).__name__

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {"min_users": self.min_users, "intervals": self.intervals, "max_rows": self.max_rows}
