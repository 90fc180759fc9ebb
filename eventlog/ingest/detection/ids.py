"""Find out from all rows what a program did to ids before they came here.

pandas writes 17850.0 for 17850 where other rows have no value; a spreadsheet writes 1.23457E+12, so
that many ids become one; a basket of several items may be one text, a|b|c.
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
JOINED = r"^[^\s|;,]+(?:[|;,] ?[^\s|;,]+)+$"  # ids, not a title
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


def lists_of_items(rows: Spool, mapping: Mapping) -> list[str]:
    """Return a warning for each column of items whose texts may join several items."""
    if mapping.file.explode is not None:
        return []
    warnings = []
    for source in mapping.columns.get("item_id", ()):
        found = next(filter(None, map(_joined, rows.texts(source))), None)
        if found is not None:
            mark, example = found
            warnings.append(
                f"{source} has texts such as {example[:40]!r}, which may be several items; "
                f"[file] explode = {source!r} and separator = {mark!r} in a mapping make a row of "
                "each"
            )
    return warnings


def _joined(texts: pa.Array) -> tuple[str, str] | None:
    """Return the mark between the items that a text joins, and the text; None if none seems to.

    A part of a text is an item where it also stands alone, or where texts have different numbers
    of parts. Those of a key of two columns, sku|colour, do neither.
    """
    candidates = texts.filter(pc.match_substring_regex(texts, JOINED))
    for mark in ",;|" if len(candidates) else "":
        joined = candidates.filter(pc.match_substring(candidates, mark))
        parts = pc.utf8_trim_whitespace(pc.list_flatten(pc.split_pattern(joined, mark)))
        varied = mark != "," and len(pc.unique(pc.count_substring(texts, mark))) > 1
        if len(joined) and (varied or pc.is_in(parts, value_set=texts).true_count):
            return mark, joined[0].as_py()
    return None


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
