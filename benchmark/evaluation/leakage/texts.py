"""What texts and ids are made of, beyond their values: a leak can lie in a part of them.

An id that is different in each row tells nothing as a value. Its length, its last digit, the
letters that it begins with, or its first and last word may hold the answer all the same.

Example::

    texts = Texts(sequences, window.row[:, :2], source)
    for column in texts.parts():
        window.values(column)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmark.evaluation.leakage.columns import Column
from eventlog import EventLog
from eventlog.arrays import FIRST, Sequences
from eventlog.encode import SHORT, code_name
from eventlog.schema import REQUIRED

FEW = 32  # values of a column whose parts say nothing that its values do not
IDS = ("user_id", "session_id", "order_id")  # they name a visit or a time, so words may be dates
SHORTEST = 3  # characters of a name that is looked for inside a text
PARTS = {  # name of a part -> the pattern that takes it out
    "the alphabetic prefix of": r"^([^\W\d_]+)[\W\d_]",
    "the first word of": r"^([^\W_]+)[\W_]",
    "the last word of": r"[\W_]([^\W_]+)$",
}


class Texts:
    """The texts of some rows of a log, in columns with many values."""

    def __init__(self, sequences: Sequences, rows: np.ndarray, source: EventLog) -> None:
        """Read the texts of `rows`, any shape, of `sequences`, which was encoded from `source`."""
        self.n_rows = sequences.n_rows
        self.rows = np.unique(rows)
        events = source.events
        place = pd.Index(events["event_id"]).get_indexer(sequences.event_id[self.rows])
        self.values: dict[str, pd.Series] = {}  # column -> (n,) categorical of lower-case texts
        for name in map(str, events):
            text = events[name].iloc[place] if _is_text(events[name], name) else None
            if text is not None and text.nunique() > FEW:
                lower = text.astype("string").str.casefold().astype("category")
                self.values[name] = lower.set_axis(range(len(lower)))

    def parts(self) -> Iterator[Column]:
        """Yield columns with the parts of the texts, -1 where a text lacks one."""
        for name, text in self.values.items():
            levels = pd.Series(text.cat.categories.astype("string"))
            yield self._column(name, f"the length of {name}", text, levels.str.len() + FIRST)
            digit = pd.to_numeric(levels.str.extract(r"(\d)\D*$")[0], errors="coerce")
            yield self._column(name, f"the last digit of {name}", text, digit + FIRST)
            for what, pattern in PARTS.items() if name not in IDS else ():
                part = levels.str.extract(pattern)[0].astype("category").cat.codes
                yield self._column(
                    name, f"{what} {name}", text, (part + FIRST).where(part >= 0, -1)
                )

    def holding(self, row: np.ndarray, names: np.ndarray) -> Iterator[tuple[str, float]]:
        """Yield each column and the share of rows (n,) whose text holds its of `names` (n,)."""
        place = np.searchsorted(self.rows, row)
        for name, text in self.values.items():
            given = text.astype(object).to_numpy()[place]
            pairs = zip(given, names, strict=True)
            yield name, float(np.mean([isinstance(t, str) and n in t for t, n in pairs]))

    def _column(self, name: str, what: str, text: pd.Series, of_level: pd.Series) -> Column:
        table = np.append(of_level.fillna(-1).to_numpy(dtype=np.int64), -1)
        values = np.full(self.n_rows, -1, dtype=np.int64)
        values[self.rows] = table[text.cat.codes.to_numpy()]  # code -1 is the last entry
        short = SHORT.get(name, code_name(name))
        return Column(what, values, coded=True, source=short, own=False)


def _is_text(values: pd.Series, name: str) -> bool:
    if name in REQUIRED and name != "user_id":
        return False
    return isinstance(values.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(
        values
    )
