"""Given users: their rows so far, and what is planned for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from generators.codec.clock import DAY_MS
from generators.codec.codec import SESSION_LABEL, Codec
from generators.codec.coders import Bins
from generators.codec.parts import (
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    SESSIONS,
)
from generators.sampling.continuation import Plan, plan
from generators.sequences.encode import EncodedSequences, encode
from generators.structure.tables import Past

MOST_DAYS = 36_500
CONTINUED = (
    "No privacy is proved for the users who are continued: they keep their ids, and what they "
    "do next is drawn from their own rows, whatever was proved for the model."
)


@dataclass(frozen=True)
class Prefix:
    """Users whose rows so far are given; what comes after is drawn."""

    codec: Codec  # with a clock that ends where the continuation ends
    steps: EncodedSequences
    # (n_steps,) ms of each row; the last of a user: of their return, or 0
    time: torch.Tensor
    users: np.ndarray  # (n_users,) their ids
    plan: Plan  # what is to come of them
    n_sessions: np.ndarray  # (n_users,) int64, so far and to come
    n_labelled_sessions: np.ndarray  # (n_users,) int64 sessions with a label, so far and to come
    allowed: list[torch.Tensor]  # per user attribute (n_users, size) bool: its one code

    @property
    def rows(self) -> torch.Tensor:
        """Number of rows so far, (n_users,) int64."""
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


def prefix_of(
    codec: Codec,
    before: Past,
    *,
    days: float,
    sample: Callable[[int], EventLog],
    rng: np.random.Generator,
) -> Prefix:
    """Return what is known of users `before` they are continued for `days`.

    For `sample` see continuation.plan. Raises InputError where their log has no rows that the codec
    knows, or lacks a column that it needs.
    """
    log, now = before.log, before.end
    if not 0 < days <= MOST_DAYS or len(log) == 0:
        raise InputError(
            f"Continuing needs users with events and more than 0, at most {MOST_DAYS:,} days; "
            f"given {len(log)} events and "
            f"{days:g} days."
        )
    _check_columns(codec, log)
    span = codec.clock.end_ms - codec.clock.start_ms
    log = log.ordered()
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
    starts_session = codec.clock.starts_session(steps.target[:, 0]).numpy()
    starts_session[ends] = False  # whether the return begins one is part of what is to come
    n_sessions = to_come.n_sessions + 1 + np.add.reduceat(starts_session, starts, dtype=np.int64)
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
        n_sessions,
        n_labelled_sessions,
        _allowed(codec, steps, to_come, time[starts], n_sessions, n_labelled_sessions),
    )


def _check_columns(codec: Codec, log: EventLog) -> None:
    """Raise InputError where `log` lacks a column that the codec encodes, or has another kind."""
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
        elif kind in ("date", "time") and not pd.api.types.is_datetime64_any_dtype(table[column]):
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
    n_sessions: np.ndarray,
    n_labelled_sessions: np.ndarray,
) -> list[torch.Tensor]:
    """Return the one code of each user attribute: as seen, or as it follows from the plan.

    A user who does not come back keeps what they had.
    """
    back = to_come.rows > 0
    totals = {
        LENGTH: steps.lengths() - 1 + to_come.rows,
        OBSERVATION_SPAN: (
            (to_come.last_start if codec.users.plans_sessions else to_come.until) - arrival
        )
        / 1000,
        SESSIONS: n_sessions,
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
