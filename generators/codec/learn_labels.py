"""Learn the labels of events: their kinds and values, and how long until each is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from eventlog import EventLog
from generators.codec.codec import Codec
from generators.codec.coders import Bins, string_codes
from generators.codec.parts import Labels
from generators.privacy.queries import PrivateQueries

MOST_KINDS = 8  # of labels; a sample lacks the others, which `Columns.not_learnt` names
MOST_VALUES = 8  # of one kind; one with more is not learnt


def learn_labels(codec: Codec, log: EventLog, queries: PrivateQueries, user: np.ndarray) -> Codec:
    """Return `codec` with the labels of `log`; what is too much is named in `not_learnt`."""
    if log.labels is None:
        return codec
    event_id = log.events["event_id"].to_numpy()
    owner = pd.Series(user, index=event_id)
    time = pd.Series(pd.DatetimeIndex(log.events["timestamp"]), index=event_id)
    labels = log.labels[log.labels["event_id"].isin(owner.index)]
    code, names = string_codes(labels["kind"])
    of = owner.reindex(labels["event_id"]).to_numpy(dtype=np.int64)
    kept = np.arange(len(names))
    if queries.private:
        kept, _ = queries.popular("kinds of labels", of[code >= 0], code[code >= 0], per_user=2)
    not_learnt = list(codec.columns.not_learnt)
    not_learnt += [f"label:{names[k]}" for k in sorted(kept[MOST_KINDS:])]
    kinds: dict[str, list[str]] = {}
    delays: dict[str, tuple[Bins, np.ndarray]] = {}
    how_many: dict[tuple[str, str], int] = {}
    for k in sorted(kept[:MOST_KINDS]):
        kind, rows = str(names[k]), labels[code == k]
        counts = _values(rows, private=queries.private)
        if not counts or len(counts) > MOST_VALUES:
            not_learnt.append(f"label:{kind}")
            continue
        kinds[kind] = list(counts)
        how_many |= {(kind, value): count for value, count in counts.items()}
        delays[kind] = _delay(queries, kind, rows, owner, time)
    of_sessions = sorted(how_many, key=lambda label: (-how_many[label], label))
    return replace(
        codec,
        labels=Labels(kinds, of_sessions, delays),
        columns=replace(codec.columns, not_learnt=not_learnt),
    )


def _values(rows: pd.DataFrame, *, private: bool) -> dict[str, int]:
    """Return the values of one kind with their counts; under a budget every label is 1."""
    if private:
        return {"1.0": 0}
    found = rows["value"].dropna()
    counts = found.astype(float).astype(str).value_counts()
    return {v: int(counts.get(v, 0)) for v in sorted({str(float(v)) for v in found})}


def _delay(
    queries: PrivateQueries, kind: str, rows: pd.DataFrame, owner: pd.Series, time: pd.Series
) -> tuple[Bins, np.ndarray]:
    """Return bins of the seconds from events to their labels, and the share of each bin."""
    known = pd.DatetimeIndex(pd.to_datetime(rows["known_at"], utc=True))
    delay = (known - pd.DatetimeIndex(time.reindex(rows["event_id"]))).total_seconds().to_numpy()
    of = owner.reindex(rows["event_id"]).to_numpy(dtype=np.int64)
    bins = Bins.fit(
        queries,
        f"delay of {kind}",
        of,
        delay,
        intervals=16,
        decimals=3,
        per_user=1,
        point_share=0.05,
    )
    if bins.size == 1:
        bins = Bins(np.zeros(1), np.zeros(0), np.zeros(0), False)
    share = queries.histogram(f"delay of {kind}", of, bins.encode(delay), bins.size, per_user=1)
    share[0] = 0
    if share.sum() == 0:
        share[1:] = 1.0
    return bins, share / share.sum()
