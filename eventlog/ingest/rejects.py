"""The rows that an import sets aside: reasons, and the table that keeps them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from eventlog.ingest.columns.values import as_text
from eventlog.ingest.reading.streams import RAGGED
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
