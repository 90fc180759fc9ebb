"""Find out from all rows what a program did to ids before they came here.

pandas writes 17850.0 for 17850 where other rows have no value; a spreadsheet writes 1.23457E+12, so
that many ids become one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from eventlog.ingest.columns.values import TEXT
from eventlog.ingest.mapping import Mapping
from eventlog.ingest.spool import Spool
from eventlog.schema import COLUMNS

WITH_ZERO = r"^\s*(?:0|[1-9]\d*)(?:\.0)?\s*$"
ROUNDED = r"^\s*\d[.,]\d+E\+\d+\s*$"


def undo_decimals(rows: Spool, mapping: Mapping) -> tuple[Mapping, list[str]]:
    """Return the mapping with the ids that lose a ".0", and what was assumed, a text each.

    They are those of a column in which all ids are whole numbers, some with ".0".
    """
    found = {
        name: source
        for name, source in _columns_of_ids(rows, mapping)
        if name not in mapping.integer_ids
        and any(_ends_in_zero(texts) for texts in rows.texts(source))
        and all(_whole(texts, mapping) for texts in rows.texts(source))
    }
    notes = [f"the .0 at the end of the ids in {source} means nothing" for source in found.values()]
    return replace(mapping, integer_ids=(*mapping.integer_ids, *found)), notes


def rounded(rows: Spool, mapping: Mapping) -> list[str]:
    """Return a warning for each column of which a spreadsheet rounded ids."""
    warnings = []
    for _, source in _columns_of_ids(rows, mapping):
        for texts in rows.texts(source):
            if pc.match_substring(texts, "E+").true_count:
                wrong = texts.filter(pc.match_substring_regex(texts, ROUNDED))
                if len(wrong):
                    warnings.append(
                        f"{source} has ids such as {wrong[0].as_py().strip()}, which a spreadsheet "
                        "rounded, so that different ids became one; export them as text"
                    )
                    break
    return warnings


def _columns_of_ids(rows: Spool, mapping: Mapping) -> Iterator[tuple[str, str]]:
    for name, sources in mapping.columns.items():
        if COLUMNS[name].kind == "id" and name != "event_id":
            yield from ((name, s) for s in sources if rows.kinds.get(s) == TEXT)


def _ends_in_zero(texts: pa.Array) -> bool:
    return bool(pc.match_substring(texts, ".0").true_count)


def _whole(texts: pa.Array, mapping: Mapping) -> bool:
    missing = pa.array([*mapping.file.missing, *mapping.file.missing_ids], pa.string())
    texts = texts.filter(pc.invert(pc.is_in(pc.utf8_trim_whitespace(texts), value_set=missing)))
    return bool(pc.match_substring_regex(texts, WITH_ZERO).true_count == len(texts))
