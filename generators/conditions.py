"""What a sample is to be like: users of a kind (`country=DE`), a share of labelled rows (`fraud_rate=0.05`), or given users' future.

A kind is met by rejection: the static fields of many users are drawn, those of other kinds are dropped before a row is
drawn, so that the rest are as such users are. A rate is met by the mix of users who have labelled sessions and who have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from eventlog import EventLog
from eventlog.errors import InputError, UnknownNameError

from .clock import DAY_MS
from .codec import ARRIVAL, LAST_ROWS, LAST_STAY, LENGTH, MARKS, STAY, Codec
from .coders import Bins
from .encoding import Steps, encode

MOST_DAYS = 36_500
Accept = Callable[[torch.Tensor], torch.Tensor]  # (n, n_static) codes -> (n,) bool


def accept_where(codec: Codec, where: Mapping[str, str]) -> Accept | None:
    """Users whose static fields are as `where` says: a value, or `low..high` of a number (bins whose middle lies inside).

    Raises UnknownNameError for a column that users do not have or a value that was not learnt.
    """
    if not where:
        return None
    known = [n for n in codec.statics if n not in (ARRIVAL, STAY, LENGTH, MARKS, LAST_ROWS, LAST_STAY)]
    masks = {}
    for name, value in where.items():
        if name not in known:
            raise UnknownNameError("column of users", name, known)
        coder = codec.statics[name]
        if isinstance(coder, Bins):
            masks[name] = torch.from_numpy(_inside(coder, name, value))
        else:
            if value not in coder.values:
                raise UnknownNameError(f"value of {name}", value, coder.values)
            masks[name] = torch.arange(coder.size) == coder.values.index(value) + 1
    at = {name: list(codec.statics).index(name) for name in masks}

    def accept(static: torch.Tensor) -> torch.Tensor:
        return torch.stack([mask[static[:, at[name]]] for name, mask in masks.items()]).all(0)

    return accept


def _inside(coder: Bins, name: str, value: str) -> np.ndarray:
    low, _, high = value.partition("..")
    try:
        ends = float(low), float(high or low)
    except ValueError:
        raise InputError(f"{name} is a number; give {name}=5 or {name}=5..10, not {value!r}.") from None
    bottom, top = coder.ends()
    middle = (bottom + top) / 2
    found: np.ndarray = (middle >= ends[0]) & (middle <= ends[1]) if high else (bottom <= ends[0]) & (ends[0] <= top)
    if not found.any():
        raise InputError(f"No user of the real log has {name} = {value}, as far as was learnt.")
    return found


def marked(codec: Codec, yes: bool, also: Accept | None) -> Accept:
    """Users who are to have (`yes`), or not to have, a labelled session; and whom `also` accepts."""
    column, coder = list(codec.statics).index(MARKS), codec.statics[MARKS]
    assert isinstance(coder, Bins)
    some = torch.from_numpy(np.nan_to_num(coder.ends()[1]) > 0)

    def accept(static: torch.Tensor) -> torch.Tensor:
        mine = some[static[:, column]] == yes
        return mine & also(static) if also is not None else mine

    return accept


def label_of(codec: Codec, rates: Mapping[str, float]) -> tuple[str, float]:
    """('fraud', .05) of {'fraud_rate': .05}. Raises InputError for another setting, several, or a share outside [0, 1)."""
    known = [f"{kind}_rate" for kind in codec.labels]
    for name in rates:
        if name not in known:
            raise UnknownNameError("rate", name, known)
    if len(rates) != 1 or len(codec.labels) != 1:
        raise InputError(f"One rate can be set, of a log with one kind of label; this one has {', '.join(codec.labels)}.")
    name, rate = next(iter(rates.items()))
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise InputError(f"{name} is {rate!r}; it must be a share between 0 and 1.")
    return name.removesuffix("_rate"), float(rate)


def mix(rate: float, *, labelled: float, rows: float, others: float) -> float:
    """The share of marked users with which `rate` of the rows that can be labelled are.

    A marked user has `rows` such rows, of which `labelled` are; any other user `others`. Raises InputError beyond reach.
    """
    if rate * rows >= labelled and rate > 0:
        raise InputError(f"A rate of {rate:g} is out of reach: of the rows of users who have labels, {labelled / max(rows, 1e-9):.3f} are.")
    return rate * others / (labelled - rate * rows + rate * others) if rate else 0.0


@dataclass(frozen=True)
class Given:
    """Users whose rows so far are given; what is drawn is what comes after."""

    codec: Codec               # with a clock that ends where the continuation ends
    steps: Steps
    time: torch.Tensor         # (n_steps,) ms of each row; 0 at the last step of a user, which has none
    users: np.ndarray          # (n_users,) their ids
    now: int                   # ms: the end of what is given
    allowed: list[torch.Tensor]  # per static field (n_users, size) bool: what the rows so far leave open

    @property
    def rows(self) -> torch.Tensor:
        """(n_users,) rows so far."""
        return torch.from_numpy(self.steps.lengths() - 1)


def given(codec: Codec, log: EventLog, *, days: float) -> Given:
    """`log` as the past of users who are continued for `days`. Raises InputError where it has no rows that the codec knows, or lacks
    a column that it needs."""
    if not 0 < days <= MOST_DAYS or len(log) == 0:
        raise InputError(f"Continuing needs users with events and more than 0, at most {MOST_DAYS:,} days; given {len(log)} events and "
                         f"{days:g} days.")
    _check_columns(codec, log)
    span = codec.clock.end_ms - codec.clock.start_ms
    now = log.span[1].value // 1_000_000
    end = now + int(days * DAY_MS)
    codec = replace(codec, clock=replace(codec.clock, start_ms=end - span, end_ms=end))
    known = log.events[codec.events.encode(log.events["event"]) > 0]
    past = replace(log, events=known.groupby("user_id", observed=True, sort=False).tail(codec.max_rows // 2))
    if len(past) == 0:
        raise InputError("None of the events of the log that is to be continued is known to the generator.")
    steps = encode(past, codec, private=True)
    counts = steps.lengths() - 1
    user = past.events["user_id"].astype(str).to_numpy()
    starts = steps.offsets[:-1] - np.arange(len(steps))  # a user has one step more than rows
    ms = past.events["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    time = np.zeros(len(steps.features), dtype=np.int64)
    time[np.arange(len(ms)) + np.repeat(np.arange(len(steps)), counts)] = ms
    return Given(codec, steps, torch.from_numpy(time), user[starts], now, _allowed(codec, steps))


def _check_columns(codec: Codec, log: EventLog) -> None:
    """Raise InputError unless `log` has the ids, numbers and columns of users that the codec encodes, and of its kind."""
    numbers = [n for n in codec.bins if n != "price_ratio"]
    kinds = dict.fromkeys(codec.ids, "") | dict.fromkeys(numbers, "number")
    users = pd.DataFrame() if log.users is None else log.users
    wanted = [(n, log.events, kind) for n, kind in kinds.items()] + [(f"users.{n}", users, kind) for n, kind in codec.user_columns.items()]
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
        raise InputError(f"The log that is to be continued is not like the one that the generator was fitted on: {', '.join(wrong)}.")


def _allowed(codec: Codec, steps: Steps) -> list[torch.Tensor]:
    """What was seen of a static field is fixed; stay, length and marks can only grow."""
    out = []
    for k, (name, size) in enumerate(codec.static_sizes().items()):
        code, codes = steps.static[:, k][:, None], torch.arange(size)[None, :]
        if name in (LAST_ROWS, LAST_STAY):  # the last session is still to come
            out.append((codes > 0).expand(len(code), -1))
        elif name in (STAY, LENGTH, MARKS):
            coder = codec.statics[name]
            assert isinstance(coder, Bins)
            high = torch.from_numpy(np.nan_to_num(coder.ends()[1], nan=-1.0))
            out.append((high[None, :] >= high[code[:, 0]][:, None]) & (codes > 0) | (codes == code))
        else:
            out.append(codes == code)
    return out
