"""Conditions on a sample: which users (`country=DE`), or the share of labels (`fraud_rate=0.05`).

Which users is met by rejection: the attributes of many users are drawn, and users of other kinds
are dropped before a row is drawn, so that the rest are as such users are. A rate is met by the
mixture of users who have labelled sessions and users who have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch

from eventlog._runtime.errors import InputError, UnknownNameError
from generators.codec.codec import Codec
from generators.codec.coders import Bins
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    RHYTHM,
    SESSIONS,
)
from generators.structure.structure import escaped, unescaped

UserFilter = Callable[[torch.Tensor], torch.Tensor]  # (n, n_attributes) codes -> (n,) bool


NULL = "null"  # stands for a missing value, where no value is called so


def accept_where(codec: Codec, where: Mapping[str, str]) -> UserFilter | None:
    """Return a filter of users whose attributes are as `where` says, None where it is empty.

    A condition is a value, `null`, or of a number `low..high`, where either end may be left out.
    Raises UnknownNameError for a column that users do not have or a value that was not learnt.
    """
    if not where:
        return None
    names, masks = list(codec.user_attributes), {}
    for name, value in where.items():
        learnt = _learnt_name(codec, name)
        coder = codec.user_attributes[learnt]
        if isinstance(coder, Bins):
            masks[learnt] = torch.from_numpy(_inside(coder, name, value))
        elif value not in coder.values and value != NULL:
            raise UnknownNameError(f"value of {name}", value, coder.values)
        else:
            code = coder.values.index(value) + 1 if value in coder.values else 0
            masks[learnt] = torch.arange(coder.size) == code

    def accept(user_attributes: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [mask[user_attributes[:, names.index(n)]] for n, mask in masks.items()]
        ).all(0)

    return accept


def _learnt_name(codec: Codec, name: str) -> str:
    """Return the name under which a column of users is learnt."""
    own = (
        ARRIVAL,
        OBSERVATION_SPAN,
        LENGTH,
        SESSIONS,
        N_LABELLED_SESSIONS,
        LAST_ROWS,
        LAST_SPAN,
        RHYTHM,
    )
    known = [n for n in codec.user_attributes if n not in own]
    found = name if name in known else escaped(name)
    if found not in known:
        raise UnknownNameError("column of users", name, map(unescaped, known))
    return found


def limits_of(codec: Codec, where: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Return the least and the largest value of the numbers on which there is a condition."""
    found = {}
    for name, value in where.items():
        learnt = _learnt_name(codec, name)
        if isinstance(codec.user_attributes[learnt], Bins) and value != NULL:
            found[learnt] = _ends(name, value)
    return found


def _ends(name: str, value: str) -> tuple[float, float]:
    """Return the ends of `30`, `30..40`, `30..` or `..40`."""
    low, dots, high = value.partition("..")
    try:
        if not dots:
            return float(value), float(value)
        ends = float(low or -math.inf), float(high or math.inf)
    except ValueError:
        ends = (math.nan, math.nan)
    if not ends[0] <= ends[1] or dots == value:
        raise InputError(
            f"{name} is a number; give {name}=5, {name}=5..10, {name}=5.. or {name}={NULL}, not "
            f"{value!r}."
        )
    return ends


def _inside(coder: Bins, name: str, value: str) -> np.ndarray:
    """Return which codes of a number can be as `value` says, (size,) bool."""
    if value == NULL:
        return np.arange(coder.size) == 0
    low, high = _ends(name, value)
    bottom, top = coder.ends()
    found: np.ndarray = (bottom <= high) & (top >= low)
    if not found.any():
        raise InputError(f"No user of the real log has {name} = {value}, as far as was learnt.")
    return found


def with_labelled_sessions(codec: Codec, yes: bool, also: UserFilter | None) -> UserFilter:
    """Return a filter of users with (`yes`) or without a labelled session, whom `also` accepts."""
    column, coder = (
        list(codec.user_attributes).index(N_LABELLED_SESSIONS),
        codec.user_attributes[N_LABELLED_SESSIONS],
    )
    assert isinstance(coder, Bins)
    some = torch.from_numpy(np.nan_to_num(coder.ends()[1]) > 0)

    def accept(user_attributes: torch.Tensor) -> torch.Tensor:
        mine = some[user_attributes[:, column]] == yes
        return mine & also(user_attributes) if also is not None else mine

    return accept


def after_any(users: int, accept: UserFilter) -> UserFilter:
    """Return a filter of any `users`, and after them those whom `accept` accepts."""

    def accept_after(user_attributes: torch.Tensor) -> torch.Tensor:
        return (torch.arange(len(user_attributes)) < users) | accept(user_attributes)

    return accept_after


def label_of(codec: Codec, rates: Mapping[str, float]) -> tuple[str, float]:
    """Return the kind of label and its rate: ('fraud', 0.05) of {'fraud_rate': 0.05}.

    Raises InputError for another setting, for several, or for a share outside [0, 1).
    """
    known = [f"{kind}_rate" for kind in codec.labels.kinds]
    if not known:
        raise InputError(
            f"{next(iter(rates))} cannot be set: the log that the generator was fitted on has no "
            "labels."
        )
    for name in rates:
        if name not in known:
            raise UnknownNameError("rate", name, known)
    if len(rates) != 1 or len(codec.labels.kinds) != 1:
        raise InputError(
            "One rate can be set, of a log with one kind of label; this one has "
            f"{', '.join(codec.labels.kinds)}."
        )
    name, rate = next(iter(rates.items()))
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise InputError(f"{name} is {rate!r}; it must be a share between 0 and 1.")
    return name.removesuffix("_rate"), float(rate)


def mix(rate: float, *, labelled: float, rows: float, others: float) -> float:
    """Return the share of users with labels with which `rate` of the rows have a label.

    Counted are rows that can have the label: a user with labels has `rows` of them, of which
    `labelled` have it; any other user has `others`. Raises InputError where no share gives `rate`.
    """
    if rate * rows >= labelled and rate > 0:
        raise InputError(
            f"A rate of {rate:g} is out of reach: of the rows of users who have labels, "
            f"{labelled / max(rows, 1e-9):.3f} are."
        )
    return rate * others / (labelled - rate * rows + rate * others) if rate else 0.0
