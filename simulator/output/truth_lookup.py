"""Looking things up in the truth of a simulated log."""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog


def truth_table(log: EventLog, name: str) -> pd.DataFrame:
    """Return the table truth/<name>.parquet of a log; raise InputError where it has none."""
    if name not in log.truth:
        raise InputError(
            f"The log has no truth/{name}.parquet; only simulated logs, read with truth=True, have "
            "oracles."
        )
    return log.truth[name]


def truth_rows(log: EventLog, event_ids: np.ndarray) -> pd.DataFrame:
    """Return the rows of truth/events of event ids (n,), in their order.

    Raises InputError for ids that it lacks.
    """
    truth = truth_table(log, "events")
    place = pd.Index(truth["event_id"]).get_indexer(np.asarray(event_ids, dtype=np.int64))
    if (place < 0).any():
        raise InputError(
            f"{int((place < 0).sum())} of {len(place)} event ids are not in the log's truth."
        )
    return truth.iloc[place]
