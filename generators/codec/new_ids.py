"""Names of new users, sessions, orders and other ids: none that the log has, and none twice."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Iterator

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.privacy.accounting import PrivacyLedger

LETTERS = 4  # of a prefix, of 32 letters and digits each
DIGITS = 6  # of a number, at the least, so that names sort as their numbers do


def unused_prefix(log: EventLog, ledger: PrivacyLedger) -> str:
    """Return letters with which no id of `log` begins, after what says what it is the id of.

    Under a privacy budget they are drawn at random, without a look at the log.
    """
    if ledger.epsilon is not None:
        return _letters(ledger.rng("ids").bytes(LETTERS))
    taken = [_distinct(log.events[name]) for name in log.events if _may_be_id(log.events[name])]
    for candidate in _candidates():
        starts = ("u" + candidate, "s" + candidate, "o" + candidate)
        own = tuple(f"{name}-{candidate}" for name in map(str, log.events.columns))
        if not any(names.str.startswith((*starts, *own)).any() for names in taken):
            return candidate
    raise AssertionError("there is always a prefix that is not taken")


def new_names(what: str, prefix: str, seed: int, size: int) -> pd.Index:
    """Return `size` names, like uk7dq4tw2000042; other seeds give others."""
    width = max(len(str(max(size - 1, 0))), DIGITS)
    start = what + prefix + _letters(hashlib.sha256(f"sample {seed}".encode()).digest())
    return pd.Index([f"{start}{i:0{width}d}" for i in range(size)], dtype=object)


def _candidates() -> Iterator[str]:
    for k in range(32**LETTERS):
        yield _letters(hashlib.sha256(f"prefix {k}".encode()).digest())


def _letters(digest: bytes) -> str:
    return b32encode(digest).decode().lower()[:LETTERS]


def _may_be_id(column: pd.Series) -> bool:
    return not (
        pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column)
    )


def _distinct(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Series(np.asarray(column.cat.categories), dtype=object).astype(str)
    return pd.Series(column.dropna().unique(), dtype=object).astype(str)
