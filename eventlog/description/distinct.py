"""Count distinct values of parts that together do not fit into memory.

The k smallest hashes of the values are kept ("k minimum values": Bar-Yossef et al., *Counting
distinct elements in a data stream*, 2002). Up to k distinct values the count is exact; above, its
standard error is 1 / sqrt(k - 2), .4 % here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

KEPT = 1 << 16  # hashes


class Distinct:
    """The number of distinct values seen so far."""

    def __init__(self) -> None:
        self._smallest = np.zeros(0, dtype=np.uint64)

    def add(self, values: pd.Series) -> None:
        """Add values; missing ones do not count."""
        hashes = _hashes(values)
        if not self.exact:  # most are larger than those that are kept
            hashes = hashes[hashes < self._smallest[-1]]
        both = np.sort(np.concatenate([self._smallest, hashes]))
        self._smallest = both[np.append(True, both[1:] != both[:-1])[: len(both)]][:KEPT]

    @property
    def exact(self) -> bool:
        """Whether the count is exact."""
        return len(self._smallest) < KEPT

    def __int__(self) -> int:
        if self.exact:
            return len(self._smallest)
        return round((KEPT - 1) / ((float(self._smallest[-1]) + 1) / 2.0**64))

    def __str__(self) -> str:
        return f"{int(self):,}" if self.exact else f"about {float(f'{int(self):.3g}'):,.0f}"


def _hashes(values: pd.Series) -> np.ndarray:
    """Return a hash of each value, or of each category that occurs, (n,) uint64."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes = values.cat.codes.to_numpy()
        used = np.bincount(codes[codes >= 0], minlength=len(values.cat.categories)) > 0
        return _of_texts(values.cat.categories[used])
    present = values.dropna()
    if isinstance(present.dtype, pd.DatetimeTZDtype):
        return _mixed(present.astype("int64").to_numpy())
    if pd.api.types.is_numeric_dtype(present.dtype) and present.dtype.kind in "iuf":
        number = present.to_numpy()
        return _mixed(number if number.dtype.kind in "iu" else number.astype(np.float64) + 0.0)
    return _of_texts(pd.Index(present))


def _of_texts(values: pd.Index) -> np.ndarray:
    texts = values if values.inferred_type == "string" else values.astype(str)
    return pd.util.hash_array(texts.to_numpy(dtype=object), categorize=False)


def _mixed(number: np.ndarray) -> np.ndarray:
    """Return numbers of 8 bytes with their bits mixed (splitmix64), (n,) uint64."""
    wide = number.astype(np.float64 if number.dtype.kind == "f" else np.int64)
    x = wide.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))
