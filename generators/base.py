"""Generator: what every generator is, and what a user's own in one file must be.

A saved generator is a folder: `model.safetensors` (arrays), `model.json` (settings, vocabularies,
privacy statement) and `manifest.json`. Loading it reads data and runs no code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any, ClassVar

import numpy as np

from eventlog import EventLog, InputError


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


class Generator(ABC):
    """Learns from a log and samples a new one. Settings are keyword arguments of `__init__`; what
    is learnt ends in `_`.
    """

    # can it be trained with a differential-privacy guarantee per user?
    supports_epsilon: ClassVar[bool] = False
    # settings of earlier versions that never did anything: a saved model may hold them
    retired_settings: ClassVar[frozenset[str]] = frozenset()
    # after fit: {"epsilon", "delta", "unit": "user", "ledger": [...], "public": [...]}
    privacy: dict[str, Any]

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

        With `epsilon` everything that touches data is inside the budget (the unit is one user),
        except what `public` names (see generators.privacy.public), and the noise does not follow
        from `seed`; a generator may take a `noise_seed` that repeats it. Raises InputError where
        the log is too small, or `epsilon` is given and not supported.
        """

    @abstractmethod
    def sample(
        self,
        users: int,
        *,
        seed: int,
        where: Mapping[str, str] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> EventLog:
        """A new log of `users` users: valid under `eventlog check`, with new user, session and
        order ids, timestamps within the real span, and labels where the real log had them. `where`
        and `rates` are given only where they are asked
        for: a generator that knows no conditions need not take them.
        """

    def continue_log(self, log: EventLog, *, days: float, seed: int) -> EventLog:
        """What the users of `log` do in the `days` after it. Raises InputError where the generator
        cannot tell.
        """
        raise InputError(f"{type(self).__name__} cannot continue given users.")

    @abstractmethod
    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What was learnt: arrays for safetensors, plain data for JSON. No raw user id, no rare
        value.
        """

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """Put back what `state` gave."""

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make an unfitted twin of this generator."""
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
