"""Generator: the interface of every generator, built in or in a user's own file.

A saved generator is a folder: `model.safetensors` (arrays), `model.json` (settings and plain data)
and `manifest.json` (where it comes from, privacy statement). Loading it reads data and runs no
code. `docs/examples/my_generator.py` is a complete generator in one file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any, ClassVar

import numpy as np

from eventlog import EventLog, InputError
from eventlog._runtime.display import Displayed, changed_settings


@dataclass(frozen=True)
class SampleConditions:
    """What a sample is to be like, beside its size and its seed; a generator may refuse it."""

    # column of users -> a value, or LOW..HIGH of a number
    where: Mapping[str, str] = field(default_factory=dict)
    # 'LABEL_rate' -> share of the rows that can have the label which have it
    rates: Mapping[str, float] = field(default_factory=dict)

    def given(self) -> dict[str, dict[str, Any]]:
        """Return what is asked for, as keyword arguments of `Generator.sample`."""
        return {n: dict(asked) for n, asked in vars(self).items() if asked}


class Generator(Displayed, ABC):
    """Learns from a log and samples a new one.

    Settings are keyword-only arguments of `__init__`; what `fit` learns ends in `_`. A setting may
    say what it may be: `width: Annotated[int, Range(1, 8192)] = 96`.
    """

    # Can it be fitted with a differential privacy guarantee per user?
    supports_epsilon: ClassVar[bool] = False
    # settings of earlier versions that had no effect; `load` drops them from saved models
    retired_settings: ClassVar[frozenset[str]] = frozenset()
    # set by fit: {"epsilon", "delta", "unit": "user", "ledger": [...], "public": [...]}
    privacy: dict[str, Any]

    def _facts(self) -> dict[str, object]:
        facts = {**changed_settings(self), "fitted": hasattr(self, "privacy")}
        if hasattr(self, "privacy") and self.privacy["epsilon"] is not None:
            facts["epsilon"] = self.privacy["epsilon"]
        return facts

    @abstractmethod
    def fit(
        self,
        log: EventLog,
        *,
        seed: int,
        epsilon: float | None = None,
        delta: float | None = None,
        public: Sequence[str] | Mapping[str, Any] = (),
    ) -> None:
        """Learn from `log`.

        Args:
            log: what to learn from.
            seed: decides every draw, except the noise.
            epsilon, delta: privacy budget per user for everything that touches the log. The noise
                does not follow from `seed`; a generator may take a `noise_seed` that repeats it.
            public: what the budget does not pay for, see `generators.privacy.public`.

        Raises:
            InputError: the log is too small, or `epsilon` is given and not supported.
        """

    def expected_seconds(self, log: EventLog, *, private: bool) -> float | None:
        """Return about how many CPU seconds `fit` takes on the reference machine, if that is known.

        The reference machine is that of the benchmark's costs, an AMD EPYC with 2.45 GHz. `private`
        says whether an epsilon is given.
        """
        return None

    @abstractmethod
    def sample(
        self,
        users: int,
        *,
        seed: int,
        where: Mapping[str, str] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> EventLog:
        """Return a new log of `users` users.

        It passes `eventlog check`. Ids of users, sessions and orders are new, timestamps lie within
        the span of the real log, and there are labels where the real log has them.

        Args:
            users: number of users.
            seed: decides every draw.
            where, rates: see `SampleConditions`. They are given only where they are asked for: a
                generator that supports no conditions need not take them.
        """

    def continue_log(self, log: EventLog, *, days: float, seed: int) -> EventLog:
        """Return what the users of `log` do in the `days` after it.

        Raises InputError where the generator cannot continue given users.
        """
        raise InputError(f"{type(self).__name__} cannot continue given users.")

    @abstractmethod
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what was learnt: arrays for safetensors, and plain data for JSON.

        It holds no id of a real user and no rare value. The generator does not change.
        """

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """Restore what `state` returned."""

    def changes(self) -> list[str]:
        """Say what a sample does not have as the log has it, a line for each column or kind."""
        return []

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments that make an unfitted copy of this generator."""
        return {}


def sample_under(
    generator: Generator, users: int, *, seed: int, conditions: SampleConditions
) -> EventLog:
    """Sample `generator`, which is given only those conditions that are asked for.

    Raises InputError where its `sample` does not take one of them.
    """
    given = conditions.given()
    parameters = signature(generator.sample).parameters
    if not any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values()):
        for name in given:
            if name not in parameters:
                option = {"where": "--where", "rates": "--set LABEL_rate"}[name]
                raise InputError(
                    f"The generator {type(generator).__name__} takes no conditions on what it "
                    f"samples; leave {option} out, or fit another generator."
                )
    return generator.sample(users, seed=seed, **given)
