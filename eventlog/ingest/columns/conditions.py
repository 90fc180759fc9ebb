"""What the rules and labels of a mapping say of each value of a column."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventlog.ingest.columns.values import Coded, wholly_match
from eventlog.ingest.mapping import Label, Rule

Parse = Callable[[pa.Array], np.ndarray]  # texts (n,) -> numbers (n,), NaN where there is none
TRUTHS = {"true": 1.0, "yes": 1.0, "y": 1.0, "t": 1.0, "false": 0.0, "no": 0.0, "n": 0.0, "f": 0.0}


def satisfied(rule: Rule, column: Coded, parse: Parse) -> np.ndarray:
    """Return the rows that satisfy the condition of a rule on its column, (n_rows,) bool."""
    if rule.present is not None:
        return np.asarray((column.codes >= 0) == rule.present)
    if rule.begins_with is not None:
        return column.where(pc.starts_with(column.values, rule.begins_with).to_pylist())
    if rule.below is not None:
        return column.where(parse(column.values) < rule.below)
    if rule.matches is not None:
        return column.where(wholly_match(column.values, rule.matches))
    return column.where([text in rule.equals for text in column.values.to_pylist()])


def label_values(label: Label, column: Coded, parse: Parse) -> np.ndarray:
    """Return a label column as numbers, (n_rows,) float64, NaN where it has none."""
    words = np.array(
        [
            label.values.get(text, TRUTHS.get(text.strip().lower(), np.nan))
            for text in column.values.to_pylist()
        ],
        dtype=np.float64,
    )
    return column.take(np.where(np.isnan(words), parse(column.values), words), np.nan)
