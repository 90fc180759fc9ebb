"""Find event ids that occur more than once, batch by batch."""

from __future__ import annotations

import numpy as np
import pandas as pd

from eventlog.ingest.columns.values import Coded


class SeenIds:
    """The event ids of the batches so far, as hashes."""

    def __init__(self) -> None:
        self._batches: list[np.ndarray] = []  # sorted

    def repeated(self, column: Coded) -> np.ndarray:
        """Return the rows of the next batch whose id occurred before, (n_rows,) bool."""
        texts = column.values.to_numpy(zero_copy_only=False)
        hashed, has = column.take(pd.util.hash_array(texts), 0), column.codes >= 0
        seen = pd.Series(hashed).duplicated().to_numpy().copy()
        for old in self._batches:
            seen |= old[np.minimum(np.searchsorted(old, hashed), len(old) - 1)] == hashed
        if has.any():
            self._batches.append(np.unique(hashed[has]))
        return np.asarray(seen & has)
