"""Decide from all rows what a mapping leaves open: the marks in numbers, the currency."""

from __future__ import annotations

from collections import Counter

import pyarrow.compute as pc
from msgspec.structs import replace

from eventlog._runtime.errors import InputError
from eventlog.ingest.columns.amounts import Separators
from eventlog.ingest.mapping import Mapping
from eventlog.ingest.spool import Spool

AMOUNTS = ("price", "discount", "rating", "quantity")


def decide(rows: Spool, mapping: Mapping, path: str) -> tuple[Mapping, list[str]]:
    """Return the mapping without open questions, and what was assumed, a text each.

    Raises InputError if numbers can be read in two ways.
    """
    mapping, notes = _decimal(rows, mapping, path)
    if mapping.currency:
        return mapping, notes
    counts = currencies(rows, mapping)
    if len(counts) == 1:
        currency = next(iter(counts))
        return replace(mapping, currency=currency), [*notes, f"prices are in {currency}"]
    return mapping, notes


def currencies(rows: Spool, mapping: Mapping) -> Counter[str]:
    """Return how many rows name each currency."""
    found: Counter[str] = Counter()
    for name in mapping.currency_column:
        if name in rows.kinds:
            for column in rows.columns(name):
                for entry in pc.value_counts(column.combine_chunks()).to_pylist():
                    value = str(entry["values"] or "").strip()
                    value = value.upper() if len(value) == 3 else value
                    if value and value not in mapping.file.missing:
                        found[value] += entry["counts"]
            break
    return found


def _decimal(rows: Spool, mapping: Mapping, path: str) -> tuple[Mapping, list[str]]:
    if mapping.file.decimal is not None:
        return mapping, []
    names = [n for amount in AMOUNTS for n in mapping.columns.get(amount, ()) if n in rows.kinds]
    names += [n for rule in mapping.rules if rule.below is not None for n in rule.column]
    found = Separators.of(texts for name in dict.fromkeys(names) for texts in rows.texts(name))
    mark = found.mark()
    if mark is None:
        mark, text = next(iter(sorted(found.open.items())))
        grouped, fraction = text.replace(mark, ""), text.replace(mark, ".")
        other = "." if mark == "," else ","
        raise InputError(
            f"{path} has numbers such as {text!r}, which may be {grouped} or "
            f"{float(fraction):g}, and none that decides it; give --decimal {other!r} for "
            f"{grouped} or --decimal {mark!r} for {float(fraction):g} (or decimal in [file] of a "
            "mapping)."
        )
    notes = ["numbers have a decimal comma"] if mark == "," else []
    if mark == "." and "," in found.open:
        notes.append(f"the comma in {found.open[',']} separates thousands")
    return replace(mapping, file=replace(mapping.file, decimal=mark)), notes
