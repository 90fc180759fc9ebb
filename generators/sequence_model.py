"""SequenceGenerator: what the generators share. A log in, a codec and training steps; a row model out, a log sampled.

A generator in `models/` says how it learns from `Steps` (`_learn`) and gives a `RowModel` (`_row_model`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from eventlog import EventLog
from eventlog.errors import InputError

from .base import Generator
from .codec import Codec
from .decoding import decode
from .encoding import Steps, encode
from .learning import census_plan, check_public, learn
from .privacy import Census, Ledger, check_budget
from .sampling import RowModel, sample_rows
from .validity import learn_cart_needs, learn_masks, learn_needs, learn_pace

ASSUMED_PUBLIC = ["number of users", "names and types of columns", "event roles", "currency", "label kinds and values",
                  "settings of the generator"]


class SequenceGenerator(Generator):
    """A generator over mixed rows. `min_users`: a value that fewer users have is not kept (without epsilon; with it, noise decides)."""

    def __init__(self, *, min_users: int = 5, intervals: int = 32, max_rows: int = 1024) -> None:
        if min_users < 1 or intervals < 2 or max_rows < 2:
            raise InputError(f"min_users = {min_users}, intervals = {intervals}, max_rows = {max_rows}: they must be at least 1, 2 and 2.")
        self.min_users, self.intervals, self.max_rows = min_users, intervals, max_rows

    @abstractmethod
    def _learn(self, steps: Steps, *, seed: int, ledger: Ledger) -> None:
        """Learn from `steps`; spend only through `ledger` where it has an epsilon."""

    @abstractmethod
    def _row_model(self) -> RowModel:
        """A fresh sampler state."""

    def _rows_of_a_user(self, private: bool) -> int:
        """How many of a user's rows are learnt from."""
        return self.max_rows

    def fit(
        self, log: EventLog, *, seed: int, epsilon: float | None = None, delta: float | None = None, public: Sequence[str] = ()
    ) -> None:
        """See Generator.fit."""
        if epsilon is not None and not self.supports_epsilon:
            raise InputError(f"The generator {self._name()!r} cannot be fitted with epsilon; choose one that can (vae, gan).")
        if len(log) == 0:
            raise InputError("The log has no events; there is nothing to learn from.")
        n_users = int(log.events["user_id"].nunique())
        ledger = Ledger(epsilon=epsilon, delta=check_budget(epsilon, delta, n_users))
        declared = check_public(log, public)
        census = Census(n_users=n_users, rng=np.random.default_rng([seed, 1]), min_users=self.min_users, ledger=ledger,
                        plan=census_plan(log, declared))
        self.codec_: Codec = learn(log, census, public=declared, intervals=self.intervals, max_rows=self.max_rows)
        private = epsilon is not None
        self.codec_.needs = learn_needs(log, self.codec_, private=private)
        steps = encode(log, self.codec_, max_rows=self._rows_of_a_user(private), private=private)
        if not private:
            self.codec_.needs |= learn_cart_needs(self.codec_, steps)
        learn_masks(self.codec_, steps, private=private)
        learn_pace(self.codec_, steps, private=private)
        self._learn_marginals(steps, census)
        self._learn(steps, seed=seed, ledger=ledger)
        self.privacy = ledger.statement(sorted(public), ASSUMED_PUBLIC)

    @torch.no_grad()
    def sample(self, users: int, *, seed: int) -> EventLog:
        """See Generator.sample."""
        if users < 1:
            raise InputError(f"users is {users}; at least one is needed.")
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, 2]).generate_state(1)[0]))
        sampled = sample_rows(self.codec_, self._row_model(), users, generator)
        log = decode(self.codec_, sampled, rng=np.random.default_rng([seed, 3]))
        log.manifest |= {"made_by": "generators", "generator": self._name(), "users": users, "seed": seed, "privacy": self.privacy}
        return log

    def _learn_marginals(self, steps: Steps, census: Census) -> None:
        """Shares of the codes of each static field and of each field but the item, through `census`."""
        owner, rows = np.arange(len(steps)), np.repeat(np.arange(len(steps)), steps.lengths())
        self.static_marginals_ = [
            _shares(census.histogram(f"marginal of users' {name}", owner, steps.static[:, k].numpy(), size, per_user=1))
            for k, (name, size) in enumerate(self.codec_.static_sizes().items())]
        self.field_marginals_: dict[str, np.ndarray] = {}
        for k, (name, size) in enumerate(self.codec_.fields().items()):
            code = steps.target[:, k].numpy()
            if name != "item":
                asked = code >= 0
                counts = census.histogram(f"marginal of {name}", rows[asked], code[asked], size, per_user=8, weight=0.5)
                self.field_marginals_[name] = _shares(counts)

    def _name(self) -> str:
        return type(self).__module__.rsplit(".", 1)[-1]

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        return {"min_users": self.min_users, "intervals": self.intervals, "max_rows": self.max_rows}


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum()
    return counts / total if total > 0 else np.full(len(counts), 1 / len(counts))
