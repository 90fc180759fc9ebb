"""What a sample is to be like: users of a kind (`country=DE`), a share of labelled rows
(`fraud_rate=0.05`), or given users' future.

A kind is met by rejection: the static fields of many users are drawn, those of other kinds are
dropped before a row is drawn, so that the rest are as such users are. A rate is met by the mix of
users who have labelled sessions and who have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from eventlog import EventLog
from eventlog._runtime.errors import InputError, UnknownNameError
from eventlog.log import to_ms
from generators.codec.clock import DAY_MS
from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.coders import Bins
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
)
from generators.sampling.continuation import Plan, plan
from generators.sequences.encode import EncodedSequences, encode

MOST_DAYS = 36_500
CONTINUED = (
    "No privacy is proved for the users who are continued: they keep their ids, and what they "
    "do next is drawn from their own rows, whatever was proved for the model."
)
UserFilter = Callable[[torch.Tensor], torch.Tensor]  # (n, n_static) codes -> (n,) bool


def accept_where(codec: Codec, where: Mapping[str, str]) -> UserFilter | None:
    """Users whose static fields are as `where` says: a value, or `low..high` of a number (bins
    whose middle lies inside).

    Raises UnknownNameError for a column that users do not have or a value that was not learnt.
    """
    if not where:
        return None
    known = [
        n
        for n in codec.user_attributes
        if n not in (ARRIVAL, OBSERVATION_SPAN, LENGTH, N_LABELLED_SESSIONS, LAST_ROWS, LAST_SPAN)
    ]
    masks = {}
    for name, value in where.items():
        if name not in known:
            raise UnknownNameError("column of users", name, known)
        coder = codec.user_attributes[name]
        if isinstance(coder, Bins):
            masks[name] = torch.from_numpy(_inside(coder, name, value))
        else:
            if value not in coder.values:
                raise UnknownNameError(f"value of {name}", value, coder.values)
            masks[name] = torch.arange(coder.size) == coder.values.index(value) + 1
    at = {name: list(codec.user_attributes).index(name) for name in masks}

    def accept(user_attributes: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [mask[user_attributes[:, at[name]]] for name, mask in masks.items()]
        ).all(0)

    return accept


def _inside(coder: Bins, name: str, value: str) -> np.ndarray:
    low, _, high = value.partition("..")
    try:
        ends = float(low), float(high or low)
    except ValueError:
        raise InputError(
            f"{name} is a number; give {name}=5 or {name}=5..10, not {value!r}."
        ) from None
    bottom, top = coder.ends()
    middle = (bottom + top) / 2
    found: np.ndarray = (
        (middle >= ends[0]) & (middle <= ends[1])
        if high
        else (bottom <= ends[0]) & (ends[0] <= top)
    )
    if not found.any():
        raise InputError(f"No user of the real log has {name} = {value}, as far as was learnt.")
    return found


def with_labelled_sessions(codec: Codec, yes: bool, also: UserFilter | None) -> UserFilter:
    """Users who are to have (`yes`), or not to have, a labelled session; and whom `also`
    accepts.
    """
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


def label_of(codec: Codec, rates: Mapping[str, float]) -> tuple[str, float]:
    """('fraud', .05) of {'fraud_rate': .05}. Raises InputError for another setting, several, or a
    share outside [0, 1).
    """
    known = [f"{kind}_rate" for kind in codec.labels.kinds]
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
    """The share of marked users with which `rate` of the rows that can be labelled are.

    A marked user has `rows` such rows, of which `labelled` are; any other user `others`. Raises
    InputError beyond reach.
    """
    if rate * rows >= labelled and rate > 0:
        raise InputError(
            f"A rate of {rate:g} is out of reach: of the rows of users who have labels, "
            f"{labelled / max(rows, 1e-9):.3f} are."
        )
    return rate * others / (labelled - rate * rows + rate * others) if rate else 0.0


@dataclass(frozen=True)
class Prefix:
    """Users whose rows so far are given; what is drawn is what comes after."""

    codec: Codec  # with a clock that ends where the continuation ends
    steps: EncodedSequences
    # (n_steps,) ms of each row; the last of a user: of their return, or 0
    time: torch.Tensor
    users: np.ndarray  # (n_users,) their ids
    plan: Plan  # what is to come of them
    n_labelled_sessions: np.ndarray  # (n_users,) int64 sessions with a label, so far and to come
    allowed: list[torch.Tensor]  # per static field (n_users, size) bool: its one code

    @property
    def rows(self) -> torch.Tensor:
        """(n_users,) rows so far."""
        return torch.from_numpy(self.steps.lengths() - 1)


def continued_statement(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the privacy statement of a continued log; `model`: its generator's own statement."""
    return {
        "proved": "none",
        "epsilon": None,
        "delta": None,
        "unit": "user",
        "ledger": [],
        "public": list(model.get("public") or []),
        "statement": CONTINUED,
        "model": {"epsilon": model.get("epsilon"), "delta": model.get("delta")},
    }


def given(
    codec: Codec,
    log: EventLog,
    *,
    days: float,
    sample: Callable[[int], EventLog],
    rng: np.random.Generator,
) -> Prefix:
    """`log` as the past of users who are continued for `days`; for `sample` see continuation.plan.

    Raises InputError where it has no rows that the codec knows, or lacks a column that it needs.
    """
    if not 0 < days <= MOST_DAYS or len(log) == 0:
        raise InputError(
            f"Continuing needs users with events and more than 0, at most {MOST_DAYS:,} days; "
            f"given {len(log)} events and "
            f"{days:g} days."
        )
    _check_columns(codec, log)
    span = codec.clock.end_ms - codec.clock.start_ms
    log = log.ordered()
    now = to_ms(log.span[1])
    known = log.events[codec.events.encode(log.events["event"]) > 0]
    if len(known) == 0:
        raise InputError(
            "None of the events of the log that is to be continued is known to the generator."
        )
    to_come = plan(log, codec, now=now, days=days, sample=sample, rng=rng)
    end = now + int(days * DAY_MS)
    codec = replace(codec, clock=replace(codec.clock, start_ms=end - span, end_ms=end))
    past = replace(
        log, events=known.groupby("user_id", observed=True, sort=False).tail(codec.max_rows // 2)
    )
    steps = encode(past, codec, private=True)
    counts = steps.lengths() - 1
    user = past.events["user_id"].astype(str).to_numpy()
    starts, ends = steps.offsets[:-1], steps.offsets[1:] - 1  # a user has one step more than rows
    ms = past.events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    time = np.zeros(len(steps.features), dtype=np.int64)
    time[np.arange(len(ms)) + np.repeat(np.arange(len(steps)), counts)] = ms
    silence = (to_come.first - time[ends - 1]) / 1000
    back = to_come.rows > 0
    steps.target[ends, 0] = torch.from_numpy(np.where(back, codec.clock.encode(silence, back), 0))
    time[ends] = to_come.first
    n_labelled_sessions = to_come.n_labelled_sessions
    if codec.session_labels:
        labelled = (steps.target[:, steps.names.index(SESSION_LABEL)] > 0).numpy()
        n_labelled_sessions = n_labelled_sessions + np.add.reduceat(
            labelled, starts, dtype=np.int64
        )
    return Prefix(
        codec,
        steps,
        torch.from_numpy(time),
        user[starts - np.arange(len(steps))],
        to_come,
        n_labelled_sessions,
        _allowed(codec, steps, to_come, time[starts], n_labelled_sessions),
    )


def _check_columns(codec: Codec, log: EventLog) -> None:
    """Raise InputError unless `log` has the ids, numbers and columns of users that the codec
    encodes, and of its kind.
    """
    numbers = [n for n in codec.bins if n != "price_ratio"]
    kinds = dict.fromkeys(codec.ids, "") | dict.fromkeys(numbers, "number")
    users = pd.DataFrame() if log.users is None else log.users
    wanted = [(n, log.events, kind) for n, kind in kinds.items()] + [
        (f"users.{n}", users, kind) for n, kind in codec.users.columns.items()
    ]
    wrong = []
    for name, table, kind in wanted:
        column = name.removeprefix("users.") if table is users else name
        if column not in table:
            wrong.append(f"{name} is missing")
        elif kind == "number" and not pd.api.types.is_numeric_dtype(table[column]):
            wrong.append(f"{name} is no number")
        elif kind == "time" and not pd.api.types.is_datetime64_any_dtype(table[column]):
            wrong.append(f"{name} is no time")
    if wrong:
        raise InputError(
            "The log that is to be continued is not like the one that the generator was fitted "
            f"on: {', '.join(wrong)}."
        )


def _allowed(
    codec: Codec,
    steps: EncodedSequences,
    to_come: Plan,
    arrival: np.ndarray,
    n_labelled_sessions: np.ndarray,
) -> list[torch.Tensor]:
    """Return the one code of each static field: as seen, or as it follows from the plan.

    Who does not come back keeps what they had.
    """
    back = to_come.rows > 0
    totals = {
        LENGTH: steps.lengths() - 1 + to_come.rows,
        OBSERVATION_SPAN: (to_come.until - arrival) / 1000,
        LAST_ROWS: to_come.last_rows,
        LAST_SPAN: (to_come.until - to_come.last_start) / 1000,
        N_LABELLED_SESSIONS: n_labelled_sessions,
    }
    out = []
    for k, (name, size) in enumerate(codec.user_attribute_sizes().items()):
        code = steps.user_attributes[:, k].numpy()
        if name in totals:
            coder = codec.user_attributes[name]
            assert isinstance(coder, Bins)
            code = np.where(back, coder.encode(totals[name].astype(np.float64)), code)
        out.append(torch.from_numpy(code[:, None] == np.arange(size)))
    return out
