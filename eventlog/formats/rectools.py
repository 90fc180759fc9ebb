"""What `rectools.dataset.Dataset.construct` takes: interactions, and features of users and items.

Interactions have the columns user_id, item_id, weight and datetime (and the event's name, as an
extra column); features are long tables with id, feature and value, which are texts: name them all
in `cat_user_features` and `cat_item_features`. See
https://rectools.readthedocs.io/en/stable/api/rectools.dataset.dataset.Dataset.html.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from eventlog._runtime.errors import InputError
from eventlog.log import EventLog

FOLDER = True


def write(log: EventLog, folder: Path, name: str) -> None:
    """Write interactions.parquet, user_features.parquet and item_features.parquet.

    The weight of an interaction is its rating, and 1 where it has none. Raises InputError if the
    log has no items.
    """
    if "item_id" not in log.events:
        raise InputError(
            "The log has no item_id, which interactions need; choose another --format."
        )
    events = log.events[log.events["item_id"].notna()]
    weight = np.ones(len(events))
    if "rating" in events:
        weight = events["rating"].astype("float64").fillna(1.0).to_numpy()
    _parquet(
        pd.DataFrame(
            {
                "user_id": events["user_id"].astype(str).to_numpy(),
                "item_id": events["item_id"].astype(str).to_numpy(),
                "weight": weight,
                "datetime": events["timestamp"].dt.tz_localize(None).to_numpy(),
                "event": events["event"].astype(str).to_numpy(),
            }
        ),
        folder / "interactions.parquet",
    )
    for table, key, kind in ((log.users, "user_id", "user"), (log.items, "item_id", "item")):
        if table is not None and len(table.columns) > 1:
            long = table.astype(dict.fromkeys(table, object)).melt(
                id_vars=key, var_name="feature", value_name="value"
            )
            long = long[long["value"].notna()].astype(str).rename(columns={key: "id"})
            _parquet(long, folder / f"{kind}_features.parquet")


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as pandas does: RecTools wants times without a zone."""
    frame.reset_index(drop=True).to_parquet(path, index=False)
