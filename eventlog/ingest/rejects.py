"""The rows that an import sets aside: reasons, and the table that keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from eventlog.ingest.columns.values import as_text, plain_text_of
from eventlog.ingest.reading.streams import RAGGED, Batch
from eventlog.schema import COLUMNS

NUMBERS = [
    name
    for name, column in COLUMNS.items()
    if column.kind in ("numeric", "integer") and name != "event_id"
]
REASONS = (
    RAGGED,
    "missing user_id",
    "missing timestamp",
    "unparseable timestamp",
    "timestamp before 1990",
    "timestamp after 2100",
    "missing event",
    *(f"{what} {name}" for name in NUMBERS for what in ("unparseable", "negative")),
    "duplicated event_id",
    "unparseable label",
    "label known before its event",
)
OWN_COLUMNS = {
    "row": "row_in_file",
    "reason": "reason_in_file",
    "file": "file_in_file",
}  # of the file, renamed


class SetAside:
    """Which rows of a batch are set aside, and why; the first reason found for a row counts."""

    def __init__(self, n_rows: int, own_reasons: Iterable[str]) -> None:
        """`own_reasons`: those of the mapping, beside REASONS."""
        self._names = [*REASONS, *dict.fromkeys(own_reasons)]
        self._reason = np.full(n_rows, -1, dtype=np.int16)  # index into names; -1: not set aside
        self._source: dict[str, str] = {}  # reason -> column of the file that it is about

    def add(self, where: np.ndarray, reason: str, source: str | None = None) -> None:
        """Set the rows `where` (n_rows,) bool aside; `source` is the column that is to blame."""
        if where.any():
            self._reason[where & (self._reason < 0)] = self._names.index(reason)
        if source:
            self._source[reason] = source

    @property
    def good(self) -> np.ndarray:
        """The rows that are not set aside, (n_rows,) bool."""
        return self._reason < 0

    def table(self, batch: Batch, file: str) -> pa.Table:
        """Return the `reject_table` of the batch; `file` is its file's name, "" if of one alone."""
        bad = np.flatnonzero(~self.good)
        return reject_table(
            batch.table.take(pa.array(bad)),
            batch.rows[bad],
            [self._names[i] for i in self._reason[bad]],
            batch.ragged,
            file,
        )

    def reasons(self, batch: Batch) -> dict[str, tuple[int, int]]:
        """Return, for each reason that occurs, its rows and the first row's number."""
        found = {}
        for name, places in self._places():
            found[name] = (len(places), int(batch.rows[places[0]]))
        if batch.ragged:
            found[RAGGED] = (len(batch.ragged), batch.ragged[0][0])
        return found

    def examples(self, table: pa.Table) -> dict[str, str]:
        """Return, for each reason about a column of `table`, the value in its first row."""
        found = {}
        for name, places in self._places():
            if (source := self._source.get(name)) is not None:
                value = plain_text_of(table[source], int(places[0]))
                if value:  # what is missing shows only if it is a text such as NA
                    found[name] = f"{source} is {value[:60]!r}"
        return found

    def _places(self) -> Iterator[tuple[str, np.ndarray]]:
        for i in np.unique(self._reason[~self.good]):
            yield self._names[i], np.flatnonzero(self._reason == i)


def reject_table(
    table: pa.Table,
    rows: np.ndarray,
    reasons: list[str],
    ragged: list[tuple[int, str]],
    file: str = "",
) -> pa.Table:
    """Return the rows that are set aside as text, with their row number and reason.

    Args:
        table: (n_rejects rows) the rows as they were in the file.
        rows: (n_rejects,) their row numbers.
        reasons: (n_rejects,) why each is set aside.
        ragged: (row number, text) of rows with a wrong number of fields.
        file: the file that they are of, where an import has several.
    """
    # Names of files are bytes, and some of them are no text.
    named = file.encode("utf-8", "backslashreplace").decode()
    of_file = {"file": pa.array([named] * len(rows), pa.string())} if file else {}
    original = {OWN_COLUMNS.get(name, name): table[name] for name in table.column_names}
    rejects = pa.table(
        {
            "row": pa.array(rows),
            "reason": pa.array(reasons, pa.string()),
            **of_file,
            **({n: pa.chunked_array([as_text(c)]) for n, c in original.items()} if reasons else {}),
        }
    )
    if not ragged:
        return rejects
    of_ragged = pa.table(
        {
            "row": pa.array([row for row, _ in ragged], pa.int64()),
            "reason": pa.array([RAGGED] * len(ragged)),
            **({"file": pa.array([file] * len(ragged))} if file else {}),
            next(iter(original)): pa.array([text for _, text in ragged]),
        }
    )
    return pa.concat_tables([rejects, of_ragged], promote_options="default").sort_by("row")
