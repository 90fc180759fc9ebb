"""Slates: the page that was on the screen when a question was asked, as a shop logs it.

They are the exposures of a simulated log (`truth.exposures = true` keeps them). Which place was
clicked is not among what is taken.

Example::

    slates = slates_of(log, sequences, queries, encoder)
    slates.items[slates.offsets[i] : slates.offsets[i + 1]]  # item codes, the top of the page first
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from eventlog import EventLog
from eventlog._runtime.errors import InputError
from eventlog.arrays import Queries, Sequences
from eventlog.encode import Encoder


@dataclass(frozen=True)
class Slates:
    """The last page shown in the visit before each question; empty where there was none."""

    offsets: np.ndarray  # (n + 1,) int64
    items: np.ndarray  # (n_places,) int32 item codes, by question and place
    kind: np.ndarray  # (n,) int64: code of the policy that filled the page, -1 without a page
    time: np.ndarray  # (n,) int64 ms: when it was shown, -1 without a page


def slates_of(log: EventLog, sequences: Sequences, queries: Queries, encoder: Encoder) -> Slates:
    """Return the slates of next-item questions about `log`.

    A question's visit is that of the row that is asked about. Raises InputError where the log
    keeps no exposures.
    """
    if "exposures" not in log.truth:
        raise InputError("The log keeps no exposures; simulate it with truth.exposures = true.")
    shown = log.truth["exposures"]
    begin = np.flatnonzero(np.append(True, np.diff(shown["exposure_id"].to_numpy()) != 0))
    size = np.diff(np.append(begin, len(shown)))
    sessions = log.events["session_id"].astype("category")
    table = pd.Index(sessions.cat.categories).get_indexer(shown["session_id"].cat.categories)
    session = table[shown["session_id"].cat.codes.to_numpy()[begin]]
    time = _ms(shown["timestamp"])[begin]
    place = pd.Index(log.events["event_id"]).get_indexer(sequences.event_id[queries.end])
    page = _last_page(session, time, sessions.cat.codes.to_numpy()[place], queries.time)
    there = page >= 0
    length = np.where(there, size[page], 0)
    offsets = np.append(0, np.cumsum(length))
    row = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - begin[page], length)
    items = encoder.codes("item_id", shown["item_id"])[row]
    kind = shown["policy"].cat.codes.to_numpy().astype(np.int64)[begin]
    return Slates(offsets, items, np.where(there, kind[page], -1), np.where(there, time[page], -1))


def _last_page(
    session: np.ndarray, time: np.ndarray, asked_in: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """Return (n,) the last page of the same session before an instant, -1 without one."""
    low = min(int(time.min(initial=0)), int(asked.min(initial=0)))
    width = max(int(time.max(initial=0)), int(asked.max(initial=0))) - low + 1
    key = session.astype(np.int64) * width + (time - low)
    order = np.argsort(key, kind="stable")
    at = np.searchsorted(key[order], asked_in.astype(np.int64) * width + (asked - low)) - 1
    page = order[np.maximum(at, 0)]
    same = (at >= 0) & (asked_in >= 0) & (session[page] == asked_in)
    return np.where(same, page, -1)


def _ms(times: pd.Series) -> np.ndarray:
    return times.astype("datetime64[ms, UTC]").astype("int64").to_numpy()
