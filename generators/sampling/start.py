"""Start users: their attributes, when they arrive, how long they stay, how many rows they have."""

from __future__ import annotations

import numpy as np
import torch

from eventlog._runtime.errors import InputError
from generators.codec.codec import Codec
from generators.codec.coders import Bins
from generators.codec.parts import (
    ARRIVAL,
    LAST_ROWS,
    LAST_SPAN,
    LENGTH,
    N_LABELLED_SESSIONS,
    OBSERVATION_SPAN,
    SESSIONS,
)
from generators.codec.timing_params import TimingParams
from generators.sampling import timing
from generators.sampling.conditions import UserFilter
from generators.sampling.prefix import Prefix
from generators.sampling.step_model import StepModel
from generators.sequences.encode_columns import initial_values
from generators.sequences.user_state import UserState

MOST_TRIES = 200_000  # users drawn in search of those that a filter accepts


def begin_users(
    model: StepModel, users: int, accept: UserFilter | None, generator: torch.Generator
) -> torch.Tensor:
    """Start `users` users whom `accept` accepts, by rejection; return their attributes.

    Raises InputError where such users are too rare.
    """
    tries = users
    while True:
        user_attributes = model.begin(tries, generator)
        if accept is None:
            return user_attributes
        found = np.flatnonzero(accept(user_attributes).numpy())
        if len(found) >= users:
            model.keep(found[:users])
            return user_attributes[torch.from_numpy(found[:users])]
        if tries >= max(MOST_TRIES, users):
            raise InputError(
                f"Of {tries:,} users that were drawn {len(found)} are of the kind asked for; "
                f"{users:,} are wanted, ask for fewer."
            )
        # by how often the later ones were accepted: a filter may ask nothing of the first users
        later = tries - tries // 2
        rate = max(int((found >= tries // 2).sum()), 0.5) / later
        tries = min(tries + int((users - len(found)) / rate * 1.2) + 64, max(MOST_TRIES, users))


def start_states(
    codec: Codec,
    timing_params: TimingParams,
    user_attributes: torch.Tensor,
    given: Prefix | None,
    generator: torch.Generator,
) -> tuple[np.ndarray, UserState]:
    """Return when the first events are, (n,) int64 ms, and the states of users.

    How long users stay and how many rows they have is drawn, or planned where rows are `given`.
    """
    if given is not None:
        return _continued_states(codec, user_attributes, given)
    rhythm = codec.rhythms_of(user_attributes)
    arrival = _arrive(codec, timing_params, user_attributes, rhythm, generator)
    low, high = (
        np.minimum(arrival + (end * 1000).astype(np.int64), timing_params.end)
        for end in _ends(codec, OBSERVATION_SPAN, user_attributes)
    )
    until = np.maximum(
        timing.arrive(low, high, rhythm, uniform(len(low), generator), timing_params), arrival
    )
    n_labelled_sessions = (
        _within(codec, N_LABELLED_SESSIONS, user_attributes, generator).round().astype(np.int64)
        if codec.session_labels
        else np.zeros_like(arrival)
    )
    u = torch.rand(len(arrival), generator=generator, dtype=torch.float64).numpy()
    length = np.maximum(_at(codec, LENGTH, user_attributes, u).round().astype(np.int64), 1)
    n_sessions = np.zeros_like(arrival)
    if codec.users.plans_sessions:
        # at the same place of their interval: who has one row a session has as many of each
        drawn = _at(codec, SESSIONS, user_attributes, u).round().astype(np.int64)
        n_sessions = np.clip(drawn, 1, length)
        n_sessions, until = _with_room(codec, timing_params, n_sessions, arrival, until)
    last_rows, last_start = _last_session(codec, user_attributes, arrival, until, length, generator)
    return arrival, UserState(
        codec.effects(),
        values=initial_values(codec, user_attributes.numpy()),
        length=length,
        until=until,
        time=arrival,
        n_sessions=n_sessions,
        n_labelled_sessions=n_labelled_sessions,
        last_rows=last_rows,
        last_start=last_start,
        rhythm=rhythm,
    )


def _with_room(
    codec: Codec,
    timing_params: TimingParams,
    n_sessions: np.ndarray,
    arrival: np.ndarray,
    until: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return as many sessions (n,) as have room, and when the last of them begins, (n,) ms.

    It is not earlier than gaps allow.
    """
    gap = codec.clock.shortest_between()
    if not 0 < gap < np.inf:
        return n_sessions, until
    shortest = int(gap * 1000)
    n_sessions = np.minimum(n_sessions, 1 + (timing_params.end - arrival) // shortest)
    return n_sessions, np.maximum(until, arrival + (n_sessions - 1) * shortest)


def _continued_states(
    codec: Codec, user_attributes: torch.Tensor, given: Prefix
) -> tuple[np.ndarray, UserState]:
    """Return the same for users who are continued: their rows so far, and what is planned."""
    to_come, arrival = given.plan, given.time.numpy()[given.steps.offsets[:-1]]
    length, last = (
        given.rows.numpy() + to_come.rows,
        given.time.numpy()[given.steps.offsets[1:] - 2],
    )
    back = to_come.rows > 0
    last_rows = to_come.last_rows if codec.plans_last else np.zeros_like(length)
    return arrival, UserState(
        codec.effects(),
        values=initial_values(codec, user_attributes.numpy()),
        length=length,
        until=np.where(
            back, to_come.last_start if codec.users.plans_sessions else to_come.until, last
        ),
        time=arrival,
        n_sessions=given.n_sessions if codec.users.plans_sessions else np.zeros_like(length),
        n_labelled_sessions=given.n_labelled_sessions,
        last_rows=last_rows,
        last_start=np.where(back, to_come.last_start, last),
        rhythm=codec.rhythms_of(user_attributes),
    )


def uniform(n: int, generator: torch.Generator) -> np.ndarray:
    """Return uniform numbers for n times, (n, timing.DRAWS) float64."""
    return torch.rand((n, timing.DRAWS), generator=generator, dtype=torch.float64).numpy()


def _arrive(
    codec: Codec,
    timing_params: TimingParams,
    user_attributes: torch.Tensor,
    rhythm: np.ndarray,
    generator: torch.Generator,
) -> np.ndarray:
    """Draw when the first events are, (n,) int64 ms, from the attribute `ARRIVAL`.

    They are early enough for the shortest observation span to end inside the span of the log.
    """
    low, high = (
        timing_params.start + (end * 1000).astype(np.int64)
        for end in _ends(codec, ARRIVAL, user_attributes)
    )
    latest = timing_params.end - (_ends(codec, OBSERVATION_SPAN, user_attributes)[0] * 1000).astype(
        np.int64
    )
    return timing.arrive(
        low,
        np.maximum(np.minimum(high, latest), low),
        rhythm,
        uniform(len(low), generator),
        timing_params,
    )


def _last_session(
    codec: Codec,
    user_attributes: torch.Tensor,
    arrival: np.ndarray,
    until: np.ndarray,
    length: np.ndarray,
    generator: torch.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the rows of each user's last session, (n,), and when it begins, (n,) ms.

    The rows are 0 where it is the only session.
    """
    if not codec.plans_last:
        return np.zeros_like(length), until
    count = np.minimum(
        _within(codec, LAST_ROWS, user_attributes, generator).round().astype(np.int64), length - 1
    )
    start = np.maximum(
        until - (_within(codec, LAST_SPAN, user_attributes, generator) * 1000).astype(np.int64),
        arrival,
    )
    return count, np.where(count > 0, start, arrival)


def _codes_of(codec: Codec, name: str, user_attributes: torch.Tensor) -> tuple[Bins, np.ndarray]:
    """Return the bins of a user attribute, and each user's code (n,).

    The code is never 'missing' where there is another.
    """
    bins = codec.user_attributes[name]
    assert isinstance(bins, Bins)
    return bins, np.maximum(
        user_attributes[:, list(codec.user_attributes).index(name)].numpy(),
        1 if bins.size > 1 else 0,
    )


def _ends(codec: Codec, name: str, user_attributes: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the bin of each user's attribute `name`, (n,) float64 each."""
    bins, code = _codes_of(codec, name, user_attributes)
    low, high = (np.nan_to_num(end[code]) for end in bins.ends())
    return low, high


def _within(
    codec: Codec, name: str, user_attributes: torch.Tensor, generator: torch.Generator
) -> np.ndarray:
    """Draw a number within the bin of each user's attribute `name`, (n,) float64."""
    u = torch.rand(len(user_attributes), generator=generator, dtype=torch.float64).numpy()
    return _at(codec, name, user_attributes, u)


def _at(codec: Codec, name: str, user_attributes: torch.Tensor, u: np.ndarray) -> np.ndarray:
    """Return what is at `u` (n,), from 0 to 1, in the bin of each user's attribute, (n,)."""
    bins, code = _codes_of(codec, name, user_attributes)
    return np.nan_to_num(bins.decode(code, u), nan=1.0)
